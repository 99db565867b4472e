package main

import (
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// secondGateway serves the shop from a process of its own, beside the gateway that it has.
func (s *testShop) secondGateway() (base string, process *os.Process) {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	addr := unusedAddress(s.t)
	gateway := exec.Command(self, "serve", "gateway")
	gateway.Stderr = s.t.Output()
	gateway.Env = append(os.Environ(), "SOUK_ADDR="+addr, "SOUK_PRIVATE_ADDR=127.0.0.1:0", "SOUK_RATE_ACCOUNT=off", "SOUK_RATE_IP=off", "SOUK_LOG_LEVEL=error",
		"SOUK_PASSPORT_KEY="+s.config.get("SOUK_PASSPORT_KEY"), "SOUK_JWKS_URL=http://"+s.breakers["accounts"].Addr().String()+"/.well-known/jwks.json")
	for part, b := range s.breakers {
		gateway.Env = append(gateway.Env, "SOUK_"+strings.ToUpper(part)+"_URL=http://"+b.Addr().String())
	}
	if err := gateway.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = gateway.Process.Kill()
		_ = gateway.Wait()
	})
	base = "http://" + addr
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		res, err := http.Get(base + "/readyz")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return base, gateway.Process
			}
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the second gateway does not serve: %v", err)
		}
	}
}

// A pair is two doors of one shop. Who gets no answer at one asks again at the other, as a balancer in front of them does for reads,
// and a client, under the same key, for everything else.
type pair struct {
	doors [2]string
	turn  atomic.Int64
	again atomic.Int64 // how often there was no answer
}

func (p *pair) ask(c client, query string, v vars) (status int, body []byte, err error) {
	first := p.turn.Add(1)
	for i := range int64(2) {
		c.base = p.doors[(first+i)%2]
		if status, body, err = c.send(query, v); err == nil {
			return status, body, nil
		}
		p.again.Add(1)
	}
	return status, body, err
}

// oneGatewayOfTwo reads and buys through both gateways, of which one is killed by SIGKILL in the middle of it.
func oneGatewayOfTwo(t *testing.T, s *testShop) {
	const buyers, each = 4, 6
	lamp := s.sell("Redundant Lamp", "9.00", 1, 100)
	second, process := s.secondGateway()
	doors := &pair{doors: [2]string{s.base, second}}
	type purchase struct {
		buyer
		input vars
	}
	var purchases []purchase
	var all []buyer
	for range buyers {
		b := s.buyer()
		method := b.card("4242")
		all = append(all, b)
		for range each {
			cartID, total := s.guest().cart(lamp.variants[0], 1)
			purchases = append(purchases, purchase{b, vars{"i": b.input(cartID, total, method)}})
		}
	}
	var begun atomic.Int64
	half, gone := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { // until it is gone, and some times more
			for left := 10; left > 0; {
				status, body, err := doors.ask(s.guest(), productPage, vars{"slug": lamp.slug})
				if err != nil || status != http.StatusOK || !strings.Contains(string(body), `"title":"Redundant Lamp"`) || strings.Contains(string(body), `"errors"`) {
					t.Errorf("a read: %d %s %v", status, body, err)
					return
				}
				select {
				case <-gone:
					left--
				default:
				}
			}
		})
	}
	for i := range buyers {
		wg.Go(func() {
			for _, p := range purchases[i*each : (i+1)*each] {
				if begun.Add(1) == buyers*each/2 {
					close(half)
				}
				status, body, err := doors.ask(p.client, checkout, p.input)
				if err != nil || !strings.Contains(string(body), `"kind":"CheckoutPlaced"`) {
					t.Errorf("a purchase: %d %s %v", status, body, err)
				}
			}
		})
	}
	<-half
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
	close(gone)
	wg.Wait()
	if doors.again.Load() == 0 {
		t.Error("nobody noticed that a gateway was killed")
	}
	for _, b := range all {
		if mine := b.do(`{ me { orders { totalCount } } }`, nil); number(mine.at("me.orders.totalCount")) != each {
			t.Errorf("%v, want %d orders", mine.data, each)
		}
	}
	if n := s.available(lamp.variants[0]); n != 100-buyers*each {
		t.Errorf("%d left of 100, %d sold", n, buyers*each)
	}
	// Sent once more, at the door that is left, every purchase has the answer that it had.
	seen := map[string]bool{}
	for _, p := range purchases {
		got := p.do(checkout, p.input)
		if seen[text(got.at("checkoutComplete.result.order.id"))] = true; bought(got) != "CheckoutPlaced" {
			t.Errorf("%v", got.data)
		}
	}
	if len(seen) != len(purchases) || seen[""] {
		t.Errorf("%d orders of %d purchases", len(seen), len(purchases))
	}
	if _, _, err := (client{t, second, ""}).send(`{ __typename }`, nil); err == nil {
		t.Error("the second gateway lives")
	}
}
