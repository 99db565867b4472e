package main

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/souk-shop/souk/internal/id"
)

// The attacks of Warszawski and Bailis, "ACIDRain: Concurrency-Related Attacks on Database-Backed Web Applications" (SIGMOD 2017),
// on this shop, through its gateway, by concurrent requests alone. In the twelve shops of the paper they oversold stock, paid for
// less than was shipped, and spent one voucher twice. Each test names the anomaly that it tries, and asserts exactly what
// came of it; when all are done, the books of stock, orders and money have to agree.
//
// Two more attacks that wait for orders to expire are in outcomes_test.go: a success after expiry, and forty buyers of five lamps.
func TestACIDRain(t *testing.T) {
	t.Parallel()
	s := openShop(t, nil)
	t.Cleanup(s.agrees) // once all of them, which run beside each other, are done
	for name, attack := range map[string]func(*testing.T, *testShop){
		"the last unit at a hundred tills":          lastPiece,
		"two lines of one variant in a cart":        twoLinesOfOne,
		"one variant added to a cart at once":       addedAtOnce,
		"a cart changed on its way to the till":     changedOnTheWay,
		"a price changed on the way to the till":    priceOnTheWay,
		"one cart at two tills":                     twoTills,
		"a payment confirmed again and again":       confirmedAgain,
		"a provider that says everything again":     toldAgain,
		"a cancel against the capture":              cancelAgainstCapture,
		"a cancel against a parcel":                 cancelAgainstParcel,
		"a guest's cart claimed by two":             claimedByTwo,
		"money asked back twice":                    refundTwice,
		"a cancel against a bank that says yes":     cancelAgainstConfirm,
		"a unit of a flash sale cancelled and sold": cancelledAndSold,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			attack(t, s.in(t))
		})
	}
}

// together runs all of them from one starting shot, and returns what they returned, in their order.
func together[T any](attempts ...func() T) []T {
	got, start := make([]T, len(attempts)), make(chan struct{})
	var wg sync.WaitGroup
	for i, try := range attempts {
		wg.Go(func() {
			<-start
			got[i] = try()
		})
	}
	close(start)
	wg.Wait()
	return got
}

// times repeats an attempt.
func times[T any](n int, try func() T) []func() T {
	all := make([]func() T, n)
	for i := range all {
		all[i] = try
	}
	return all
}

// after does the same a little later, so that of two attempts the one that is quicker by nature is not always first.
func after[T any](pause time.Duration, try func() T) func() T {
	return func() T {
		time.Sleep(pause)
		return try()
	}
}

// tallied counts what happened.
func tallied(outcomes []string) map[string]int {
	n := map[string]int{}
	for _, o := range outcomes {
		n[o]++
	}
	return n
}

// bought says in a word what came of a checkout.
func bought(a answer) string {
	if code := text(a.at("checkoutComplete.userErrors.0.code")); code != "" {
		return code
	}
	if code := text(a.at("checkoutComplete.result.problems.0.code")); code != "" {
		return code
	}
	return text(a.at("checkoutComplete.result.kind"))
}

const orderCancel = `mutation ($i: OrderCancelInput!) { orderCancel(input: $i) { order { id status cancelReason paymentStatus } userErrors { code field message } } }`

// cancel cancels an order under a key of its own and says in a word what came of it.
func (c client) cancel(order string) string {
	c.t.Helper()
	_, a := c.ask(orderCancel, vars{"i": map[string]any{"orderId": order, "idempotencyKey": id.New(id.Event)}})
	if code := text(a.at("orderCancel.userErrors.0.code")); code != "" {
		return code
	}
	return text(a.at("orderCancel.order.status"))
}

// placed buys units with a card that works, and returns the order.
func (b buyer) placed(variant string, units int) string {
	b.t.Helper()
	got := b.buy(variant, units, "4242")
	if bought(got) != "CheckoutPlaced" {
		b.t.Fatalf("%v", got.data)
	}
	return text(got.at("checkoutComplete.result.order.id"))
}

