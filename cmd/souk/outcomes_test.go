package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// Checkouts that nobody pays end by themselves: in this shop they wait three seconds instead of a quarter of an hour.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	s := openShop(t, map[string]string{"SOUK_ORDER_EXPIRY": "3s"})
	t.Cleanup(s.agrees) // once all of them, which run beside each other, are done
	for name, test := range map[string]func(*testing.T, *testShop){
		"silence cancels at expiry, with no client involved": silence,
		"a success after expiry is given back":               lateSuccess,
		"an action nobody takes cancels at expiry":           actionNotTaken,
		"forty buyers of five lamps, some of whom pay":       mixedBuyers,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, s.in(t))
		})
	}
}

// pending checks out with a card that does not answer in time, and returns the order.
func (s *testShop) pending(b buyer, variant, card string) string {
	s.t.Helper()
	got := b.buy(variant, 1, card)
	if text(got.at("checkoutComplete.result.kind")) != "CheckoutActionRequired" {
		s.t.Fatalf("%v", got.data)
	}
	return text(got.at("checkoutComplete.result.order.id"))
}

func silence(t *testing.T, s *testShop) {
	lamp := s.sell("Silent Lamp", "19.90", 1, 5)
	ann := s.buyer()
	order := s.pending(ann, lamp.variants[0], "0044")
	if n := s.available(lamp.variants[0]); n != 4 {
		t.Errorf("%d left while the order waits", n)
	}
	w := ann.watch(`subscription ($id: ID!) { orderUpdated(id: $id) { status cancelReason } }`, vars{"id": order})
	end := w.until(func(a answer) bool { return text(a.at("orderUpdated.status")) == "CANCELLED" })
	if text(end.at("orderUpdated.cancelReason")) != "PAYMENT_TIMEOUT" {
		t.Errorf("%v", end.data)
	}
	done := ann.until(orderOf, vars{"id": order}, func(a answer) bool { return text(a.at("order.paymentStatus")) == "TIMED_OUT" })
	if n := s.available(lamp.variants[0]); n != 5 || text(done.at("order.payments.0.captured.amount")) != "0.00" {
		t.Errorf("%d left, %v", n, done.data)
	}
}

func lateSuccess(t *testing.T, s *testShop) {
	lamp := s.sell("Late Lamp", "19.90", 1, 5)
	ann := s.buyer()
	order := s.pending(ann, lamp.variants[0], "0044")
	ended := ann.until(`query ($id: ID!) { order(id: $id) { status payments { id status } } }`, vars{"id": order},
		func(a answer) bool {
			return text(a.at("order.status")) == "CANCELLED" && text(a.at("order.payments.0.status")) == "TIMED_OUT"
		})
	s.provider(http.MethodPost, "/"+text(ended.at("order.payments.0.id"))+"/succeed")
	done := ann.until(orderOf, vars{"id": order}, func(a answer) bool {
		status := text(a.at("order.paymentStatus"))
		return status == "VOIDED" || status == "REFUNDED"
	})
	if text(done.at("order.status")) != "CANCELLED" || s.available(lamp.variants[0]) != 5 {
		t.Errorf("%v, %d left", done.data, s.available(lamp.variants[0]))
	}
}

// provider asks the payment provider's own pages, as its side of the world.
func (s *testShop) provider(method, path string) []byte {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.breakers["payments"].Addr().String()+"/psp/fake/payments"+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		s.t.Fatalf("%s %s: %s %v %s", method, path, res.Status, err, body)
	}
	return body
}

func actionNotTaken(t *testing.T, s *testShop) {
	lamp := s.sell("Hesitant Lamp", "19.90", 1, 2)
	ann := s.buyer()
	got := ann.buy(lamp.variants[0], 1, "3220")
	if text(got.at("checkoutComplete.result.redirectUrl")) == "" || text(got.at("checkoutComplete.result.order.status")) != "CREATED" {
		t.Fatalf("%v", got.data)
	}
	order := text(got.at("checkoutComplete.result.order.id"))
	ann.until(orderOf, vars{"id": order}, func(a answer) bool { return text(a.at("order.cancelReason")) == "PAYMENT_TIMEOUT" })
	ann.until(`query ($id: ID!) { node(id: $id) { ... on ProductVariant { stock { available } } } }`, vars{"id": lamp.variants[0]}, func(a answer) bool {
		return number(a.at("node.stock.available")) == 2
	})
}

