package gateway_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/souk-shop/souk/clients/redis"
	"github.com/souk-shop/souk/gateway"
	"github.com/souk-shop/souk/gateway/rate"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/forfeit"
	"github.com/souk-shop/souk/internal/redistest"
)

const (
	unproved = `{"query":"mutation { pay(amount: 0) }"}` // costs 10
	proved   = `{"query":"mutation { pay(amount: 1) }"}`
)

// guarded is a subgraph where to pay nothing is a wrong proof, and counts what reaches it.
func guarded(fetches *atomic.Int64) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		fetches.Add(1)
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		res := &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Request: r}
		answer := `{"data":{"pay":"done"}}`
		if bytes.Contains(body, []byte(`amount: 0`)) || bytes.Contains(body, []byte(`":0`)) {
			answer = `{"data":{"pay":null}}`
			res.Header.Add(forfeit.Header, "WRONG")
		}
		res.Body = io.NopCloser(strings.NewReader(answer))
		return res, nil
	})
}

// A script without proofs reaches the subgraph as often as its account pays for, whatever it asks to see of the answer. Those who share
// its address are served, and whoever is wrong once or twice is too.
func TestWrongProofs(t *testing.T) {
	var fetches atomic.Int64
	var limiter *rate.Limiter
	held := clock.Hold(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC))
	h := open(t, func(c *gateway.Config) {
		var err error
		limiter, err = rate.New(rate.Config{
			Account: rate.Budget{PerSecond: 1, Burst: 800}, Address: rate.Budget{PerSecond: 1, Burst: 1_000}, Store: rate.NewMemory(held), Metrics: c.Metrics,
		})
		if err != nil {
			t.Fatal(err)
		}
		c.Rate, c.Proxies, c.Upstream = limiter, 1, guarded(&fetches)
	})
	by := func(who string) string { return "Authorization: Bearer " + h.sign(jwt.MapClaims{"sub": who}) }
	script := by("acc_script")
	for i := range 500 {
		res, body := h.ask(t, unproved, here, script, response)
		switch {
		case i < 8 && res.StatusCode != 200:
			t.Fatalf("%d: %s %s", i, res.Status, body)
		case i >= 8 && (res.StatusCode != 429 || !strings.Contains(body, `"budget":"account"`) || res.Header.Get("Retry-After") == ""):
			t.Fatalf("%d: %s %s", i, res.Status, body)
		}
	}
	if n := fetches.Load(); n != 8 {
		t.Errorf("%d wrong proofs reached the subgraph", n)
	}
	address := rate.Caller{Address: netip.MustParseAddr("192.0.2.1")}
	if d := limiter.Peek(address, 1); d.Available != 1_000-8*(10+10) {
		t.Errorf("the script took from its neighbours: %d points are left", d.Available)
	}
	if !strings.Contains(h.metrics(t), "souk_gateway_rate_forfeits_total 8") {
		t.Error("the wrong proofs are not counted")
	}

	neighbour := by("acc_neighbour")
	for i, request := range []string{unproved, unproved, proved, proved} {
		if res, body := h.ask(t, request, here, neighbour, response); res.StatusCode != 200 {
			t.Errorf("%d: %s %s", i, res.Status, body)
		}
	}

	// Several in one request are several, and who wants to know is told what they cost.
	res, body := h.ask(t, `{"query":"mutation { a: pay(amount: 0) b: pay(amount: 0) }"}`, there, by("acc_greedy"), "Souk-Cost: 1")
	if want := `"cost":{"requested":20,"forfeited":200,"throttleStatus":{"maximumAvailable":800,"currentlyAvailable":580,"restoreRate":1}}`; !strings.Contains(body, want) {
		t.Errorf("%s %s", res.Status, body)
	}

	held.Advance(50 * time.Second) // the account was overdrawn by 80, and by as much again as refusing it cost
	if res, body := h.ask(t, unproved, here, script, response); res.StatusCode != 429 {
		t.Errorf("%s %s", res.Status, body)
	}
	held.Advance(time.Minute)
	if res, body := h.ask(t, proved, here, script, response); res.StatusCode != 200 {
		t.Errorf("points never come back: %s %s", res.Status, body)
	}
}