const moneyOf = `query ($id: ID!) { order(id: $id) { id status cancelReason paymentStatus timeline { kind }
	lines { quantity unitPrice { amount } variant { id } } cost { total { amount } }
	payments { id status captured { amount } refunded { amount } transactions { kind success } } } }`

// settled waits until nothing is under way for an order, and returns it.
func (s *testShop) settled(order string) answer {
	s.t.Helper()
	return s.staff.until(moneyOf, vars{"id": order}, func(a answer) bool {
		money := text(a.at("order.paymentStatus"))
		switch text(a.at("order.status")) {
		case "CANCELLED":
			return money != "PENDING" && money != "AUTHORIZED" && money != "CAPTURED" && money != "ACTION_REQUIRED"
		case "PLACED", "PARTIALLY_SHIPPED", "SHIPPED", "DELIVERED":
			return money == "CAPTURED"
		}
		return false
	})
}

// moves counts the successful moves of the one payment of an order by kind.
func moves(a answer) map[string]int {
	n := map[string]int{}
	for _, m := range list(a.at("order.payments.0.transactions")) {
		if walk(m, "success") == true {
			n[text(walk(m, "kind"))]++
		}
	}
	return n
}

// untilAvailable waits until so many of a variant can be had.
func (s *testShop) untilAvailable(variant string, units int) {
	s.t.Helper()
	s.guest().until(`query ($id: ID!) { node(id: $id) { ... on ProductVariant { stock { available } } } }`, vars{"id": variant}, func(a answer) bool {
		return number(a.at("node.stock.available")) == units
	})
}

// Overselling by a lost update or a check that is stale when it counts: a hundred checkouts of the last unit, each in a cart of its
// own, ten of each buyer.
func lastPiece(t *testing.T, s *testShop) {
	lamp := s.sell("The Last Lamp", "99.00", 1, 1)
	variant := lamp.variants[0]
	inputs := make([]vars, 100)
	buyers := make([]buyer, 10)
	for i := range buyers {
		buyers[i] = s.buyer()
		method := buyers[i].card("4242")
		for j := range 10 { // every buyer at ten tills, each with a cart of its own
			cartID, total := s.guest().cart(variant, 1)
			inputs[i*10+j] = vars{"i": buyers[i].input(cartID, total, method)}
		}
	}
	kinds := make(chan string, 100)
	var wg sync.WaitGroup
	for i, in := range inputs {
		wg.Go(func() {
			a := buyers[i/10].do(checkout, in)
			kind := text(a.at("checkoutComplete.result.kind"))
			if kind == "CheckoutRejected" {
				kind = text(a.at("checkoutComplete.result.problems.0.code"))
			}
			kinds <- kind
		})
	}
	wg.Wait()
	got := map[string]int{}
	for range 100 {
		got[<-kinds]++
	}
	if got["CheckoutPlaced"] != 1 || got["OUT_OF_STOCK"] != 99 || s.available(variant) != 0 {
		t.Errorf("%v, %d left", got, s.available(variant))
	}
	page := s.guest().do(`query ($id: ID!) { node(id: $id) { ... on ProductVariant { stock { state } } } }`, vars{"id": variant})
	if text(page.at("node.stock.state")) != "OUT_OF_STOCK" {
		t.Errorf("%v", page.data)
	}
}

