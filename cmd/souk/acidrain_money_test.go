package main

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/souk-shop/souk/internal/id"
)

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
	seen, order := map[string]int{}, ""
	for i := range 12 {
		cartID, total := s.guest().cart(v, 1)
		in := vars{"i": ann.input(cartID, total, method)}
		found := func() string {
			last := order
			got := ann.until(`{ me { orders(first: 1) { nodes { id payments { id } } } } }`, nil, func(a answer) bool {
				newest := text(a.at("me.orders.nodes.0.id"))
				return newest != "" && newest != last
			})
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
