package main

import (
	"sync"
	"time"

	"github.com/souk-shop/souk/internal/id"
)

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