// Write skew within one request: two lines of one variant, each of which alone is in stock. They are one line here, and carts of two
// units each share five without a rest of one being sold twice.
func twoLinesOfOne(t *testing.T, s *testShop) {
	lamp := s.sell("Twin Lamp", "19.90", 1, 5)
	v := lamp.variants[0]
	got := s.guest().do(`mutation ($i: CartCreateInput) { cartCreate(input: $i) { cart { lines { nodes { quantity } } } userErrors { code field } } }`,
		vars{"i": map[string]any{"lines": []map[string]any{{"variantId": v, "quantity": 1}, {"variantId": v, "quantity": 1}}}})
	if lines := list(got.at("cartCreate.cart.lines.nodes")); len(lines) != 1 || number(walk(lines[0], "quantity")) != 2 {
		t.Errorf("two lines of one variant became %v", lines)
	}
	ann := s.buyer()
	method := ann.card("4242")
	var tries []func() string
	for range 12 {
		made := s.guest().do(`mutation ($i: CartCreateInput) { cartCreate(input: $i) { cart { id } userErrors { code field } } }`,
			vars{"i": map[string]any{"lines": []map[string]any{{"variantId": v, "quantity": 1}, {"variantId": v, "quantity": 1}}}})
		in := vars{"i": ann.input(text(made.at("cartCreate.cart.id")), "39.80", method)}
		tries = append(tries, func() string { return bought(ann.do(checkout, in)) })
	}
	if n := tallied(together(tries...)); n["CheckoutPlaced"] != 2 || n["NOT_ENOUGH_STOCK"] != 10 || s.available(v) != 1 {
		t.Errorf("%v, %d left of 5", n, s.available(v))
	}
}

// Lost update of a quantity: one variant is added to a cart by ten at once, and all ten are in it, in one line.
func addedAtOnce(t *testing.T, s *testShop) {
	v := s.sell("Heaped Lamp", "1.00", 1, 100).variants[0]
	for range 5 {
		cartID, _ := s.guest().cart(v, 1)
		c := s.guest()
		together(times(10, func() answer {
			return c.do(`mutation ($i: CartLinesAddInput!) { cartLinesAdd(input: $i) { userErrors { code } } }`,
				vars{"i": map[string]any{"cartId": cartID, "lines": []map[string]any{{"variantId": v, "quantity": 1}}}})
		})...)
		got := c.do(`query ($id: ID!) { cart(id: $id) { version totalQuantity lines { nodes { quantity } } cost { total { amount } } } }`, vars{"id": cartID})
		if number(got.at("cart.totalQuantity")) != 11 || len(list(got.at("cart.lines.nodes"))) != 1 || text(got.at("cart.cost.total.amount")) != "11.00" {
			t.Errorf("%v", got.data)
		}
	}
}

// The attack that paid for a pen and shipped a laptop: a phantom. While the cart is at the till, others put goods in, take some out and
// change quantities. Either the buyer is told that the total is another, or the order is of exactly the goods that they agreed to,
// and what was put in meanwhile stays in the cart.
func changedOnTheWay(t *testing.T, s *testShop) {
	p := s.sell("Shuffled Lamp", "19.90", 2, 40)
	pen, laptop := p.variants[0], p.variants[1]
	ann := s.buyer()
	method := ann.card("4242")
	placed, laptops := 0, 0
	for i := range 10 {
		cartID, total := s.guest().cart(pen, 1)
		line := text(s.guest().do(`query ($id: ID!) { cart(id: $id) { lines { nodes { id } } } }`, vars{"id": cartID}).at("cart.lines.nodes.0.id"))
		in := vars{"i": ann.input(cartID, total, method)}
		change := []func() string{
			func() string {
				s.guest().ask(`mutation ($i: CartLinesAddInput!) { cartLinesAdd(input: $i) { userErrors { code } } }`,
					vars{"i": map[string]any{"cartId": cartID, "lines": []map[string]any{{"variantId": laptop, "quantity": 1}}}})
				return ""
			},
			func() string {
				s.guest().ask(`mutation ($i: CartLinesUpdateInput!) { cartLinesUpdate(input: $i) { userErrors { code } } }`,
					vars{"i": map[string]any{"cartId": cartID, "lines": []map[string]any{{"lineId": line, "quantity": 3}}}})
				return ""
			},
			func() string {
				s.guest().ask(`mutation ($i: CartLinesRemoveInput!) { cartLinesRemove(input: $i) { userErrors { code } } }`,
					vars{"i": map[string]any{"cartId": cartID, "lineIds": []string{line}}})
				return ""
			},
		}[i%3]
		var a answer
		outcome := together(func() string { _, a = ann.ask(checkout, in); return bought(a) }, after(time.Duration(i/3)*4*time.Millisecond, change))[0]
		switch outcome {
		case "PRICE_CHANGED", "INVALID": // another total, or nothing left in it
		case "CheckoutPlaced":
			placed++
			got := s.settled(text(a.at("checkoutComplete.result.order.id")))
			if lines := list(got.at("order.lines")); len(lines) != 1 || text(walk(lines[0], "variant.id")) != pen || number(walk(lines[0], "quantity")) != 1 ||
				text(got.at("order.payments.0.captured.amount")) != total {
				t.Errorf("agreed to one for %s, and got %v", total, got.data)
			}
			if i%3 == 0 { // whether it came before the sale or after it, the laptop was not sold, and is still wanted
				s.guest().until(`query ($id: ID!) { cart(id: $id) { lines { nodes { quantity variant { id } } } } }`, vars{"id": cartID}, func(a answer) bool {
					lines := list(a.at("cart.lines.nodes"))
					return len(lines) == 1 && text(walk(lines[0], "variant.id")) == laptop && number(walk(lines[0], "quantity")) == 1
				})
				laptops++
			}
		default:
			t.Errorf("%s: %v %v", outcome, a.data, a.errors)
		}
	}
	if s.available(pen) != 40-placed || s.available(laptop) != 40 {
		t.Errorf("%d placed, %d and %d left of 40", placed, s.available(pen), s.available(laptop))
	}
	t.Logf("%d of 10 were placed, %d of them beside a laptop", placed, laptops)
}

