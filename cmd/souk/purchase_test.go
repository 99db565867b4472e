package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	clientnats "github.com/souk-shop/souk/clients/nats"
	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/bus"
	"github.com/souk-shop/souk/internal/id"
)

// What is promised of a purchase, each under the numbers of its requirements (docs/requirements.md); TestShop runs them.
var purchases = map[string]func(*testing.T, *testShop){
	"S63 S66 what is found goes into a cart, and the search is told": foundAndTold,
	"S72 S73 S79 what one pays for is gone for all others":           goneForOthers,
	"S80 S82 payments that stay open hold nobody up":                 openPayments,
	"S83 what is told again changes nothing":                         toldOnceMore,
	"S85 S86 a hold that ended lets the money go, and says so":       endedHold,
	"S86 money given back is told over the socket":                   refundTold,
	"S88 one of two gateways dies":                                   gatewayDies,
	"S90 S91 latency, load and what waits are measured":              measured,
	"S108 the gateway says who may ask, and how much":                boundedAtTheDoor,
}

func foundAndTold(t *testing.T, s *testShop) {
	lamp := s.sell("Quixotic Lamp", "19.90", 1, 3)
	const search = `query ($q: String!) { products(query: $q, first: 1) { queryId nodes { id variants { nodes { id } } } } }`
	found := s.guest().until(search, vars{"q": "quixotic"}, func(a answer) bool { return text(a.at("products.nodes.0.id")) == lamp.id })
	variant, query := text(found.at("products.nodes.0.variants.nodes.0.id")), text(found.at("products.queryId"))
	c := s.guest()
	cartID := text(c.do(`mutation { cartCreate(input: {}) { cart { id } userErrors { code } } }`, nil).at("cartCreate.cart.id"))
	got := c.do(`mutation ($i: CartLinesAddInput!) { cartLinesAdd(input: $i) { cart { lines { nodes { quantity variant { id } } } cost { total { amount } } } userErrors { code } } }`,
		vars{"i": map[string]any{"cartId": cartID, "lines": []map[string]any{{"variantId": variant, "quantity": 2}}}})
	if text(got.at("cartLinesAdd.cart.lines.nodes.0.variant.id")) != lamp.variants[0] || text(got.at("cartLinesAdd.cart.cost.total.amount")) != "39.80" {
		t.Errorf("%v", got.data)
	}
	told := func() bool {
		return slices.ContainsFunc(s.exported(0, events.SubjectSearched), func(e exported) bool {
			var is events.Searched
			return json.Unmarshal(e.Event, &is) == nil && is.QueryID == query && is.Query == "quixotic"
		})
	}
	for deadline := time.Now().Add(patience); !told(); time.Sleep(25 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the search %q was never told", query)
		}
	}
}

