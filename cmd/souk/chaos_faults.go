package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/souk-shop/souk/internal/quietport"
)

// everyProcess is the target of what befalls all processes at once.
const everyProcess = "everybody"

// The targets that are no processes of the shop's.
const (
	enginePostgres = "PostgreSQL"
	engineNATS     = "NATS"
)

// A chaosFault is something that befalls the shop.
type chaosFault struct {
	After  time.Duration // from the first buyer
	Kind   string        // kill, or what the network to PostgreSQL does
	Target string
	For    time.Duration // of a kill nothing
}

func (f chaosFault) String() string {
	s := fmt.Sprintf("%6.1f s  %-10s %s", f.After.Seconds(), f.Kind, f.Target)
	if f.For > 0 {
		s += fmt.Sprintf(" for %.1f s", f.For.Seconds())
	}
	return s
}

// The kinds of faults: a process dies, or the way to PostgreSQL is cut (nobody answers), slow, dead (data gets lost and
// connections hang), torn (connections are reset), or lets go of connections late.
const (
	faultKill      = "kill"
	faultRestart   = "restart"
	faultCut       = "cut"
	faultLatency   = "latency"
	faultTimeout   = "timeout"
	faultReset     = "reset_peer"
	faultSlowClose = "slow_close"
)

var networkFaults = []string{faultCut, faultLatency, faultTimeout, faultReset, faultSlowClose}

// drawFaults returns what befalls the shop in a span of time: every process is killed once, PostgreSQL so many times, NATS is
// started anew, and every fault of the network comes so many times. The same seed draws the same.
func drawFaults(rng *rand.Rand, span time.Duration, processes []string, postgres, network int) []chaosFault {
	var all []chaosFault
	for _, p := range processes {
		all = append(all, chaosFault{Kind: faultKill, Target: p})
	}
	for range postgres {
		all = append(all, chaosFault{Kind: faultKill, Target: enginePostgres})
	}
	all = append(all, chaosFault{Kind: faultRestart, Target: engineNATS})
	for range network {
		for _, kind := range networkFaults {
			f := chaosFault{Kind: kind, Target: everyProcess, For: time.Second + time.Duration(rng.Int64N(int64(2*time.Second)))}
			if rng.IntN(2) == 0 {
				f.Target = processes[rng.IntN(len(processes))]
			}
			all = append(all, f)
		}
	}
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	first, slot := span/10, span*7/10/time.Duration(len(all))
	for i := range all {
		all[i].After = first + slot*time.Duration(i) + time.Duration(rng.Int64N(int64(slot)))
	}
	return all
}

// A chaosNetwork is how the processes reach PostgreSQL, each on a way of its own.
type chaosNetwork struct {
	server   *toxiproxy.ApiServer
	upstream string
	mu       sync.Mutex
	ways     map[string]*toxiproxy.Proxy
}

func newNetwork(upstream string) *chaosNetwork {
	return &chaosNetwork{
		server: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), upstream: upstream, ways: map[string]*toxiproxy.Proxy{},
	}
}

// way opens a process's way, and returns where it begins.
func (n *chaosNetwork) way(process string) (string, error) {
	at, err := quietport.Address()
	if err != nil {
		return "", err
	}
	p := toxiproxy.NewProxy(n.server, process, at, n.upstream)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ways[process] = p
	return at, p.Start()
}

// suffer lets a fault of the network last for its time.
func (n *chaosNetwork) suffer(ctx context.Context, f chaosFault) error {
	n.mu.Lock()
	var ways []*toxiproxy.Proxy
	for process, way := range n.ways {
		if f.Target == everyProcess || f.Target == process {
			ways = append(ways, way)
		}
	}
	n.mu.Unlock()
	name := fmt.Sprintf("%s-%d", f.Kind, f.After)
	for _, w := range ways {
		if err := disturb(w, f.Kind, name); err != nil {
			return err
		}
	}
	sleepFor(ctx, f.For)
	for _, w := range ways {
		if err := undisturb(w, f.Kind, name); err != nil {
			return err
		}
	}
	return nil
}

func disturb(w *toxiproxy.Proxy, kind, name string) error {
	if kind == faultCut {
		w.Stop()
		return nil
	}
	attributes := map[string]string{
		faultLatency: `{"latency": 150, "jitter": 100}`, faultTimeout: `{"timeout": 0}`, faultReset: `{"timeout": 0}`, faultSlowClose: `{"delay": 1500}`,
	}[kind]
	_, err := w.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(`{"name": %q, "type": %q, "attributes": %s}`, name, kind, attributes)))
	return err
}

func undisturb(w *toxiproxy.Proxy, kind, name string) (err error) {
	if kind != faultCut {
		return w.Toxics.RemoveToxic(context.Background(), name)
	}
	for range 100 { // somebody else may have the port for a moment
		if err = w.Start(); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return err
}

func (n *chaosNetwork) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range n.ways {
		w.Stop()
	}
}

// sleepFor waits, unless the context ends first.
func sleepFor(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