// Read skew between a price and a payment: the seller changes the price while the buyer pays. The buyer pays what they agreed to, or
// is told that it is another; never anything else.
func priceOnTheWay(t *testing.T, s *testShop) {
	lamp := s.sell("Fickle Lamp", "10.00", 1, 40)
	v := lamp.variants[0]
	sku := text(s.guest().do(`query ($id: ID!) { node(id: $id) { ... on ProductVariant { sku } } }`, vars{"id": v}).at("node.sku"))
	ann := s.buyer()
	method := ann.card("4242")
	placed := 0
	for i := range 8 {
		cartID, total := s.guest().cart(v, 2)
		in := vars{"i": ann.input(cartID, total, method)}
		price := map[string]any{"id": lamp.id, "title": "Fickle Lamp", "description": "Fickle.", "categorySlug": s.category,
			"variants": []map[string]any{{"sku": sku, "price": usd(fmt.Sprintf("%d.00", 11+i)), "weightGrams": 300}}}
		var a answer
		outcome := together(
			func() string { _, a = ann.ask(checkout, in); return bought(a) },
			after(time.Duration(i)*4*time.Millisecond, func() string { s.seller.do(productSave, vars{"input": price}); return "" }),
		)[0]
		switch outcome {
		case "PRICE_CHANGED":
		case "CheckoutPlaced":
			placed++
			if got := s.settled(text(a.at("checkoutComplete.result.order.id"))); text(got.at("order.payments.0.captured.amount")) != total || text(got.at("order.cost.total.amount")) != total {
				t.Errorf("agreed to %s: %v", total, got.data)
			}
		default:
			t.Errorf("%s: %v %v", outcome, a.data, a.errors)
		}
	}
	if s.available(v) != 40-2*placed {
		t.Errorf("%d placed, %d left of 40", placed, s.available(v))
	}
	t.Logf("%d of 8 were placed", placed)
}