// The last unit: as soon as one is on their way to the bank, everybody else is shown that it is gone, and has it once the bank says no.
func goneForOthers(t *testing.T, s *testShop) {
	v := s.sell("Lonely Lamp", "19.90", 1, 1).variants[0]
	ann, bob := s.buyer(), s.buyer()
	cartID, total := s.guest().cart(v, 1) // Bob's, from when there was one
	in := func() vars { return vars{"i": bob.input(cartID, total, bob.card("4242"))} }
	got := ann.buy(v, 1, "3220")
	if bought(got) != "CheckoutActionRequired" {
		t.Fatalf("%v", got.data)
	}
	order := text(got.at("checkoutComplete.result.order.id"))
	is := ann.do(`query ($id: ID!) { order(id: $id) { id status createdAt expiresAt placedAt } }`, vars{"id": order})
	created, err := time.Parse(time.RFC3339Nano, text(is.at("order.createdAt")))
	expires, err2 := time.Parse(time.RFC3339Nano, text(is.at("order.expiresAt")))
	if err != nil || err2 != nil || text(is.at("order.status")) != "CREATED" || !expires.After(created) || is.at("order.placedAt") != nil ||
		text(is.at("order.expiresAt")) != text(got.at("checkoutComplete.result.expiresAt")) {
		t.Errorf("%v, and the checkout said %v", is.data, got.data)
	}

	seen := bob.do(`query ($v: ID!, $c: ID!) { node(id: $v) { ... on ProductVariant { stock { state available } } } cart(id: $c) { problems { code } } }`, vars{"v": v, "c": cartID})
	if number(seen.at("node.stock.available")) != 0 || text(seen.at("node.stock.state")) != "OUT_OF_STOCK" || text(seen.at("cart.problems.0.code")) != "OUT_OF_STOCK" {
		t.Errorf("another sees %v", seen.data)
	}
	if got := bob.do(checkout, in()); text(got.at("checkoutComplete.result.kind")) != "CheckoutRejected" || bought(got) != "NOT_ENOUGH_STOCK" {
		t.Errorf("another buys it: %v", got.data)
	}

	s.atTheBank(text(got.at("checkoutComplete.result.redirectUrl")) + "/refuse")
	ann.until(orderOf, vars{"id": order}, func(a answer) bool {
		return text(a.at("order.status")) == "CANCELLED" && text(a.at("order.cancelReason")) == "PAYMENT_FAILED"
	})
	s.untilAvailable(v, 1)
	if got := bob.do(checkout, in()); bought(got) != "CheckoutPlaced" {
		t.Errorf("now it is there: %v", got.data)
	}
	after := s.guest().do(`query ($v: ID!) { node(id: $v) { ... on ProductVariant { stock { state available } } } }`, vars{"v": v})
	if number(after.at("node.stock.available")) != 0 || text(after.at("node.stock.state")) != "OUT_OF_STOCK" {
		t.Errorf("sold out: %v", after.data)
	}
}

// atTheBank does what the buyer does on the bank's pages.
func (s *testShop) atTheBank(page string) {
	s.t.Helper()
	res, err := http.Post(page, "", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	res.Body.Close()
}

// More payments than there are connections to a store are open at the bank, all for one variant of which there is plenty: whoever comes
// meanwhile buys the same, and is done while not one of those payments is decided.
func openPayments(t *testing.T, s *testShop) {
	const stock, open, others = 10_000, 40, 20
	v := s.sell("Plentiful Lamp", "23.45", 1, stock).variants[0] // the price is no other lamp's
	var slow, quick []func() answer
	var ann buyer
	for i := range open + others {
		if i%10 == 0 {
			ann = s.buyer()
		}
		cartID, total := s.guest().cart(v, 1)
		to, card := &slow, "0044"
		if i >= open {
			to, card = &quick, "4242"
		}
		who, in := ann, vars{"i": ann.input(cartID, total, ann.card(card))}
		*to = append(*to, func() answer { return who.do(checkout, in) })
	}
	asked, all := make(chan []answer, 1), make(chan struct{})
	go func() {
		defer close(all)
		asked <- together(slow...)
	}()
	t.Cleanup(func() { <-all })
	undecided := func() (payments []string) {
		var books struct{ Payments []providersPayment }
		if err := json.Unmarshal(s.provider(http.MethodGet, ""), &books); err != nil {
			t.Fatal(err)
		}
		for _, p := range books.Payments {
			if p.Outcome == "" && p.Amount.Amount == 2345 {
				payments = append(payments, p.Key)
			}
		}
		return payments
	}
	for deadline := time.Now().Add(patience); len(undecided()) < open; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d payments are with the bank at once, of %d", len(undecided()), open)
		}
	}
	if n := tallied(kinds(together(quick...))); n["CheckoutPlaced"] != others {
		t.Errorf("beside %d open payments: %v", open, n)
	}
	payments := undecided()
	if n := s.available(v); len(payments) != open || n != stock-open-others {
		t.Errorf("%d payments are still open, %d units left", len(payments), n)
	}
	waiting := <-asked // each has its answer, though no bank gave one
	if n := tallied(kinds(waiting)); n["CheckoutActionRequired"] != open {
		t.Errorf("%v", n)
	}
	for _, p := range payments {
		s.provider(http.MethodPost, "/"+p+"/succeed")
	}
	for _, a := range waiting {
		if got := s.settled(text(a.at("checkoutComplete.result.order.id"))); text(got.at("order.status")) != "PLACED" {
			t.Errorf("%v", got.data)
		}
	}
}

