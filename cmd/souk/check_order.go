package main

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/souk-shop/souk/dataloaders"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	"github.com/souk-shop/souk/subgraphs/inventory"
	"github.com/souk-shop/souk/subgraphs/orders"
	"github.com/souk-shop/souk/subgraphs/payments"
)

// A fact is what the subgraphs know of one order.
type fact struct {
	order    orders.Order
	hold     *inventory.Reservation // of an order of a cart
	booking  *flashsale.Booking     // of an order of a flash sale
	payments []payments.Payment
}

func (b *books) factsOf(ctx context.Context, lot []orders.Order) ([]fact, error) {
	holds := make([]string, len(lot))
	bookings := make([]string, len(lot))
	ids := make([]string, len(lot))
	for i, o := range lot {
		ids[i], holds[i], bookings[i] = o.ID, o.Saga.Hold.ReservationID, o.Saga.Hold.BookingID
	}
	found, err := b.stock.ReservationsByID(ctx, holds)
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	booked, err := b.sales.BookingsByID(ctx, bookings)
	if err != nil {
		return nil, fmt.Errorf("flashsale: %w", err)
	}
	paid, err := b.payments.PaymentsOf(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("payments: %w", err)
	}
	facts := make([]fact, len(lot))
	of := dataloaders.InOrder(bookings, booked, func(b flashsale.Booking) string { return b.ID })
	for i, hold := range dataloaders.InOrder(holds, found, inventory.Reservation.Key) {
		facts[i] = fact{lot[i], hold, of[i], paid[lot[i].ID]}
	}
	return facts, nil
}

// atRest tells whether the saga has nothing left to do for the order. Until then the three may disagree for a moment.
func (f fact) atRest() bool { return f.order.Next(time.Now()) == orders.Done }

// disagreements lists what cannot all be true.
func (f fact) disagreements() (all []string) {
	say := func(format string, args ...any) {
		all = append(all, fmt.Sprintf("order %s is %s, but ", f.order.ID, f.order.Status)+fmt.Sprintf(format, args...))
	}
	sold := f.order.Status != orders.Cancelled
	undone := !sold && f.order.PlacedAt != nil // what was sold came back, another way than what was only held
	switch hold := f.order.Saga.Hold; {
	case hold.BookingID != "" && f.booking == nil:
		say("there is no booking %s", hold.BookingID)
	case hold.BookingID != "" && sold != (f.booking.Status == flashsale.Booked && f.booking.OrderID == f.order.ID):
		say("its booking is %s for order %q", f.booking.Status, f.booking.OrderID)
	case hold.BookingID != "" && !sold && f.booking.Status == flashsale.Held && f.booking.OrderID == f.order.ID:
		say("its booking is still %s for it", f.booking.Status)
	case hold.BookingID != "" && undone != (f.booking.Status == flashsale.Undone && f.booking.OrderID == f.order.ID):
		say("its booking is %s for order %q, and it was placed at %v", f.booking.Status, f.booking.OrderID, f.order.PlacedAt)
	case hold.BookingID != "" && sold && !maps.Equal(f.ordered(), map[string]int{f.booking.VariantID: 1}):
		say("other units were booked than it has: one of %s instead of %v", f.booking.VariantID, f.ordered())
	case hold.BookingID != "" && f.order.Total != f.booking.UnitPrice:
		say("it was booked for %s instead of %s", f.booking.UnitPrice, f.order.Total)
	case hold.BookingID != "":
	case f.hold == nil:
		say("there is no reservation %s", hold.ReservationID)
	case sold != (f.hold.Status == inventory.Committed), f.hold.Status == inventory.Held:
		say("its units are %s", f.hold.Status)
	case undone != (f.hold.Status == inventory.Restocked):
		say("its units are %s, and it was placed at %v", f.hold.Status, f.order.PlacedAt)
	case (sold || undone) && !maps.Equal(f.ordered(), f.committed()):
		say("other units were sold than it has: %v instead of %v", f.committed(), f.ordered())
	}
	var captured int64
	captures := 0
	for _, p := range f.payments {
		if p.Captured.Amount > 0 {
			captures++
		}
		kept := p.Captured.Amount - p.Refunded.Amount
		captured += p.Captured.Amount
		switch {
		case p.Status == payments.Authorized:
			say("payment %s is still only promised", p.ID)
		case !sold && kept != 0:
			say("payment %s keeps %d of minor units", p.ID, kept)
		case kept < 0:
			say("payment %s gave more back than it took", p.ID)
		}
	}
	if sold && captured != f.order.Total.Amount {
		say("%d of minor units were taken for a total of %s", captured, f.order.Total)
	}
	if captures > 1 {
		say("money was taken for it %d times", captures)
	}
	return all
}

func (f fact) ordered() map[string]int {
	units := map[string]int{}
	for _, l := range f.order.Lines {
		units[l.VariantID] += l.Quantity
	}
	return units
}

func (f fact) committed() map[string]int {
	units := map[string]int{}
	for _, l := range f.hold.Lines {
		units[l.VariantID] += l.Quantity
	}
	return units
}
