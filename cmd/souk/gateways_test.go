package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	soukclient "github.com/souk-shop/souk/clients/souk"
)

// anotherGateway is the environment of a gateway to the shop's own parts, in another process or in this one.
func (s *testShop) anotherGateway(change map[string]string) map[string]string {
	s.t.Helper()
	env := map[string]string{}
	for _, setting := range settings {
		env[setting.name] = s.config.get(setting.name)
	}
	for part, at := range s.breakers {
		env["SOUK_"+strings.ToUpper(part)+"_URL"] = "http://" + at.Addr().String()
	}
	env["SOUK_JWKS_URL"] = env["SOUK_ACCOUNTS_URL"] + "/.well-known/jwks.json"
	env["SOUK_ADDR"], env["SOUK_PRIVATE_ADDR"] = unusedAddress(s.t), "127.0.0.1:0"
	for name, value := range change {
		env[name] = value
	}
	return env
}

// Two gateways behind a balancer, as in two zones, with people at both. One is killed: nobody's read fails, and each purchase that was
// under way and is asked for again at the other one is one purchase.
func gatewayDies(t *testing.T, s *testShop) {
	v := s.sell("Twofold Lamp", "19.90", 1, 100).variants[0]
	env := s.anotherGateway(map[string]string{victimPart: "gateway"})
	zone := &apart{t: t, name: "gateway"}
	for name, value := range env {
		zone.env = append(zone.env, name+"="+value)
	}
	zone.start()
	t.Cleanup(func() { zone.cmd.Process.Kill(); _ = zone.cmd.Wait() })
	both, err := balance([]string{env["SOUK_ADDR"], strings.TrimPrefix(s.base, "http://")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { both.Close() })
	graph := "http://" + both.Addr().String() + "/graphql"

	const buyers, each = 4, 8
	type purchase struct {
		Result struct{ Order struct{ ID string } }
	}
	var inputs [buyers][each]vars
	var tokens [buyers]string
	for i := range inputs {
		b := s.buyer()
		tokens[i] = b.token
		card := b.card("4242")
		for j := range inputs[i] {
			cartID, total := s.guest().cart(v, 1)
			inputs[i][j] = vars{"i": b.input(cartID, total, card)}
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var read, bought atomic.Int32
	var people, readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			c := soukclient.New(graph)
			for ctx.Err() == nil {
				got, err := soukclient.Do[struct{ Node struct{ SKU string } }](ctx, c, `query ($id: ID!) { node(id: $id) { ... on ProductVariant { sku stock { available } } } }`, vars{"id": v})
				if ctx.Err() == nil && (err != nil || got.Node.SKU == "") {
					t.Errorf("a read failed: %+v %v", got, err)
					return
				}
				read.Add(1)
			}
		})
	}
	for i := range inputs {
		people.Go(func() {
			c := soukclient.New(graph).As(tokens[i])
			for _, in := range inputs[i] {
				first, err := soukclient.Do[struct{ CheckoutComplete purchase }](ctx, c, checkout, in)
				again, err2 := soukclient.Do[struct{ CheckoutComplete purchase }](ctx, c, checkout, in) // whoever does not know asks again
				if o := first.CheckoutComplete.Result.Order.ID; err != nil || err2 != nil || o == "" || o != again.CheckoutComplete.Result.Order.ID {
					t.Errorf("%+v %v, and again %+v %v", first, err, again, err2)
				}
				if bought.Add(1) == buyers*each/4 {
					if err := zone.cmd.Process.Kill(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	people.Wait()
	for enough := read.Load() + 20; read.Load() < enough && !t.Failed(); { // those who read are there after it, too
		time.Sleep(time.Millisecond)
	}
	stop()
	readers.Wait()
	if n := s.available(v); n != 100-buyers*each {
		t.Errorf("%d units left of 100 after %d purchases", n, buyers*each)
	}
	t.Logf("%d reads", read.Load())
}

// How long operations take and how many there are is shown for each of them by its name, and so is what waits: what one scales by.
func measured(t *testing.T, s *testShop) {
	s.queued(s.sell("Measured Lamp", "19.90", 1, 3).variants[0], 3)
	for range 3 {
		s.guest().do(`query Measured { flashSales(first: 1) { title } }`, nil)
	}
	scrape := func() string {
		w := new(strings.Builder)
		promhttp.HandlerFor(s.metrics, promhttp.HandlerOpts{}).ServeHTTP(recorder{w}, new(http.Request))
		return w.String()
	}
	const operation = `{kind="query",name="Measured",status="ok"`
	for _, want := range []string{
		"souk_gateway_operation_seconds_count" + operation + "} 3\n", "souk_gateway_operation_seconds_sum" + operation + "} ",
		"souk_gateway_operation_seconds_bucket" + operation + `,le="+Inf"} 3` + "\n", "\nsouk_gateway_operations ",
		"\nprocess_cpu_seconds_total ", "\nprocess_resident_memory_bytes ", "\nprocess_network_receive_bytes_total ",
		"\nflashsale_booking_backlog ", "\nflashsale_waiting{", "\nsouk_batch_depth{batch=\"flashsale\"} ", "\nsouk_batch_depth{batch=\"inventory_holds\"} ",
	} {
		for deadline := time.Now().Add(patience); !strings.Contains(scrape(), want); time.Sleep(time.Millisecond) { // it is counted once its answer has left
			if time.Now().After(deadline) {
				t.Fatalf("no %s in\n%s", want, scrape())
			}
		}
	}
	if strings.Contains(scrape(), "souk_gateway_operation_seconds_sum"+operation+"} 0\n") {
		t.Error("they took no time")
	}
}

// A recorder is somebody who scrapes.
type recorder struct{ io.Writer }

func (recorder) Header() http.Header { return http.Header{} }
func (recorder) WriteHeader(int)     {}

// A gateway whose callers may ask little: who is over their budget is told so and what is left of it, beside one who is not; and a token that
// is none is refused before anything is asked.
func boundedAtTheDoor(t *testing.T, s *testShop) {
	env := s.anotherGateway(map[string]string{"SOUK_RATE_ACCOUNT": "1/60", "SOUK_RATE_IP": "off"})
	greedy, modest := s.register(), s.register()
	serveFor(t, env, "serve", "gateway")
	greedy.base, modest.base = "http://"+env["SOUK_ADDR"], "http://"+env["SOUK_ADDR"]
	const ask = `query { me { id displayName } }`
	var refused answer
	for served := 0; refused.errors == nil; served++ {
		status, a := greedy.ask(ask, nil)
		switch {
		case a.errors != nil && status == http.StatusTooManyRequests:
			refused = a
		case a.errors != nil || text(a.at("me.id")) == "" || served > 600: // ten minutes' worth
			t.Fatalf("%d: %d %v %v", served, status, a.data, a.errors)
		}
	}
	throttle := walk(refused.errors[0], "extensions.cost.throttleStatus")
	if refused.code(0) != "THROTTLED" || number(walk(throttle, "maximumAvailable")) != 60 || number(walk(throttle, "restoreRate")) != 1 || walk(throttle, "currentlyAvailable") == nil {
		t.Errorf("%v", refused.errors)
	}
	if got := modest.do(ask, nil); text(got.at("me.id")) == "" {
		t.Errorf("another account: %v", got.data)
	}
	if status, a := (client{t, modest.base, modest.token + "x"}).ask(ask, nil); status != http.StatusUnauthorized || a.code(0) != "UNAUTHENTICATED" || a.data != nil {
		t.Errorf("a forged token: %d %v %v", status, a.data, a.errors)
	}
}
