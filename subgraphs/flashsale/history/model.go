package history

import (
	"fmt"
	"strings"

	"github.com/anishathalye/porcupine"

	"github.com/souk-shop/souk/subgraphs/flashsale"
)

// A step is an operation as the model takes it: ids replaced by numbers, what concerns one booking by its slot.
type step struct {
	*Operation
	expire  bool   // the server's own: a booking has run out
	server  bool   // of this too nobody was told: the shop did it for an order
	wrong   bool   // no sale answers so
	named   string // the booking that the key names, "" for none
	slot    int    // of the booking asked for, or that the key names; none when there is no such booking
	shown   int    // of the booking in the answer
	variant int
	order   mark
	showing mark // how the answer shows the booking
}

const none = -1

// model states the rules of a sale. All of it is one partition: every booking draws on the same units. With a log, units move in its
// order, and in no other that the rules allow as well.
func (b *book) model(log []Moved) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return b.initial() },
		Step: func(s, in, _ any) (bool, any) {
			is, st := s.(*state), in.(*step)
			next := b.step(is, st)
			if m := st.moves(); log != nil && next != nil && next != is && m != (Moved{}) {
				if is.moved == len(log) || log[is.moved] != m {
					return false, nil
				}
				next.moved++ // nobody else has seen it yet
			}
			return next != nil, next
		},
		Equal:             func(x, y any) bool { return x.(*state).equal(y.(*state)) },
		Hash:              func(s any) uint64 { return s.(*state).hash },
		DescribeOperation: func(in, _ any) string { return in.(*step).String() },
		DescribeState:     func(s any) string { return b.describe(s.(*state)) },
	}
}

// step returns the state after a step, nil when the sale cannot have taken it with that answer.
func (b *book) step(s *state, st *step) *state {
	if st.wrong {
		return nil
	}
	if st.Kind == Count || st.Kind == Census {
		return only(b.surveyed(s, st), s)
	}
	if st.Kind == Book && !st.expire {
		return b.booked(s, st)
	}
	if st.slot == none {
		return only(!st.Known() || st.Code == "NOT_FOUND", s)
	}
	is := s.at(st.slot)
	to := func(status flashsale.BookingStatus) *state {
		return s.with(st.slot, b.slots[st.slot].variant, markOf(status, is.order()))
	}
	held, ours := is.status() == flashsale.Held, is.order() == st.order
	switch {
	case st.expire:
		if held {
			return to(flashsale.Expired)
		}
		return nil
	case st.Kind == Look:
		return only(st.Code == OK && st.sees(is) || st.Code == "NOT_FOUND" && is == 0, s)
	case st.Kind == Checkout, st.Kind == CancelOrder:
		return only(b.told(st, is), s)
	case is == 0:
		return only(!st.Known() || st.Code == "NOT_FOUND", s)
	case st.Kind == Release:
		if held && is.order() == 0 && (!st.Known() || st.Code == OK && st.Status == string(flashsale.Released)) {
			return to(flashsale.Released)
		}
		return only(!st.Known() ||
			st.Code == OK && !is.counts() && st.Status == string(is.status()) ||
			st.Code == "BOOKED" && is.status() == flashsale.Booked ||
			st.Code == "BEING_PAID" && held && is.order() != 0, s)
	case st.Kind == Pay:
		free := held && (is.order() == 0 || ours)
		switch {
		case free && b.inTime(st, is) && (st.Code == OK || !st.Known()):
			return s.with(st.slot, b.slots[st.slot].variant, markOf(flashsale.Held, st.order))
		case !st.Known(), st.Code == OK && is.status() == flashsale.Booked && ours:
			return s
		}
		return only(st.Code == "ALREADY_ORDERED" && is.counts() && is.order() != 0 && !ours ||
			st.Code == "HOLD_EXPIRED" && (!is.counts() || free && b.late(st, is)), s)
	case st.Kind == Confirm:
		switch {
		case held && ours && b.inTime(st, is) && (st.Code == OK || !st.Known()):
			return to(flashsale.Booked)
		case !st.Known(), st.Code == OK && is.sold() && ours:
			return s
		}
		return only(st.Code == "HOLD_EXPIRED" && (!ours || !is.counts() || held && b.late(st, is)), s)
	case st.Kind == Decline:
		if held && ours && (!st.Known() || st.Code == OK && st.Status == string(flashsale.Released)) {
			return to(flashsale.Released)
		}
		return only(!st.Known() ||
			st.Code == OK && ours && !is.counts() && !is.sold() && st.Status == string(is.status()) ||
			st.Code == "HOLD_COMMITTED" && ours && is.sold() ||
			st.Code == "NOT_FOUND" && !ours, s)
	case st.Kind == Cancel:
		if is.status() == flashsale.Booked && ours && (!st.Known() || st.Code == OK && st.Status == string(flashsale.Undone)) {
			return to(flashsale.Undone)
		}
		return only(!st.Known() ||
			st.Code == OK && ours && !is.counts() && st.Status == string(is.status()) ||
			st.Code == "HOLD_HELD" && ours && held ||
			st.Code == "NOT_FOUND" && !ours, s)
	}
	return nil
}