// A script with more accounts than one budget can empty is bounded by its address, and whoever asks from elsewhere is served.
func TestWrongProofsOfManyAccounts(t *testing.T) {
	var fetches atomic.Int64
	h := open(t, func(c *gateway.Config) {
		var err error
		c.Rate, err = rate.New(rate.Config{
			Account: rate.Budget{PerSecond: 1, Burst: 2_000}, Address: rate.Budget{PerSecond: 1, Burst: 2_000},
			Store: rate.NewMemory(clock.Hold(time.Now())), Metrics: c.Metrics,
		})
		if err != nil {
			t.Fatal(err)
		}
		c.Proxies, c.Upstream = 1, guarded(&fetches)
	})
	const accounts = 25 // each could be wrong eight times
	for i := range 20 * accounts {
		res, body := h.ask(t, unproved, here, response, "Authorization: Bearer "+h.sign(jwt.MapClaims{"sub": fmt.Sprint("acc_", i%accounts)}))
		if i >= 100 && (res.StatusCode != 429 || !strings.Contains(body, `"budget":"address"`)) {
			t.Fatalf("%d: %s %s", i, res.Status, body)
		}
	}
	if n := fetches.Load(); n != 2_000/(10+10) {
		t.Errorf("%d wrong proofs reached the subgraph", n)
	}
	if res, body := h.ask(t, proved, there, response, "Authorization: Bearer "+h.sign(jwt.MapClaims{"sub": "acc_buyer"})); res.StatusCode != 200 {
		t.Errorf("%s %s", res.Status, body)
	}
}

// However many ask at once, no more is let through than was under way before the first answers came.
func TestWrongProofsAtOnce(t *testing.T) {
	const callers = 16
	var fetches atomic.Int64
	h := open(t, func(c *gateway.Config) {
		var err error
		c.Rate, err = rate.New(rate.Config{Account: rate.Budget{PerSecond: 1, Burst: 8_000}, Store: rate.NewMemory(clock.Hold(time.Now())), Metrics: c.Metrics})
		if err != nil {
			t.Fatal(err)
		}
		c.Upstream = guarded(&fetches)
	})
	script := "Authorization: Bearer " + h.sign(nil)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range 25 {
				h.ask(t, unproved, script, response)
			}
		})
	}
	all.Wait()
	if n := fetches.Load(); n < 8 || n > 8+callers {
		t.Errorf("%d wrong proofs reached the subgraph", n)
	}
}

// What a proof cost at one gateway is gone at the other.
func TestWrongProofsAtTwoGateways(t *testing.T) {
	s := redistest.New(t)
	s.Start(t)
	var fetches atomic.Int64
	var houses []house
	for range 2 {
		metrics := prometheus.NewRegistry()
		conn, err := redis.Open(s.URL, redistest.Patience, clock.System, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		store, err := rate.NewRedis(conn, clock.System, metrics)
		if err != nil {
			t.Fatal(err)
		}
		houses = append(houses, open(t, func(c *gateway.Config) {
			c.Metrics, c.Upstream, c.Proxies = metrics, guarded(&fetches), 1
			if c.Rate, err = rate.New(rate.Config{Account: rate.Budget{PerSecond: 1, Burst: 8_000}, Address: rate.Budget{PerSecond: 1, Burst: 8_000}, Store: store, Metrics: metrics}); err != nil {
				t.Fatal(err)
			}
		}))
		t.Cleanup(func() { conn.Close() })
	}
	for i := range 60 {
		h := houses[i%2]
		res, body := h.ask(t, unproved, "Authorization: Bearer "+h.sign(nil), here, response)
		if want := map[bool]int{true: 200, false: 429}[i < 8]; res.StatusCode != want {
			t.Fatalf("%d: %s %s", i, res.Status, body)
		}
	}
	if n := fetches.Load(); n != 8 {
		t.Errorf("%d wrong proofs reached the subgraph", n)
	}
	for i, h := range houses {
		if res, body := h.ask(t, proved, "Authorization: Bearer "+h.sign(jwt.MapClaims{"sub": fmt.Sprint("acc_", i)}), here, response); res.StatusCode != 200 {
			t.Errorf("somebody else at the same address: %s %s", res.Status, body)
		}
		if !strings.Contains(h.metrics(t), "souk_gateway_rate_alone_total 0") {
			t.Error("it decided alone")
		}
	}
}