func kinds(all []answer) []string {
	var out []string
	for _, a := range all {
		out = append(out, bought(a))
	}
	return out
}

// nats opens the way by which parts hear of each other.
func (s *testShop) nats() *clientnats.Conn {
	s.t.Helper()
	url, err := s.config.need("SOUK_NATS_URL")
	if err != nil {
		s.t.Fatal(err)
	}
	nc, err := clientnats.Open(s.t.Context(), url, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { nc.Close() })
	return nc
}

// Everything that was told of an order is told once more, the oldest last, under ids that nobody has seen: nothing new comes of it, neither
// money nor units nor a step.
func toldOnceMore(t *testing.T, s *testShop) {
	v := s.sell("Repeated Lamp", "19.90", 1, 5).variants[0]
	ann := s.buyer()
	order := ann.placed(v, 1)
	s.settled(order)
	s.ship(order)
	ann.until(`query ($id: ID!) { order(id: $id) { status shipments { status } } }`, vars{"id": order}, func(a answer) bool {
		return text(a.at("order.status")) == "DELIVERED" && text(a.at("order.shipments.0.status")) == "DELIVERED"
	})
	state := func() map[string]any {
		return map[string]any{
			"order": s.staff.do(`query ($id: ID!) { order(id: $id) { status paymentStatus placedAt timeline { at kind message } shipments { id status events { at status } }
				payments { id status captured { amount } refunded { amount } transactions { at kind success } } } }`, vars{"id": order}).data,
			"stock":  s.seller.do(`query ($id: ID!) { node(id: $id) { ... on ProductVariant { stock { available seq } stockLevels { onHand held available } } } }`, vars{"id": v}).data,
			"orders": ann.do(`{ me { orders { totalCount } cart { totalQuantity } } }`, nil).data,
		}
	}
	of := func(e exported) bool { return bytes.Contains(e.Event, []byte(`"`+order+`"`)) }
	subjects := []string{"souk.event.orders.>", "souk.event.payments.>", "souk.event.logistics.>"}
	var said []exported
	told := func(subject string) bool {
		return slices.ContainsFunc(said, func(e exported) bool {
			return strings.HasPrefix(e.Subject, subject) && bytes.Contains(e.Event, []byte(`"DELIVERED"`))
		})
	}
	for deadline := time.Now().Add(patience); !told("souk.event.orders") || !told("souk.event.logistics"); time.Sleep(25 * time.Millisecond) {
		if said = slices.DeleteFunc(s.exported(0, subjects...), func(e exported) bool { return !of(e) }); time.Now().After(deadline) {
			t.Fatalf("never told: %+v", said)
		}
	}
	nc := s.nats()
	s.heard(nc, said[len(said)-1].Sequence)
	before := state()
	var last uint64
	for _, e := range slices.Backward(said) {
		msg := nats.NewMsg(e.Subject)
		msg.Data = e.Event
		msg.Header.Set(jetstream.MsgIDHeader, id.New(id.Event))
		ack, err := nc.Streams.PublishMsg(t.Context(), msg)
		if err != nil || ack.Duplicate {
			t.Fatal(ack, err)
		}
		last = ack.Sequence
	}
	s.heard(nc, last)
	if after := state(); !reflect.DeepEqual(before, after) {
		t.Errorf("told once more:\n%v\nbefore:\n%v", after, before)
	}
	payment := text(s.staff.do(moneyOf, vars{"id": order}).at("order.payments.0.id"))
	if kept := s.kept(payment); kept != 1990 {
		t.Errorf("the provider keeps %d", kept)
	}
}