// Two payments for one purchase, by a check of "ordered already" that two pass at once: one cart under ten keys is one order.
func twoTills(t *testing.T, s *testShop) {
	v := s.sell("Contested Lamp", "19.90", 1, 30).variants[0]
	ann := s.buyer()
	method := ann.card("4242")
	for range 3 {
		before := s.available(v)
		cartID, total := s.guest().cart(v, 1)
		n := tallied(together(times(10, func() string {
			_, a := ann.ask(checkout, vars{"i": ann.input(cartID, total, method)}) // each under a key of its own
			return bought(a)
		})...))
		// Whoever comes once the goods have left the cart finds it empty.
		if n["CheckoutPlaced"] != 1 || n["ALREADY_ORDERED"]+n["INVALID"]+n["PRICE_CHANGED"] != 9 || s.available(v) != before-1 {
			t.Errorf("%v, %d left of %d", n, s.available(v), before)
		}
	}
	orders := ann.do(`{ me { orders { totalCount nodes { id payments { id } } } } }`, nil)
	if number(orders.at("me.orders.totalCount")) != 3 {
		t.Errorf("%v", orders.data)
	}
	for _, o := range list(orders.at("me.orders.nodes")) {
		if got := s.settled(text(walk(o, "id"))); len(list(got.at("order.payments"))) != 1 || s.kept(text(got.at("order.payments.0.id"))) != 1990 {
			t.Errorf("%v", got.data)
		}
	}
}

// Two confirmations of one payment at once, while the buyer sends the checkout again: one promise, one capture.
func confirmedAgain(t *testing.T, s *testShop) {
	v := s.sell("Insistent Lamp", "19.90", 1, 5).variants[0]
	ann := s.buyer()
	for range 3 {
		cartID, total := s.guest().cart(v, 1)
		in := vars{"i": ann.input(cartID, total, ann.card("3220"))}
		got := ann.do(checkout, in)
		page, order := text(got.at("checkoutComplete.result.redirectUrl")), text(got.at("checkoutComplete.result.order.id"))
		confirm := func() string {
			res, err := http.Post(page+"/confirm", "", nil)
			if err != nil {
				return err.Error()
			}
			res.Body.Close()
			return res.Status
		}
		again := func() string { return text(ann.do(checkout, in).at("checkoutComplete.result.order.id")) }
		for i, o := range together(append(times(5, confirm), times(5, again)...)...)[5:] {
			if o != order {
				t.Errorf("checkout %d is of %q, not %s", i, o, order)
			}
		}
		done := s.settled(order)
		if n := moves(done); n["AUTHORIZE"] != 1 || n["CAPTURE"] != 1 || len(list(done.at("order.payments"))) != 1 || s.kept(text(done.at("order.payments.0.id"))) != 1990 {
			t.Errorf("%v", done.data)
		}
	}
	if s.available(v) != 2 {
		t.Errorf("%d left of 5", s.available(v))
	}
}

const paymentEvent = `mutation ($i: PaymentEventInput!) { paymentEventReport(input: $i) { payment { id status } userErrors { code message } } }`

// Callbacks of the provider twice at once, under one event's id and under several, in any order: money is counted once.
func toldAgain(t *testing.T, s *testShop) {
	v := s.sell("Echoing Lamp", "19.90", 1, 5).variants[0]
	ann := s.buyer()
	order := ann.placed(v, 1)
	paid := s.settled(order)
	payment := text(paid.at("order.payments.0.id"))
	reference := s.reference(payment)
	one := id.New(id.Event)
	var tries []func() string
	for _, kind := range []string{"AUTHORIZE", "CAPTURE"} {
		for i := range 8 {
			event := fmt.Sprintf("%s-%s", kind, one)
			if i%2 == 1 {
				event = id.New(id.Event)
			}
			tries = append(tries, func() string {
				_, a := s.staff.ask(paymentEvent, vars{"i": map[string]any{"provider": "fake", "eventId": event, "reference": reference, "kind": kind, "success": true}})
				return text(a.at("paymentEventReport.payment.status")) + text(a.at("paymentEventReport.userErrors.0.code"))
			})
		}
	}
	if n := tallied(together(tries...)); n["CAPTURED"] != len(tries) {
		t.Errorf("%v", n)
	}
	done := s.settled(order)
	if n := moves(done); n["AUTHORIZE"] != 1 || n["CAPTURE"] != 1 || text(done.at("order.payments.0.captured.amount")) != "19.90" || s.kept(payment) != 1990 {
		t.Errorf("%v", done.data)
	}
}

