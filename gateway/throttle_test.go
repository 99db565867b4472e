package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/souk-shop/souk/clients/redis"
	"github.com/souk-shop/souk/gateway"
	"github.com/souk-shop/souk/gateway/rate"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/redistest"
)

// budgets gives a gateway limits on a clock that stands still, and counts what reaches the subgraph.
func budgets(t *testing.T, account, address rate.Budget) (house, *clock.Held, *atomic.Int64) {
	t.Helper()
	held := clock.Hold(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC))
	var fetches atomic.Int64
	h := open(t, func(c *gateway.Config) {
		var err error
		c.Rate, err = rate.New(rate.Config{Account: account, Address: address, Store: rate.NewMemory(held), Metrics: c.Metrics})
		if err != nil {
			t.Fatal(err)
		}
		c.Proxies = 1
		base := c.Upstream
		c.Upstream = roundTripper(func(r *http.Request) (*http.Response, error) {
			fetches.Add(1)
			return base.RoundTrip(r)
		})
	})
	return h, held, &fetches
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

const (
	ask      = `{"query":"{ asker { account } }"}` // costs 1
	response = "Accept: application/graphql-response+json"
	here     = "X-Forwarded-For: 192.0.2.1"
	there    = "X-Forwarded-For: 192.0.2.2"
)

func TestThrottled(t *testing.T) {
	h, held, fetches := budgets(t, rate.Budget{}, rate.Budget{PerSecond: 1, Burst: 25})
	res, body := h.ask(t, ask, here, "Souk-Cost: 1")
	if want := `"extensions":{"cost":{"requested":1,"throttleStatus":{"maximumAvailable":25,"currentlyAvailable":24,"restoreRate":1}}}`; res.StatusCode != 200 || !strings.Contains(body, want) {
		t.Errorf("%s %s", res.Status, body)
	}
	if _, body := h.ask(t, ask, here); body != `{"data":{"asker":{"account":""}}}` {
		t.Errorf("the cost is told unasked: %s", body)
	}
	spent := fetches.Load()
	before := time.Now()
	res, body = h.ask(t, `{"query":"mutation { a: pay(amount: 1) b: pay(amount: 2) c: pay(amount: 3) }"}`, here, response)
	var got struct {
		Data   any
		Errors []struct {
			Extensions struct {
				Code       string
				PollAfter  time.Time
				RetryAfter int
				Cost       rate.Cost
			}
		}
		Extensions struct{ Cost rate.Cost }
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil || len(got.Errors) != 1 {
		t.Fatalf("%v %s", err, body)
	}
	cost := rate.Cost{Requested: 30, Throttle: rate.Status{Maximum: 25, Available: 13, Restore: 1}} // to be refused cost 10
	said := got.Errors[0].Extensions
	if res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") != "12" || said.Code != "THROTTLED" || said.RetryAfter != 12 ||
		got.Extensions.Cost != cost || said.Cost != cost || got.Data != nil {
		t.Errorf("%s Retry-After: %s %s", res.Status, res.Header.Get("Retry-After"), body)
	}
	if wait := said.PollAfter.Sub(before); wait < time.Second || wait > time.Minute {
		t.Errorf("pollAfter is %v away", wait)
	}
	if n := fetches.Load(); n != spent {
		t.Errorf("%d fetches for a refused mutation", n-spent)
	}
	if !strings.Contains(h.metrics(t), `souk_gateway_rate_refusals_total{reason="address"} 1`) {
		t.Error("the refusal is not counted")
	}
	held.Advance(12 * time.Second)
	if res, body := h.ask(t, `{"query":"mutation { a: slow }"}`, here, response); res.StatusCode != 400 {
		t.Errorf("%s %s", res.Status, body)
	}
	if res, body := h.ask(t, `{"query":"{ greeting(name: \"a\") }"}`, here, response); res.StatusCode != 200 {
		t.Errorf("%s %s", res.Status, body)
	}
}

// What the schema marks is drawn from a bucket of its own, and refused before anything is fetched; others go on.
func TestACommonBucket(t *testing.T) {
	held := clock.Hold(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC))
	var fetches atomic.Int64
	h := open(t, func(c *gateway.Config) {
		var err error
		c.Rate, err = rate.New(rate.Config{Common: map[string]rate.Budget{"stall": {PerSecond: 1, Burst: 2}}, Store: rate.NewMemory(held), Metrics: c.Metrics})
		if err != nil {
			t.Fatal(err)
		}
		base := c.Upstream
		c.Upstream = roundTripper(func(r *http.Request) (*http.Response, error) {
			fetches.Add(1)
			return base.RoundTrip(r)
		})
	})
	greet := func(stall string) string {
		return `{"query":"query ($s: String!) { greeting(name: $s) }","variables":{"s":"` + stall + `"}}`
	}
	for range 2 {
		if res, body := h.ask(t, greet("fish"), response); res.StatusCode != 200 {
			t.Fatalf("%s %s", res.Status, body)
		}
	}
	before := fetches.Load()
	for range 10 {
		res, body := h.ask(t, greet("fish"), response)
		if res.StatusCode != 429 || res.Header.Get("Retry-After") != "1" || !strings.Contains(body, `"budget":"stall"`) || !strings.Contains(body, `"code":"THROTTLED"`) || !strings.Contains(body, "pollAfter") {
			t.Fatalf("%s %s", res.Status, body)
		}
	}
	if n := fetches.Load(); n != before {
		t.Errorf("%d fetches for what was refused", n-before)
	}
	if res, body := h.ask(t, greet("fruit"), response); res.StatusCode != 200 {
		t.Errorf("another stall: %s %s", res.Status, body)
	}
	if res, body := h.ask(t, ask, response); res.StatusCode != 200 {
		t.Errorf("no stall: %s %s", res.Status, body)
	}
	if !strings.Contains(h.metrics(t), `souk_gateway_rate_refusals_total{reason="stall"} 10`) {
		t.Error("the refusals are not counted")
	}
	held.Advance(time.Second)
	if res, body := h.ask(t, greet("fish"), response); res.StatusCode != 200 {
		t.Errorf("after a while: %s %s", res.Status, body)
	}
}