// heard waits until every part's consumer has handled all that it listens to, up to a sequence.
func (s *testShop) heard(nc *clientnats.Conn, sequence uint64) {
	s.t.Helper()
	behind := func() (names []string) {
		consumers := 0
		stream, err := nc.Streams.Stream(s.t.Context(), events.Stream)
		if err != nil {
			s.t.Fatal(err)
		}
		of := stream.ListConsumers(s.t.Context())
		for c := range of.Info() {
			if c.Config.Durable == "" { // somebody who reads and goes
				continue
			}
			consumers++
			if c.AckFloor.Stream < sequence && (c.NumPending > 0 || c.NumAckPending > 0) {
				names = append(names, c.Name)
			}
		}
		if err := of.Err(); err != nil || consumers == 0 {
			s.t.Fatal(consumers, err)
		}
		return names
	}
	for deadline := time.Now().Add(patience); len(behind()) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("%v are behind %d", behind(), sequence)
		}
	}
}

// The units of an order are let go while its buyer is at the bank: when the bank says yes after all, the order is cancelled, the money is let
// go, and the buyer hears of both.
func endedHold(t *testing.T, s *testShop) {
	v := s.sell("Vanished Lamp", "19.90", 1, 1).variants[0]
	ann := s.buyer()
	got := ann.buy(v, 1, "3220")
	order := text(got.at("checkoutComplete.result.order.id"))
	w := ann.watch(`subscription ($id: ID!) { orderUpdated(id: $id) { status cancelReason paymentStatus } }`, vars{"id": order})
	w.until(func(a answer) bool { return text(a.at("orderUpdated.paymentStatus")) == "ACTION_REQUIRED" })
	books, err := openBooks(t.Context(), s.config.postgresURL)
	if err != nil {
		t.Fatal(err)
	}
	defer books.close()
	kept, err := books.orders.OrdersByID(t.Context(), []string{order})
	if err != nil || len(kept) != 1 {
		t.Fatal(kept, err)
	}
	over := bus.New(s.nats().Conn, slog.New(slog.DiscardHandler))
	if _, err := events.ReleaseStock.Do(t.Context(), over, events.ReservationRequest{ReservationID: kept[0].Saga.ReservationID}); err != nil {
		t.Fatal(err)
	}
	s.untilAvailable(v, 1)
	s.atTheBank(text(got.at("checkoutComplete.result.redirectUrl")) + "/confirm")
	end := w.until(func(a answer) bool { return text(a.at("orderUpdated.paymentStatus")) == "VOIDED" })
	if text(end.at("orderUpdated.status")) != "CANCELLED" || text(end.at("orderUpdated.cancelReason")) != "OUT_OF_STOCK" {
		t.Errorf("%v", end.data)
	}
	done := s.settled(order)
	s.untilNothingKept(text(done.at("order.payments.0.id")))
	s.untilAvailable(v, 1)
}

func refundTold(t *testing.T, s *testShop) {
	v := s.sell("Refunded Lamp", "19.90", 1, 1).variants[0]
	ann := s.buyer()
	order := ann.placed(v, 1)
	w := ann.watch(`subscription ($id: ID!) { orderUpdated(id: $id) { status paymentStatus payments { refunded { amount } } } }`, vars{"id": order})
	w.until(func(a answer) bool {
		return text(a.at("orderUpdated.status")) == "PLACED" && text(a.at("orderUpdated.paymentStatus")) == "CAPTURED"
	})
	if got := ann.cancel(order); got != "CANCELLED" {
		t.Errorf("%s", got)
	}
	end := w.until(func(a answer) bool { return text(a.at("orderUpdated.paymentStatus")) == "REFUNDED" })
	if text(end.at("orderUpdated.status")) != "CANCELLED" || text(end.at("orderUpdated.payments.0.refunded.amount")) != "19.90" {
		t.Errorf("%v", end.data)
	}
	w.ends()
	s.untilAvailable(v, 1)
}