// Lost update between a cancel and a capture, of which either may be first, at the provider and in the order's books: the buyer cancels the
// moment that the order can be seen, twice at once, before, while and after the saga captures, and staff capture by hand. Nothing is
// kept, by our books or the provider's, and the units come back once.
func cancelAgainstCapture(t *testing.T, s *testShop) {
	v := s.sell("Regretted Lamp", "19.90", 1, 10).variants[0]
	ann := s.buyer()
	method := ann.card("4242")
	seen := map[string]int{}
	for i := range 12 {
		cartID, total := s.guest().cart(v, 1)
		in := vars{"i": ann.input(cartID, total, method)}
		var order string
		found := func() string {
			got := ann.until(`{ me { orders(first: 1) { totalCount nodes { id payments { id } } } } }`, nil, func(a answer) bool { return number(a.at("me.orders.totalCount")) == i+1 })
			order = text(got.at("me.orders.nodes.0.id"))
			payment := text(got.at("me.orders.nodes.0.payments.0.id"))
			cancel := after(time.Duration(i)*4*time.Millisecond, func() string { return ann.cancel(order) })
			outcomes := together(cancel, cancel, func() string {
				_, a := s.staff.ask(`mutation ($i: PaymentActionInput!) { paymentCapture(input: $i) { userErrors { code } } }`,
					vars{"i": map[string]any{"paymentId": payment, "idempotencyKey": id.New(id.Event)}})
				return text(a.at("paymentCapture.userErrors.0.code"))
			})
			return outcomes[0] + " " + outcomes[1]
		}
		// A cancel may have to wait for a commit that it cannot overtake; then the order is cancelled a moment later.
		got := together(found, func() string { return bought(ann.do(checkout, in)) })
		if got[0] != "CANCELLED CANCELLED" || got[1] != "CheckoutPlaced" && got[1] != "CheckoutPaymentFailed" && got[1] != "CheckoutActionRequired" {
			t.Errorf("%q", got)
		}
		done := s.settled(order)
		n := moves(done)
		if text(done.at("order.status")) != "CANCELLED" || n["CAPTURE"] != n["REFUND"] || n["CAPTURE"]+n["VOID"] > 1 {
			t.Errorf("%v", done.data)
		}
		s.untilNothingKept(text(done.at("order.payments.0.id")))
		placed := "before it was placed"
		for _, e := range list(done.at("order.timeline")) {
			if text(walk(e, "kind")) == "PLACED" {
				placed = "placed"
			}
		}
		seen[placed+", "+text(done.at("order.paymentStatus"))]++
	}
	s.untilAvailable(v, 10)
	t.Logf("%v", seen)
}

// Write skew between two subgraphs: orders sees no parcel and cancels, logistics sees no cancellation and ships. One of them is
// refused, every time.
func cancelAgainstParcel(t *testing.T, s *testShop) {
	v := s.sell("Hurried Lamp", "19.90", 1, 20).variants[0]
	ann := s.buyer()
	shipped := 0
	for i := range 8 {
		order := ann.placed(v, 1)
		line := text(s.seller.do(`query ($id: ID!) { order(id: $id) { lines { id } } }`, vars{"id": order}).at("order.lines.0.id"))
		ship := func() string {
			_, a := s.seller.ask(`mutation ($i: ShipmentCreateInput!) { shipmentCreate(input: $i) { shipment { id } userErrors { code } } }`, vars{"i": map[string]any{
				"orderId": order, "warehouseId": s.warehouses[0], "courier": "kite", "lines": []map[string]any{{"orderLineId": line, "quantity": 1}}, "idempotencyKey": id.New(id.Event)}})
			return text(a.at("shipmentCreate.userErrors.0.code"))
		}
		cancel := func() string { return ann.cancel(order) }
		got := together(after(time.Duration(i)*3*time.Millisecond, ship), cancel, cancel)
		done := s.settled(order)
		switch fmt.Sprint(got) {
		case "[ NOT_CANCELLABLE NOT_CANCELLABLE]":
			shipped++
			if text(done.at("order.status")) == "CANCELLED" {
				t.Errorf("shipped and cancelled: %v", done.data)
			}
		case "[WRONG_STATE CANCELLED CANCELLED]":
			if text(done.at("order.status")) != "CANCELLED" {
				t.Errorf("%v", done.data)
			}
		default:
			t.Errorf("%q", got)
		}
	}
	s.untilAvailable(v, 20-shipped)
	t.Logf("%d of 8 were shipped", shipped)
}