func only(may bool, s *state) *state {
	if may {
		return s
	}
	return nil
}

// inTime tells whether the booking may still have been kept when the operation was heard, late whether it may not.
func (b *book) inTime(st *step, is mark) bool { return st.Before.Before(b.slots[st.slot].ends(is)) }
func (b *book) late(st *step, is mark) bool   { return !st.After.Before(b.slots[st.slot].ends(is)) }

func (b *book) booked(s *state, st *step) *state {
	var is mark // of the key
	if st.slot != none {
		is = s.at(st.slot)
	}
	ofSale, ofVariant := b.has(s, st)
	atLimit := ofSale >= b.sale.LimitPerAccount || ofVariant >= b.sale.Offers[st.variant].LimitPerAccount
	left := s.units[st.variant]
	hold := func() *state { return s.with(st.slot, st.variant, markOf(flashsale.Held, 0)) }
	switch {
	case !st.Known():
		if is == 0 && st.slot != none && b.slots[st.slot].variant == st.variant && !atLimit && left.remaining > 0 {
			return hold()
		}
		return s
	case st.Code == Busy:
		return s
	case st.Code == "IDEMPOTENCY_CONFLICT":
		return only(is != 0 && b.slots[st.slot].variant != st.variant, s)
	case st.Code == OK && is == 0:
		if st.slot != none && !atLimit && left.remaining > 0 && st.sees(markOf(flashsale.Held, 0)) {
			return hold()
		}
		return nil
	case st.Code == OK:
		return only(st.sees(is), s)
	case st.Code == SoldOut:
		return only(is == 0 && !atLimit && left.remaining == 0 && left.held == int32(st.Held), s)
	case st.Code == AlreadyBooked:
		return only(is == 0 && atLimit && st.shown != none && st.showing.counts() && st.sees(s.at(st.shown)), s)
	}
	return nil
}

// has counts what the account of a step has, in the sale and of the variant.
func (b *book) has(s *state, st *step) (ofSale, ofVariant int) {
	for _, slot := range b.of[st.Account] {
		if s.at(slot).counts() {
			ofSale++
			if b.slots[slot].variant == st.variant {
				ofVariant++
			}
		}
	}
	return ofSale, ofVariant
}

func (b *book) surveyed(s *state, st *step) bool {
	for i, o := range st.Counts {
		if u := s.units[i]; (units{int32(o.Remaining), int32(o.Held), int32(o.Sold)}) != u || o.Quantity != b.sale.Offers[i].Quantity {
			return false
		}
	}
	if st.Kind == Count {
		return true
	}
	listed := make([]mark, len(b.slots))
	for _, is := range st.All {
		slot := b.byID[is.ID]
		listed[slot] = b.markOf(slot, is)
	}
	for slot, m := range listed {
		if s.at(slot) != m || m.counts() && b.over[ordered{slot, m.order()}] {
			return false
		}
	}
	return true
}

func (st *step) String() string {
	var w strings.Builder
	if st.expire {
		return fmt.Sprintf("the server lets %s expire", st.Booking)
	}
	if st.server {
		w.WriteString("the server: ")
	}
	w.WriteString(string(st.Kind))
	for _, s := range []struct{ name, value string }{
		{"by", st.Account}, {"of", st.Variant}, {"key", st.Key}, {"booking", st.Booking}, {"order", st.Order},
	} {
		if s.value != "" {
			fmt.Fprintf(&w, " %s %s", s.name, s.value)
		}
	}
	switch {
	case !st.Known():
		return w.String() + " → ?"
	case st.Shown != nil:
		fmt.Fprintf(&w, " → %s %s %s", st.Code, st.Shown.ID, st.Shown.Status)
	default:
		fmt.Fprintf(&w, " → %s %s", st.Code, st.Status)
	}
	if st.Code == SoldOut {
		fmt.Fprintf(&w, ", %d held", st.Held)
	}
	for _, o := range st.Counts {
		fmt.Fprintf(&w, ", %d left %d held %d sold", o.Remaining, o.Held, o.Sold)
	}
	return w.String()
}

func (b *book) describe(s *state) string {
	var w strings.Builder
	for i, u := range s.units {
		fmt.Fprintf(&w, "%s: %d left, %d held, %d sold; ", b.sale.Offers[i].VariantID, u.remaining, u.held, u.sold)
	}
	for slot, is := range b.slots {
		if m := s.at(slot); m.counts() {
			fmt.Fprintf(&w, "%s %s, ", is.ID, m.status())
		}
	}
	return strings.TrimRight(w.String(), ",; ")
}