// mixedBuyers sells five lamps to forty who decline, stall and pay at once; in the end every lamp is sold or there to be had.
func mixedBuyers(t *testing.T, s *testShop) {
	lamp := s.sell("Wanted Lamp", "19.90", 1, 5)
	cards := []string{"4242", "0002", "0044", "0069"}
	var mu sync.Mutex
	var orders []string
	kinds := map[string]int{}
	var wg sync.WaitGroup
	for i := range 8 {
		b := s.buyer()
		for j := range 5 {
			cartID, total := s.guest().cart(lamp.variants[0], 1)
			in := vars{"i": b.input(cartID, total, b.card(cards[(i+j)%len(cards)]))}
			wg.Go(func() {
				a := b.do(checkout, in)
				mu.Lock()
				defer mu.Unlock()
				kinds[text(a.at("checkoutComplete.result.kind"))]++
				if o := text(a.at("checkoutComplete.result.order.id")); o != "" {
					orders = append(orders, o)
				}
			})
		}
	}
	wg.Wait()
	sold := 0
	for _, o := range orders {
		done := s.staff.until(orderOf, vars{"id": o}, func(a answer) bool {
			money := text(a.at("order.paymentStatus"))
			return text(a.at("order.status")) == "PLACED" && money == "CAPTURED" || text(a.at("order.status")) == "CANCELLED" && money != "AUTHORIZED" && money != "PENDING"
		})
		if text(done.at("order.status")) == "PLACED" {
			sold++
		} else if text(done.at("order.payments.0.captured.amount")) != "0.00" {
			t.Errorf("money is kept for a cancelled order: %v", done.data)
		}
	}
	s.guest().until(`query ($id: ID!) { node(id: $id) { ... on ProductVariant { stock { available } } } }`, vars{"id": lamp.variants[0]}, func(a answer) bool {
		return number(a.at("node.stock.available"))+sold == 5
	})
	held := s.seller.do(`query ($id: ID!) { node(id: $id) { ... on ProductVariant { stockLevels { onHand held available } } } }`, vars{"id": lamp.variants[0]})
	if number(held.at("node.stockLevels.0.held")) != 0 || number(held.at("node.stockLevels.0.onHand")) != 5-sold {
		t.Errorf("%d sold, and the shelf says %v", sold, held.data)
	}
	for _, o := range orders { // what the provider says it has for the shop is what the shop says it took
		got := s.staff.do(`query ($id: ID!) { order(id: $id) { status payments { id } } }`, vars{"id": o})
		for _, p := range list(got.at("order.payments")) {
			want := 0
			if text(got.at("order.status")) == "PLACED" {
				want = 1990
			}
			if kept := s.kept(text(walk(p, "id"))); kept != want {
				t.Errorf("the provider keeps %d for an order that is %v", kept, got.at("order.status"))
			}
		}
	}
	t.Logf("%v, %d sold", kinds, sold)
}

// A providersPayment is a payment in the provider's own books.
type providersPayment struct {
	Key, Reference                 string
	Outcome                        string // "" while it is being decided
	Amount                         struct{ Amount int }
	Authorized, Captured, Refunded int
	Voided                         bool
}

func (s *testShop) providers(payment string) providersPayment {
	s.t.Helper()
	var books struct{ Payments []providersPayment }
	if err := json.Unmarshal(s.provider(http.MethodGet, ""), &books); err != nil {
		s.t.Fatal(err)
	}
	for _, p := range books.Payments {
		if p.Key == payment {
			return p
		}
	}
	return providersPayment{}
}

// reference is the provider's own id of a payment.
func (s *testShop) reference(payment string) string {
	s.t.Helper()
	return s.providers(payment).Reference
}

// kept is what the provider has of a payment for the shop, in cents.
func (s *testShop) kept(payment string) int {
	s.t.Helper()
	p := s.providers(payment)
	if p.Captured == 0 && !p.Voided {
		return p.Authorized
	}
	return p.Captured - p.Refunded
}

// untilNothingKept waits until the provider has nothing of a payment for the shop.
func (s *testShop) untilNothingKept(payment string) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); s.kept(payment) != 0; time.Sleep(25 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("the provider keeps %d of %s", s.kept(payment), payment)
		}
	}
}

// What was sold, stocked and bought is there after a stop and a start on the same folder, an order that waited meanwhile ends,
// and one that was cancelled keeps no money.
func TestRestart(t *testing.T) {
	t.Parallel()
	dir, env := t.TempDir(), map[string]string{"SOUK_ORDER_EXPIRY": "3s"}
	getenv := func(name string) string { return env[name] }
	log := slog.New(slog.DiscardHandler)
	s := &testShop{t: t, breakers: map[string]*breaker{}}
	stop := s.start(dir, getenv, log)
	s.seller, s.staff = s.signIn("seller@souk.test"), s.signIn("staff@souk.test")
	s.stockUp()
	lamp := s.sell("Lasting Lamp", "19.90", 1, 5)
	ann := s.buyer()
	placed := text(ann.buy(lamp.variants[0], 1, "4242").at("checkoutComplete.result.order.id"))
	waiting := s.pending(ann, lamp.variants[0], "0044")
	regretted := ann.placed(lamp.variants[0], 1)
	if got := ann.cancel(regretted); got != "CANCELLED" { // and nobody waits for what follows from it
		t.Errorf("%s", got)
	}
	stop()

	stop = s.start(dir, getenv, log)
	ann.base = s.base
	ann.until(orderOf, vars{"id": placed}, func(a answer) bool { return text(a.at("order.paymentStatus")) == "CAPTURED" })
	ann.until(orderOf, vars{"id": waiting}, func(a answer) bool {
		return text(a.at("order.cancelReason")) == "PAYMENT_TIMEOUT" && text(a.at("order.paymentStatus")) == "TIMED_OUT"
	})
	ann.until(orderOf, vars{"id": regretted}, func(a answer) bool {
		money := text(a.at("order.paymentStatus"))
		return text(a.at("order.status")) == "CANCELLED" && (money == "VOIDED" || money == "REFUNDED")
	})
	s.guest().until(`query { products(query: "lasting lamp") { nodes { id inStock } } }`, nil, func(a answer) bool {
		return text(a.at("products.nodes.0.id")) == lamp.id && a.at("products.nodes.0.inStock") == true
	})
	if n := s.available(lamp.variants[0]); n != 4 {
		t.Errorf("%d left of 5, one of them sold", n)
	}
	s.agrees()
	stop()
	var said strings.Builder
	if err := souk(t.Context(), []string{"check", "--data", dir}, getenv, &said, t.Output()); err != nil || said.String() != "3 orders and 0 flash sales at rest, 0 under way, 0 findings\n" {
		t.Errorf("souk check: %v\n%s", err, said.String())
	}
}
