package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/souk-shop/souk/internal/devstores/nats"
	"github.com/souk-shop/souk/internal/devstores/postgres"
	"github.com/souk-shop/souk/internal/quietport"
	"github.com/souk-shop/souk/internal/supervise"
)

const (
	chaosExpiry      = 6 * time.Second // how long an order waits for its payment
	chaosConnections = 10              // of a process to PostgreSQL, which has 200 for all
	longestRecovery  = 90 * time.Second
)

// A chaosShop is the shop as many processes, with the engines, the bank and the network in this one.
type chaosShop struct {
	dir       string // of all data and logs
	engines   *engines
	network   *chaosNetwork
	bank      *chaosBank
	keepers   []*supervise.Keeper
	gateways  []string // their addresses
	port      int      // of PostgreSQL
	databases string   // where this process itself finds PostgreSQL, whatever happens to the network

	restarts sync.Mutex
}

// chaosLayout says which parts run together. Gateways and flash sales there are two of.
func chaosLayout(together bool) [][]string {
	few := [][]string{{"orders"}, {"payments"}, {"inventory"}, {"flashsale"}, {"flashsale"}, {"gateway"}, {"gateway"}}
	others := []string{"accounts", "cart", "catalog", "logistics", "node", "reviews", "search"}
	if together {
		return append(few, others)
	}
	for _, part := range others {
		few = append(few, []string{part})
	}
	return few
}

// openChaosShop starts everything and returns when all of it serves.
func openChaosShop(ctx context.Context, dir string, together bool, program string, rng *rand.Rand) (_ *chaosShop, err error) {
	s := &chaosShop{dir: dir}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	at, err := quietport.Address()
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(at)
	if s.port, err = strconv.Atoi(port); err != nil {
		return nil, err
	}
	if s.engines, err = startEngines(ctx, filepath.Join(dir, "data"), s.port, &process{log: slog.New(slog.DiscardHandler)}); err != nil {
		return nil, err
	}
	s.databases = s.engines.postgres.URL("souk")
	s.network = newNetwork(at)
	return s, s.start(ctx, chaosLayout(together), program, rng)
}

// start starts the processes. Each gateway has flash sales of its own; all other calls go where there is only one to go to.
func (s *chaosShop) start(ctx context.Context, groups [][]string, program string, rng *rand.Rand) error {
	type planned struct {
		name  string
		parts []string
		addr  []string
	}
	var plan []planned
	of := map[string][]string{} // addresses, by part
	for _, parts := range groups {
		p := planned{name: strings.Join(parts, "+"), parts: parts}
		if len(parts) > 2 {
			p.name = "others"
		}
		for _, part := range parts {
			at, err := quietport.Address()
			if err != nil {
				return err
			}
			p.addr = append(p.addr, at)
			of[part] = append(of[part], at)
		}
		if n := len(of[parts[0]]); n > 1 || parts[0] == "gateway" || parts[0] == "flashsale" {
			p.name += "-" + strconv.Itoa(n)
		}
		plan = append(plan, p)
	}
	s.gateways = of["gateway"]
	common := s.engines.environment(func(string) string { return "" }, "http://"+s.gateways[0], filepath.Join(s.dir, "data"))
	var err error
	if s.bank, err = openBank(common("SOUK_PSP_WEBHOOK_SECRET"), "http://"+of["payments"][0], rng); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(s.dir, "logs"), 0o755); err != nil {
		return err
	}
	gateways := 0
	for _, p := range plan {
		way, err := s.network.way(p.name)
		if err != nil {
			return err
		}
		env := map[string]string{
			"SOUK_POSTGRES_URL": fmt.Sprintf("postgres://postgres@%s/souk?sslmode=disable&pool_max_conns=%d", way, chaosConnections),
			"SOUK_PSP":          "fake:" + s.bank.url, "SOUK_JWKS_URL": "http://" + of["accounts"][0] + "/.well-known/jwks.json",
			"SOUK_ORDER_EXPIRY": chaosExpiry.String(), "SOUK_RATE_ACCOUNT": "off", "SOUK_RATE_IP": "off", "SOUK_PRIVATE_ADDR": "127.0.0.1:0",
		}
		for i, part := range p.parts {
			env["SOUK_"+strings.ToUpper(part)+"_ADDR"] = p.addr[i]
		}
		if p.parts[0] == "gateway" {
			for part, addresses := range of {
				env["SOUK_"+strings.ToUpper(part)+"_URL"] = "http://" + addresses[gateways%len(addresses)]
			}
			gateways++
		}
		environment := withoutSettings(os.Environ())
		for _, setting := range settings {
			if _, set := env[setting.name]; !set {
				environment = append(environment, setting.name+"="+common(setting.name))
			}
		}
		for name, value := range env {
			environment = append(environment, name+"="+value)
		}
		s.keepers = append(s.keepers, supervise.Keep(p.name, supervise.Program{
			Path: program, Args: append([]string{"serve"}, p.parts...), Env: environment, Log: filepath.Join(s.dir, "logs", p.name+".log"),
		}, healthy(p.addr)))
	}
	return s.ready(ctx)
}

