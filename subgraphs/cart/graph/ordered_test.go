package graph_test

import (
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/subgraphs/cart"
)

func TestAnOrderTakesItsGoodsOutOnce(t *testing.T) {
	s := setup(t)
	lamp, mug := s.sell(1990, "USD", 9), s.sell(500, "USD", 9)
	c := s.create(guest, lamp, 2).Cart
	s.add(guest, c.ID, mug, 1, lamp, 1) // while the order was under way
	for range 2 {
		bought := cart.Purchase{OrderID: "ord_1", CartID: c.ID, Units: map[string]int{lamp: 2}}
		if err := s.store.TakeOrdered(t.Context(), []cart.Purchase{bought, bought}); err != nil {
			t.Fatal(err)
		}
	}
	found, err := s.store.CartsByID(t.Context(), []string{c.ID})
	if err != nil || found[0].TotalQuantity() != 2 || len(found[0].Lines) != 2 {
		t.Errorf("%+v, %v", found, err)
	}
}

// Two processes hear of the same orders, each in an order of its own, and of some again.
func TestManyHearOfManyOrders(t *testing.T) {
	s := setup(t)
	lamp := s.sell(1990, "USD", 9)
	var bought []cart.Purchase
	for range 40 {
		c := s.create(guest, lamp, 3).Cart
		bought = append(bought, cart.Purchase{OrderID: id.New(id.Order), CartID: c.ID, Units: map[string]int{lamp: 2}})
	}
	var wg sync.WaitGroup
	for n := range 4 {
		var heard []cart.Purchase
		for _, p := range bought {
			heard = append(heard, cart.Purchase{OrderID: p.OrderID, CartID: p.CartID, Units: maps.Clone(p.Units)})
		}
		if n%2 == 1 {
			slices.Reverse(heard)
		}
		wg.Go(func() {
			for lot := range slices.Chunk(append(heard, heard[:5]...), 9) {
				if err := s.store.TakeOrdered(t.Context(), lot); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, p := range bought {
		found, err := s.store.CartsByID(t.Context(), []string{p.CartID})
		if err != nil || found[0].TotalQuantity() != 1 || found[0].Version != 2 {
			t.Errorf("%+v, %v", found, err)
		}
	}
}
