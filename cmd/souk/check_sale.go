package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/souk-shop/souk/dataloaders"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	salestore "github.com/souk-shop/souk/subgraphs/flashsale/postgres"
	"github.com/souk-shop/souk/subgraphs/inventory"
	inventorystore "github.com/souk-shop/souk/subgraphs/inventory/postgres"
	"github.com/souk-shop/souk/subgraphs/orders"
)

// checkSales holds what flash sales say of their units against what the stock says it gave them and had back.
func (b *books) checkSales(ctx context.Context, r *report) error {
	before, err := b.sales.Units(ctx)
	if err != nil {
		return fmt.Errorf("flashsale: %w", err)
	}
	moves, err := b.stock.PoolMoves(ctx)
	if err != nil {
		return fmt.Errorf("inventory: %w", err)
	}
	after, err := b.sales.Units(ctx)
	if err != nil {
		return fmt.Errorf("flashsale: %w", err)
	}
	sales, again := unitsBySale(before), unitsBySale(after)
	for _, m := range moves {
		if sales[m.PoolID] == nil && again[m.PoolID] == nil {
			sales[m.PoolID] = []salestore.Units{}
		}
	}
	for _, sale := range slices.Sorted(maps.Keys(sales)) {
		of := slices.DeleteFunc(slices.Clone(moves), func(m inventorystore.PoolMove) bool { return m.PoolID != sale })
		// Two looks around the one at the stock: where they differ, units moved meanwhile.
		if !slices.Equal(sales[sale], again[sale]) || slices.ContainsFunc(sales[sale], onTheirWay) {
			r.underWay++
			continue
		}
		r.sales++
		r.findings = append(r.findings, unitsMissing(sale, sales[sale], of)...)
	}
	return nil
}

func unitsBySale(all []salestore.Units) map[string][]salestore.Units {
	of := map[string][]salestore.Units{}
	for _, u := range all {
		of[u.SaleID] = append(of[u.SaleID], u)
	}
	return of
}

func onTheirWay(u salestore.Units) bool {
	return u.Stage == salestore.Pending || u.Stage == salestore.Leaving
}

// unitsMissing lists what cannot all be true of the units of a sale from which none are on their way.
func unitsMissing(sale string, units []salestore.Units, moves []inventorystore.PoolMove) (all []string) {
	say := func(format string, args ...any) {
		all = append(all, "sale "+sale+": "+fmt.Sprintf(format, args...))
	}
	type place struct{ key, variant string }
	out, back := map[place]int{}, map[place]int{}
	balance := map[string]int{} // by variant: what the stock gave and the sale cannot account for
	for _, m := range moves {
		if m.Kind == inventory.Allot {
			out[place{m.Key, m.VariantID}] += m.Quantity
			balance[m.VariantID] += m.Quantity
		} else {
			back[place{m.Key, m.VariantID}] += m.Quantity
			balance[m.VariantID] -= m.Quantity
		}
	}
	for _, u := range units {
		at := place{u.Key, u.VariantID}
		switch u.Stage {
		case salestore.InSale:
			balance[u.VariantID] -= u.Quantity
		case salestore.Applied:
			if out[at] != u.Quantity {
				say("change %s brought %d of %s, but the stock gave %d for it", u.Key, u.Quantity, u.VariantID, out[at])
			}
			delete(out, at)
		case salestore.Refused:
			if out[at] != 0 && out[at] != u.Quantity {
				say("change %s asked for %d of %s and was refused, but the stock gave %d for it", u.Key, u.Quantity, u.VariantID, out[at])
			}
			delete(out, at)
		case salestore.Left:
			if back[at] != u.Quantity {
				say("transfer %s took %d of %s back, but the stock had %d by it", u.Key, u.Quantity, u.VariantID, back[at])
			}
			delete(back, at)
		}
	}
	for _, at := range slices.SortedFunc(maps.Keys(out), func(x, y place) int { return cmp.Compare(x.key+x.variant, y.key+y.variant) }) {
		say("the stock gave %d of %s for %s, which is no change of it", out[at], at.variant, at.key)
	}
	for _, at := range slices.SortedFunc(maps.Keys(back), func(x, y place) int { return cmp.Compare(x.key+x.variant, y.key+y.variant) }) {
		say("the stock had %d of %s back by %s, which is no transfer of it", back[at], at.variant, at.key)
	}
	for _, v := range slices.Sorted(maps.Keys(balance)) {
		if balance[v] != 0 {
			say("the stock gave %d more of %s than are in it or came back", balance[v], v)
		}
	}
	return all
}

// checkBookings looks for the order of every booking that is paid for. What such an order says of its booking is judged with the orders.
func (b *books) checkBookings(ctx context.Context, r *report) error {
	for after := ""; ; {
		lot, err := b.sales.BookedAfter(ctx, after, 500)
		if err != nil || len(lot) == 0 {
			return err
		}
		after = lot[len(lot)-1].ID
		ids := make([]string, len(lot))
		for i, is := range lot {
			ids[i] = is.OrderID
		}
		found, err := b.orders.OrdersByID(ctx, ids)
		if err != nil {
			return fmt.Errorf("orders: %w", err)
		}
		for i, o := range dataloaders.InOrder(ids, found, orders.Order.Key) {
			r.findings = append(r.findings, bookedFor(lot[i], o)...)
		}
	}
}

func bookedFor(b flashsale.Booking, o *orders.Order) (all []string) {
	switch {
	case o == nil:
		all = append(all, fmt.Sprintf("booking %s is BOOKED for order %q, which there is not", b.ID, b.OrderID))
	case o.Saga.BookingID != b.ID:
		all = append(all, fmt.Sprintf("booking %s is BOOKED for order %s, which bought something else", b.ID, o.ID))
	case o.AccountID != b.AccountID:
		all = append(all, fmt.Sprintf("booking %s is %s's, but order %s is %s's", b.ID, b.AccountID, o.ID, o.AccountID))
	}
	return all
}
