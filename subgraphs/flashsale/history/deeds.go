package history

import (
	"time"

	"github.com/souk-shop/souk/subgraphs/flashsale"
)

// A deed is what the shop did by itself, and between which moments. Nobody was told; the last look at everything shows that it was done.
type deed struct {
	*step
	call, ret time.Duration
}

// An ordered booking is one slot with one of the orders that tried to pay for it.
type ordered struct {
	slot  int
	order mark
}

// own lists what the shop did by itself: bookings that ran out, and for each order that buyers asked for what the way of an order is.
// It did nothing that nobody asked for: a unit that is sold to an order that nobody checked out has no explanation.
func (b *book) own(ops []Operation) {
	for _, o := range ops {
		if o.Kind != Checkout && o.Kind != CancelOrder {
			continue
		}
		k := string(o.Kind) + o.Booking + " " + o.Order
		if was, any := b.asked[k]; !any || o.Call < was.Call {
			b.asked[k] = o
		}
		slot, found := b.byID[o.Booking]
		if gone := o.Status == string(flashsale.Undone) || o.Code == PaymentFailed || o.Code == OutOfStock; found && o.Known() && gone {
			b.over[ordered{slot, b.order(slot, o.Order)}] = true
		}
	}
	for i := range b.slots {
		if call, ret, did := b.expiry(i); did {
			o := &Operation{Input: Input{Kind: Sweep, Booking: b.slots[i].ID}, Return: Never}
			b.deeds = append(b.deeds, deed{&step{Operation: o, expire: true, slot: i, shown: none}, call, ret})
		}
		b.ordered(i)
	}
}

// ordered adds what the shop did for the order that a booking is seen to have.
func (b *book) ordered(slot int) {
	s := b.slots[slot]
	name := s.ID + " " + s.final.OrderID
	asked, any := b.asked[string(Checkout)+name]
	if s.final.OrderID == "" || !any {
		return
	}
	add := func(kind Kind, status flashsale.BookingStatus, from Operation, to time.Duration) {
		o := &Operation{Input: Input{Kind: kind, Booking: s.ID, Order: s.final.OrderID}, Output: Output{Code: OK, Status: string(status)}, Before: from.Before}
		b.deeds = append(b.deeds, deed{&step{Operation: o, server: true, slot: slot, shown: none, order: b.order(slot, s.final.OrderID)}, from.Call, to})
	}
	seen := func(status flashsale.BookingStatus) time.Duration {
		if at, seen := s.statusSeen[status]; seen {
			return at
		}
		return Never
	}
	add(Pay, "", asked, min(s.orderSeen[s.final.OrderID], seen(flashsale.Booked)))
	switch s.final.Status {
	case flashsale.Booked, flashsale.Undone:
		add(Confirm, flashsale.Booked, asked, seen(flashsale.Booked))
	case flashsale.Released:
		add(Decline, flashsale.Released, asked, seen(flashsale.Released))
	}
	if cancelled, any := b.asked[string(CancelOrder)+name]; any && s.final.Status == flashsale.Undone {
		add(Cancel, flashsale.Undone, cancelled, seen(flashsale.Undone))
	}
}

// expiry returns between which moments the server let a booking run out, if it did or should have: within a sweep that may have
// found it due, and before the end of the first that must have.
func (b *book) expiry(slot int) (call, ret time.Duration, did bool) {
	s := b.slots[slot]
	ends := s.unpaid
	if s.final.OrderID != "" {
		ends = s.paid
	}
	ran, seen := s.statusSeen[flashsale.Expired]
	if !seen && s.final.Status != flashsale.Held {
		return 0, 0, false
	}
	if len(b.sweeps) == 0 {
		return b.byItself(ends, ran, seen)
	}
	call, ret = Never, Never
	kept := s.seen // from then on nothing but its end can stop a sweep
	if s.final.OrderID != "" {
		kept = max(kept, s.orderSeen[s.final.OrderID])
	}
	for _, w := range b.sweeps {
		if !w.After.Before(ends) {
			call = min(call, w.Call)
		}
		if w.Known() && w.Code == OK && !w.Before.Before(ends) && w.Call >= kept {
			ret = min(ret, w.Return)
		}
	}
	if seen {
		return call, min(ret, ran), true // before any sweep had reason to: an interval that ends before it begins
	}
	return call, ret, ret != Never
}

// byItself is expiry in a shop that sweeps by itself, whenever something has run out: not before the time was up by anybody's clock, and
// before the last look at everything, which waits for all that is due.
func (b *book) byItself(ends time.Time, ran time.Duration, seen bool) (call, ret time.Duration, did bool) {
	for _, o := range b.answered {
		if o.After.Before(ends) {
			call = max(call, o.Return+1)
		}
		if o.Kind == Census && b.census && !seen && !o.Before.Before(ends) {
			ran, did = o.Call-1, true
		}
	}
	return call, ran, seen || did
}

// sees tells whether a booking that stands so is what the answer shows.
func (st *step) sees(is mark) bool {
	return st.showing == is || st.Public && st.showing.status() == is.status()
}

// told tells whether what a buyer heard of an order can be, with the order's booking as it is. An order says that it is placed once the
// unit is sold, and that it is cancelled before the unit goes back.
func (b *book) told(st *step, is mark) bool {
	ours, at := is.order() == st.order, is.status()
	late := at == flashsale.Held && b.late(st, is)
	if st.Kind == CancelOrder {
		if st.Code != OK || !ours {
			return false
		}
		return st.Status == string(flashsale.Undone) || at == flashsale.Booked || at == flashsale.Held && st.Status != Placed
	}
	switch st.Code {
	case Placed:
		return ours && (at == flashsale.Booked || at == flashsale.Undone && st.Status == string(flashsale.Undone))
	case PaymentFailed:
		return ours && !is.sold()
	case ActionRequired:
		return ours && at != flashsale.Undone && at != flashsale.Released
	case OutOfStock:
		return ours && !is.sold() && (at != flashsale.Held || late)
	case "ALREADY_ORDERED":
		return is.counts() && is.order() != 0 && !ours
	case "HOLD_EXPIRED":
		return !is.counts() || late
	}
	return false
}