// healthy tells whether all of a process's parts say that they are well.
func healthy(addresses []string) func(context.Context) bool {
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	return func(ctx context.Context) bool {
		for _, at := range addresses {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, (&url.URL{Scheme: "http", Host: at, Path: "/healthz"}).String(), nil)
			if err != nil {
				return false
			}
			res, err := client.Do(req)
			if err != nil {
				return false
			}
			res.Body.Close()
			if res.StatusCode != http.StatusOK {
				return false
			}
		}
		return true
	}
}

// ready returns when every process serves.
func (s *chaosShop) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, longestRecovery)
	defer cancel()
	var g errgroup.Group
	for _, k := range s.keepers {
		g.Go(func() error {
			if err := k.Ready(ctx); err != nil {
				return fmt.Errorf("%w\n%s", err, lastLines(s.logOf(k), 10))
			}
			return nil
		})
	}
	return g.Wait()
}

func (s *chaosShop) logOf(k *supervise.Keeper) string {
	return filepath.Join(s.dir, "logs", k.Name+".log")
}

func (s *chaosShop) processes() (names []string) {
	for _, k := range s.keepers {
		names = append(names, k.Name)
	}
	return names
}

// strike lets a fault happen and returns when what it hit is back, or the network is whole again.
func (s *chaosShop) strike(ctx context.Context, f chaosFault) error {
	ctx, cancel := context.WithTimeout(ctx, longestRecovery)
	defer cancel()
	switch {
	case f.Kind == faultRestart:
		return s.restartNATS(ctx)
	case f.Kind != faultKill:
		return s.network.suffer(ctx, f)
	case f.Target == enginePostgres:
		return s.killPostgres(ctx)
	}
	for _, k := range s.keepers {
		if k.Name == f.Target {
			return k.Kill(ctx)
		}
	}
	return errors.New("there is no such process")
}

// killPostgres kills all of PostgreSQL's processes and starts it again on what they left.
func (s *chaosShop) killPostgres(ctx context.Context) error {
	s.restarts.Lock()
	defer s.restarts.Unlock()
	return s.engines.killPostgres(ctx, postgres.Config{Dir: filepath.Join(s.dir, "data", "postgres"), Port: s.port})
}

// killPostgres kills all of PostgreSQL's processes and starts it again, at the same address, on what they left.
func (e *engines) killPostgres(ctx context.Context, again postgres.Config) error {
	pid := e.postgres.Pid()
	syscall.Kill(pid, syscall.SIGSTOP) // or it starts one more, which waits for a lock of the dead for ever
	servants, _ := descendants(pid)    // without /proc they notice by themselves
	e.postgres.Kill()
	for _, servant := range servants {
		syscall.Kill(servant, syscall.SIGKILL)
	}
	return untilStarted(ctx, func() error {
		server, err := postgres.Start(ctx, again)
		if err == nil {
			e.postgres = server
		}
		return err
	})
}

// restartNATS ends NATS and starts it again at the same address after a moment. It is not killed, for it lives in this process.
func (s *chaosShop) restartNATS(ctx context.Context) error {
	at, err := url.Parse(s.engines.nats.URL())
	if err != nil {
		return err
	}
	if err := s.engines.nats.Stop(); err != nil {
		return err
	}
	sleepFor(ctx, 500*time.Millisecond)
	return untilStarted(ctx, func() error {
		server, err := nats.Start(ctx, nats.Config{Dir: filepath.Join(s.dir, "data", "nats"), Addr: at.Host})
		if err == nil {
			s.engines.nats = server
		}
		return err
	})
}

// untilStarted tries until it works: an engine's port may be somebody else's for a moment.
func untilStarted(ctx context.Context, start func() error) error {
	for {
		err := start()
		if err == nil || ctx.Err() != nil {
			return err
		}
		sleepFor(ctx, 200*time.Millisecond)
	}
}

// close ends all of it.
func (s *chaosShop) close() {
	var g sync.WaitGroup
	for _, k := range s.keepers {
		g.Go(k.Close)
	}
	g.Wait()
	if s.bank != nil {
		s.bank.close()
	}
	if s.network != nil {
		s.network.close()
	}
	if s.engines != nil {
		s.engines.stop()
	}
}
