package main

import (
	"fmt"
	"sync"
	"testing"
	"time"
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
	if got["CheckoutPlaced"] != 1 || got["NOT_ENOUGH_STOCK"] != 99 || s.available(variant) != 0 {
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