// Two accounts claim one guest's cart at once: one has it, the other is told that there is none; its goods are in one cart.
func claimedByTwo(t *testing.T, s *testShop) {
	v := s.sell("Coveted Lamp", "19.90", 1, 5).variants[0]
	for i := range 8 {
		accounts := []client{s.register(), s.register()}
		if i%2 == 1 { // with carts of their own, so that it is poured rather than handed over
			for _, c := range accounts {
				c.do(`mutation { cartCreate(input: {}) { cart { id } userErrors { code } } }`, nil)
			}
		}
		cartID, _ := s.guest().cart(v, 2)
		claim := func(c client) func() string {
			return func() string {
				_, a := c.ask(`mutation ($i: CartClaimInput!) { cartClaim(input: $i) { cart { totalQuantity } userErrors { code } } }`, vars{"i": map[string]any{"guestCartId": cartID}})
				return fmt.Sprint(number(a.at("cartClaim.cart.totalQuantity")), text(a.at("cartClaim.userErrors.0.code")))
			}
		}
		got := together(claim(accounts[0]), claim(accounts[1]), claim(accounts[0]), claim(accounts[1]))
		if n := tallied(got); n["2"] != 2 || n["0NOT_FOUND"] != 2 || got[0] != got[2] {
			t.Errorf("%q", got)
		}
		in := 0
		for _, c := range accounts {
			in += number(c.do(`{ me { cart { totalQuantity } } }`, nil).at("me.cart.totalQuantity"))
		}
		if in != 2 {
			t.Errorf("two lamps became %d", in)
		}
	}
}

// Double refund: the buyer cancels twice, staff cancel, refund by hand and let go by hand, and the provider tells of it again, all at
// once. What was taken is given back once.
func refundTwice(t *testing.T, s *testShop) {
	v := s.sell("Returned Lamp", "19.90", 1, 5).variants[0]
	ann := s.buyer()
	for range 4 {
		order := ann.placed(v, 1)
		payment := text(s.settled(order).at("order.payments.0.id"))
		byHand := func(mutation string) func() string {
			return func() string {
				_, a := s.staff.ask(`mutation ($i: PaymentActionInput!) { `+mutation+`(input: $i) { userErrors { code } } }`,
					vars{"i": map[string]any{"paymentId": payment, "idempotencyKey": id.New(id.Event)}})
				return text(a.at(mutation + ".userErrors.0.code"))
			}
		}
		cancel := func() string { return ann.cancel(order) }
		together(cancel, byHand("paymentRefund"), cancel, byHand("paymentVoid"), byHand("paymentRefund"), func() string { return s.staff.cancel(order) })
		reference := s.reference(payment)
		replay := func() string {
			_, a := s.staff.ask(paymentEvent, vars{"i": map[string]any{"provider": "fake", "eventId": "refund-of-" + payment, "reference": reference, "kind": "REFUND", "success": true, "amount": usd("19.90")}})
			return text(a.at("paymentEventReport.userErrors.0.code"))
		}
		together(replay, replay, cancel, replay)
		done := s.settled(order)
		if n := moves(done); text(done.at("order.status")) != "CANCELLED" || text(done.at("order.paymentStatus")) != "REFUNDED" || n["REFUND"] != 1 || n["CAPTURE"] != 1 ||
			text(done.at("order.payments.0.refunded.amount")) != "19.90" || s.kept(payment) != 0 {
			t.Errorf("%v, and the provider keeps %d", done.data, s.kept(payment))
		}
	}
	s.untilAvailable(v, 5)
}