// Documents that nobody has seen, each dearer than what is left, are not read for free: soon none is read any more.
func TestRefusalsAreNotFree(t *testing.T) {
	h, _, fetches := budgets(t, rate.Budget{}, rate.Budget{PerSecond: 1, Burst: 35})
	h.ask(t, ask, here) // 34 are left
	for i := range 50 {
		query := fmt.Sprintf("mutation { a%d: pay(amount: 1) b: pay(amount: 1) c: pay(amount: 1) d: pay(amount: 1) }", i)
		if res, body := h.ask(t, `{"query":`+quoted(query)+`}`, here, response); res.StatusCode != 429 {
			t.Fatalf("%s %s", res.Status, body)
		}
	}
	if !strings.Contains(h.metrics(t), "souk_gateway_planning_seconds_count 5") { // of 51
		t.Error("the wrong number of documents was planned")
	}
	if fetches.Load() != 1 {
		t.Errorf("%d fetches", fetches.Load())
	}
}

// What one gateway has served of a budget, another that shares its Redis does not serve again.
func TestTwoGatewaysOneBudget(t *testing.T) {
	s := redistest.New(t)
	s.Start(t)
	slow := rate.Budget{PerSecond: 1, Burst: 3_600} // what comes back during the test hardly matters
	for _, c := range []struct {
		gateway   string
		available int
	}{{"one", 3_000}, {"another", 2_400}, {"a third", 1_800}} {
		t.Run(c.gateway, func(t *testing.T) {
			metrics := prometheus.NewRegistry()
			conn, err := redis.Open(s.URL, redistest.Patience, clock.System, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			store, err := rate.NewRedis(conn, clock.System, metrics)
			if err != nil {
				t.Fatal(err)
			}
			h := open(t, func(c *gateway.Config) {
				c.Metrics = metrics
				if c.Rate, err = rate.New(rate.Config{Account: slow, Store: store, Metrics: metrics}); err != nil {
					t.Fatal(err)
				}
			})
			var last struct{ Extensions struct{ Cost rate.Cost } }
			for range 600 / 20 { // points each
				var query strings.Builder
				for i := range 20 {
					fmt.Fprintf(&query, " a%d: asker { account }", i)
				}
				res, body := h.ask(t, `{"query":"{`+query.String()+`}"}`, "Authorization: Bearer "+h.sign(nil), "Souk-Cost: 1")
				if err := json.Unmarshal([]byte(body), &last); err != nil || res.StatusCode != 200 {
					t.Fatalf("%s %s", res.Status, body)
				}
			}
			if n := last.Extensions.Cost.Throttle.Available; n < c.available || n > c.available+300 {
				t.Errorf("%d points are left, not about %d", n, c.available)
			}
			if !strings.Contains(h.metrics(t), "souk_gateway_rate_alone_total 0") {
				t.Error("it decided alone")
			}
		})
	}
}

// What is no operation is charged too: garbage, bad sessions, invalid documents.
func TestNonsenseIsNotFree(t *testing.T) {
	for name, nonsense := range map[string][]string{
		"no JSON":         {`{`},
		"a bad session":   {ask, "Authorization: Bearer forged"},
		"no such field":   {`{"query":"{ nonsense }"}`},
		"a foreign batch": {`[` + ask + `]`},
	} {
		t.Run(name, func(t *testing.T) {
			h, _, fetches := budgets(t, rate.Budget{}, rate.Budget{PerSecond: 1, Burst: 20})
			for i := range 2 {
				if res, body := h.ask(t, nonsense[0], append(nonsense[1:], here, response)...); res.StatusCode == 429 {
					t.Fatalf("%d: %s", i, body)
				}
			}
			for _, request := range [][]string{nonsense, {ask}} {
				if res, body := h.ask(t, request[0], append(request[1:], here, response)...); res.StatusCode != 429 || res.Header.Get("Retry-After") != "1" {
					t.Errorf("%s %s", res.Status, body)
				}
			}
			if fetches.Load() != 0 {
				t.Error("the subgraph was asked")
			}
			if res, body := h.ask(t, ask, there); res.StatusCode != 200 {
				t.Errorf("somebody else: %s %s", res.Status, body)
			}
		})
	}
}

func TestBudgetOfAnAccount(t *testing.T) {
	h, _, _ := budgets(t, rate.Budget{PerSecond: 1, Burst: 2}, rate.Budget{PerSecond: 1, Burst: 1000})
	ann := "Authorization: Bearer " + h.sign(nil)
	for i, want := range []int{200, 200, 429} {
		if res, body := h.ask(t, ask, fmt.Sprint("X-Forwarded-For: 192.0.2.", i), ann, response); res.StatusCode != want {
			t.Errorf("%d: %s %s", i, res.Status, body)
		}
	}
	if res, body := h.ask(t, ask, "X-Forwarded-For: 192.0.2.0"); res.StatusCode != 200 {
		t.Errorf("a guest: %s %s", res.Status, body)
	}
	if !strings.Contains(h.metrics(t), `souk_gateway_rate_refusals_total{reason="account"} 1`) {
		t.Error("the refusal is not counted")
	}
}

// Operations on a socket and on an event stream are charged as any other, and so is opening a socket.
func TestStreamsAreCharged(t *testing.T) {
	h, _, fetches := budgets(t, rate.Budget{}, rate.Budget{PerSecond: 1, Burst: 13})
	dial := func() (*websocket.Conn, *http.Response, error) {
		return websocket.Dial(t.Context(), "ws://"+h.addr+"/graphql", &websocket.DialOptions{
			Subprotocols: []string{"graphql-transport-ws"}, HTTPHeader: http.Header{"X-Forwarded-For": {"192.0.2.1"}},
		})
	}
	conn, _, err := dial() // 1
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	type message struct {
		ID      string          `json:"id,omitempty"`
		Type    string          `json:"type"`
		Payload json.RawMessage `json:"payload,omitempty"`
	}
	say := func(m message) {
		t.Helper()
		if err := wsjson.Write(t.Context(), conn, m); err != nil {
			t.Fatal(err)
		}
	}
	hear := func() (m message) {
		t.Helper()
		if err := wsjson.Read(t.Context(), conn, &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	say(message{Type: "connection_init"})
	hear()
	say(message{ID: "1", Type: "subscribe", Payload: json.RawMessage(`{"query":"subscription { ticks }"}`)}) // 10
	h.ticks <- 1
	if m := hear(); m.Type != "next" || string(m.Payload) != `{"data":{"ticks":1}}` {
		t.Errorf("%+v", m)
	}
	for range 2 { // 2
		say(message{ID: "2", Type: "subscribe", Payload: json.RawMessage(ask)})
		if m := hear(); m.Type != "next" {
			t.Errorf("%s %s", m.Type, m.Payload)
		}
		hear()
	}
	spent := fetches.Load()
	say(message{ID: "3", Type: "subscribe", Payload: json.RawMessage(ask)})
	if m := hear(); m.ID != "3" || m.Type != "error" || !strings.Contains(string(m.Payload), `"code":"THROTTLED"`) || !strings.Contains(string(m.Payload), `"throttleStatus"`) {
		t.Errorf("%+v %s", m, m.Payload)
	}
	h.ticks <- 2 // what runs goes on
	if m := hear(); m.ID != "1" || m.Type != "next" {
		t.Errorf("%+v", m)
	}
	if _, res, err := dial(); err == nil || res.StatusCode != http.StatusTooManyRequests {
		t.Errorf("another socket: %v", err)
	}
	if res, body := h.ask(t, `{"query":"subscription { ticks }"}`, here, "Accept: text/event-stream"); res.StatusCode != 429 || !strings.Contains(body, "THROTTLED") {
		t.Errorf("an event stream: %s %s", res.Status, body)
	}
	if n := fetches.Load(); n != spent {
		t.Errorf("%d fetches for what was refused", n-spent)
	}
}

// A script that asks as fast as it can gets refusals that say what they are, reaches the subgraph no oftener than its budget allows, and
// takes nothing from anybody else. What it is refused is not logged line by line.
func TestAScript(t *testing.T) {
	const burst, requests = 50, 2_000
	h, _, fetches := budgets(t, rate.Budget{}, rate.Budget{PerSecond: 1, Burst: burst})
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	defer client.CloseIdleConnections()
	post := func(ctx context.Context, from, query string) (int, string, error) {
		req, err := http.NewRequestWithContext(ctx, "POST", h.url+"/graphql", strings.NewReader(query))
		if err != nil {
			return 0, "", err
		}
		req.Header = http.Header{"Content-Type": {"application/json"}, "X-Forwarded-For": {from}, "Accept": {"application/graphql-response+json"}}
		res, err := client.Do(req)
		if err != nil {
			return 0, "", err
		}
		defer res.Body.Close()
		body, err := bufio.NewReader(res.Body).ReadString('\x00')
		if body != "" {
			err = nil
		}
		return res.StatusCode, body, err
	}
	var served, refused, humans atomic.Int64
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range requests / 8 {
				// Each document is another one, so that no cache and no sharing hides a fetch.
				status, body, err := post(t.Context(), "192.0.2.66", fmt.Sprintf(`{"query":"{ x%d_%d: asker { account } }"}`, i, j))
				switch {
				case status == 200:
					served.Add(1)
				case status == 429 && strings.Contains(body, `"THROTTLED"`):
					refused.Add(1)
				default:
					t.Errorf("%d %s %v", status, body, err)
				}
			}
		})
		all.Go(func() {
			for j := range 40 {
				if status, body, err := post(t.Context(), fmt.Sprint("198.51.100.", i), fmt.Sprintf(`{"query":"{ h%d_%d: asker { account } }"}`, i, j)); status != 200 {
					t.Errorf("somebody else: %d %s %v", status, body, err)
					continue
				}
				humans.Add(1)
			}
		})
	}
	all.Wait()
	if served.Load() != burst || refused.Load() != requests-burst || humans.Load() != 8*40 {
		t.Errorf("the script: %d served, %d refused; others: %d served", served.Load(), refused.Load(), humans.Load())
	}
	if n := fetches.Load(); n != burst+8*40 {
		t.Errorf("%d fetches", n)
	}
	h.lines.mu.Lock()
	defer h.lines.mu.Unlock()
	if n := strings.Count(h.lines.buf.String(), "THROTTLED"); n != 0 {
		t.Errorf("%d lines about refusals", n)
	}
}