// The buyer cancels while the bank says yes, and while the shop asks again: no money is kept, or the order is cancelled after it was
// placed; in either case the units come back once.
func cancelAgainstConfirm(t *testing.T, s *testShop) {
	v := s.sell("Undecided Lamp", "19.90", 1, 5).variants[0]
	ann := s.buyer()
	seen := map[string]int{}
	for i := range 8 {
		got := ann.buy(v, 1, "3220")
		page, order := text(got.at("checkoutComplete.result.redirectUrl")), text(got.at("checkoutComplete.result.order.id"))
		outcomes := together(
			after(time.Duration(i)*20*time.Millisecond, func() string { return ann.cancel(order) }),
			func() string {
				res, err := http.Post(page+"/confirm", "", nil)
				if err != nil {
					return err.Error()
				}
				res.Body.Close()
				return ""
			},
			after(time.Duration(i)*10*time.Millisecond, func() string { return ann.cancel(order) }),
		)
		if outcomes[0] != "CANCELLED" || outcomes[2] != "CANCELLED" {
			t.Errorf("%q", outcomes)
		}
		done := s.settled(order)
		s.untilNothingKept(text(done.at("order.payments.0.id"))) // a promise that comes late is let go later
		seen[text(done.at("order.paymentStatus"))]++
	}
	s.untilAvailable(v, 5)
	t.Logf("%v", seen)
}

// A unit of a flash sale comes back by two cancels at once, while others are after it: it is sold as often as it came back, and once more.
func cancelledAndSold(t *testing.T, s *testShop) {
	v := s.sell("Fleeting Lamp", "19.90", 1, 2).variants[0]
	sale := s.flashSale(v, "9.90", 1)
	buyers := []buyer{s.buyer(), s.buyer(), s.buyer()}
	owner := buyers[0]
	booking := text(owner.book(sale).at("flashSaleBook.result.id"))
	for range 4 {
		paid := owner.payBooking(booking, "9.90", "4242")
		order := text(paid.at("checkoutComplete.result.order.id"))
		if bought(paid) != "CheckoutPlaced" {
			t.Fatalf("%v", paid.data)
		}
		together(
			func() string { return owner.cancel(order) },
			func() string { return owner.cancel(order) },
			func() string { return text(buyers[1].book(sale).at("flashSaleBook.result.kind")) },
			func() string { return text(buyers[2].book(sale).at("flashSaleBook.result.kind")) },
		)
		if done := s.settled(order); text(done.at("order.status")) != "CANCELLED" || s.kept(text(done.at("order.payments.0.id"))) != 0 {
			t.Errorf("%v", done.data)
		}
		var held []buyer
		for _, b := range buyers { // whoever was not quick enough may try again
			if kind := text(b.book(sale).at("flashSaleBook.result.kind")); kind == "FlashSaleBooking" || kind == "FlashSaleAlreadyBooked" {
				held = append(held, b)
			}
		}
		if len(held) != 1 {
			t.Fatalf("one unit is booked by %d", len(held))
		}
		owner = held[0]
		mine := owner.do(`query ($id: ID!) { flashSale(id: $id) { myBookings { id status } live { remaining held sold } } }`, vars{"id": sale})
		if number(mine.at("flashSale.live.held")) != 1 || number(mine.at("flashSale.live.remaining")) != 0 || number(mine.at("flashSale.live.sold")) != 0 {
			t.Errorf("%v", mine.data)
		}
		booking = text(mine.at("flashSale.myBookings.0.id"))
	}
}
