package history

import (
	"cmp"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/souk-shop/souk/subgraphs/flashsale"
)

// A book is everything a history says of one sale, numbered.
type book struct {
	sale     flashsale.Sale // as it was set up
	slots    []slot
	byID     map[string]int
	byKey    map[accountKey]int
	of       map[string][]int // by account
	variants map[string]int
	orders   map[string]mark // numbered within their booking
	sweeps   []Operation
	answered []Operation
	log      []Moved
	last     time.Duration        // when the last answer came
	census   bool                 // somebody looked at everything after all else
	asked    map[string]Operation // the first Checkout for each order, by booking and order, and the first CancelOrder
	over     map[ordered]bool     // orders that buyers were told will keep no unit
	deeds    []deed
}

type accountKey struct{ account, key string }

// A slot is one booking that somebody was shown, with the moments from which on there is no doubt of what became of it.
type slot struct {
	flashsale.Booking // as it was shown first
	variant           int
	unpaid, paid      time.Time         // until when it is kept, before and after an order begins to pay
	tried             mark              // orders that tried to pay for it
	final             flashsale.Booking // as it was shown last
	seen              time.Duration
	statusSeen        map[flashsale.BookingStatus]time.Duration
	orderSeen         map[string]time.Duration
}

func (s slot) ends(is mark) time.Time {
	if is.order() != 0 && !s.paid.IsZero() || s.unpaid.IsZero() {
		return s.paid
	}
	return s.unpaid
}

func read(sale flashsale.Sale, ops []Operation) *book {
	b := &book{sale: sale, byID: map[string]int{}, byKey: map[accountKey]int{}, of: map[string][]int{}, variants: map[string]int{}, orders: map[string]mark{}, asked: map[string]Operation{}, over: map[ordered]bool{}}
	for i, o := range sale.Offers {
		b.variants[o.VariantID] = i
	}
	answered := slices.DeleteFunc(slices.Clone(ops), func(o Operation) bool { return !o.Known() })
	slices.SortStableFunc(answered, func(x, y Operation) int { return cmp.Compare(x.Return, y.Return) })
	b.answered = answered
	var quiet time.Duration // from when on nothing was asked any more, but for a census
	for _, o := range ops {
		if o.Kind == Sweep {
			b.sweeps = append(b.sweeps, o)
		}
		if o.Kind != Census {
			quiet = max(quiet, o.Call)
		}
		if o.Kind != Census && o.Known() {
			quiet = max(quiet, o.Return)
		}
	}
	for _, o := range answered {
		b.last = max(b.last, o.Return)
		b.census = b.census || o.Kind == Census && o.Call >= quiet
		if o.Log != nil {
			b.log = o.Log
		}
		if o.Shown != nil {
			b.show(*o.Shown, o.Public, o.Return)
		}
		for _, is := range o.All {
			b.show(is, false, o.Return)
		}
	}
	for _, o := range answered { // answers that show less than a booking
		if i, found := b.byID[o.Booking]; found {
			b.slots[i].learn(o)
		}
	}
	for _, o := range ops {
		if _, found := b.byKey[accountKey{o.Account, o.Key}]; o.Kind == Book && !o.Known() && !b.census && !found {
			// Nobody was shown it, but it may have its unit.
			b.show(flashsale.Booking{ID: "the booking under " + o.Key, AccountID: o.Account, VariantID: o.Variant, Key: o.Key, Status: flashsale.Held}, false, Never)
		}
	}
	b.own(ops)
	return b
}

func (b *book) show(is flashsale.Booking, public bool, at time.Duration) {
	i, found := b.byID[is.ID]
	if !found {
		i = len(b.slots)
		b.byID[is.ID] = i
		b.of[is.AccountID] = append(b.of[is.AccountID], i)
		b.slots = append(b.slots, slot{
			Booking: is, variant: b.variants[is.VariantID], seen: at, statusSeen: map[flashsale.BookingStatus]time.Duration{}, orderSeen: map[string]time.Duration{},
		})
	}
	s := &b.slots[i]
	if is.Key != "" && (!found || s.Key == "") {
		s.Key = is.Key
		if _, twice := b.byKey[accountKey{is.AccountID, is.Key}]; !twice { // else it is wrong, and found to be
			b.byKey[accountKey{is.AccountID, is.Key}] = i
		}
	}
	unpaid := is.CreatedAt.Add(b.sale.HoldTime)
	switch {
	case is.OrderID == "" && !(public && is.ExpiresAt.After(unpaid)):
		s.unpaid = is.ExpiresAt
	default:
		s.paid = is.ExpiresAt
		if s.unpaid.IsZero() && !is.CreatedAt.IsZero() {
			s.unpaid = unpaid
		}
	}
	if public {
		is.OrderID = s.final.OrderID
	}
	if is.OrderID != "" {
		first(s.orderSeen, is.OrderID, at)
		b.order(i, is.OrderID)
	}
	if is.Status == flashsale.Undone {
		first(s.statusSeen, flashsale.Booked, at)
	}
	first(s.statusSeen, is.Status, at)
	s.final = is
}

// learn takes in an answer that names the booking and shows what became of it.
func (s *slot) learn(o Operation) {
	switch o.Kind {
	case Checkout: // its status is the order's
		if o.Code == Placed {
			first(s.statusSeen, flashsale.Booked, o.Return)
		}
		return
	case CancelOrder:
		return
	}
	if o.Status != "" {
		first(s.statusSeen, flashsale.BookingStatus(o.Status), o.Return)
	}
	if o.Code != OK {
		return
	}
	switch o.Kind {
	case Pay:
		s.paid = o.Ends
		first(s.orderSeen, o.Order, o.Return)
	case Confirm:
		first(s.statusSeen, flashsale.Booked, o.Return)
	case Cancel:
		if o.Status == string(flashsale.Undone) {
			first(s.statusSeen, flashsale.Booked, o.Return)
		}
	}
}

func first[K comparable](m map[K]time.Duration, k K, at time.Duration) {
	if before, seen := m[k]; !seen || at < before {
		m[k] = at
	}
}

// order numbers an order within its booking.
func (b *book) order(slot int, orderID string) mark {
	name := b.slots[slot].ID + " " + orderID
	if n, found := b.orders[name]; found {
		return n
	}
	b.slots[slot].tried++
	b.orders[name] = b.slots[slot].tried
	return b.slots[slot].tried
}

func (b *book) markOf(slot int, is flashsale.Booking) mark {
	var order mark
	if is.OrderID != "" {
		order = b.order(slot, is.OrderID)
	}
	return markOf(is.Status, order)
}

func (b *book) initial() *state {
	s := &state{marks: make([]*[chunk]mark, len(b.slots)/chunk+1), units: make([]units, len(b.sale.Offers))}
	for i := range s.marks {
		s.marks[i] = new([chunk]mark)
	}
	for i, o := range b.sale.Offers {
		s.units[i].remaining = int32(o.Quantity)
	}
	return s
}

// operations returns the history as porcupine takes it, with what nobody was answered at the moments suggested.
func (b *book) operations(ops []Operation, suggested map[Moved]span) []porcupine.Operation {
	var out []porcupine.Operation
	add := func(st *step, call, ret time.Duration, client int) {
		if ret == Never {
			ret = b.last + 1
		}
		if s, any := suggested[st.moves()]; any && (!st.Known() || st.server || s.only) && max(s.from, call) <= min(s.to, ret) {
			call, ret = max(s.from, call), min(s.to, ret)
		}
		if ret < call {
			st.wrong, ret = true, call
		}
		out = append(out, porcupine.Operation{ClientId: client, Input: st, Call: int64(call), Return: int64(ret)})
	}
	clients := 0
	unknown := map[Input]*Operation{}
	for _, o := range ops {
		clients = max(clients, o.Client+1)
		switch {
		case o.Kind == Sweep:
		case o.Known():
			add(b.number(&o), o.Call, o.Return, o.Client)
		default:
			if heard, may := b.heardBy(o); !may {
			} else if o.Kind == Pay {
				add(b.number(&o), o.Call, heard, o.Client)
			} else if unknown[o.Input] == nil || o.Call < unknown[o.Input].Call {
				unknown[o.Input] = &o // whatever a later try did, which is done once, the first may have done
			}
		}
	}
	for _, o := range unknown {
		heard, _ := b.heardBy(*o)
		add(b.number(o), o.Call, heard, o.Client)
	}
	for _, d := range b.deeds {
		ret := d.ret
		if d.Kind == Pay {
			for _, later := range []flashsale.Kind{flashsale.Sell, flashsale.Release, flashsale.Expire} {
				if s, any := suggested[Moved{d.Booking, later}]; any && s.to >= d.call {
					ret = min(ret, s.to)
				}
			}
		}
		add(d.step, d.call, ret, clients)
	}
	return out
}

// number looks up what an operation names.
func (b *book) number(o *Operation) *step {
	st := &step{Operation: o, slot: none, shown: none}
	if o.Kind == Book {
		if i, found := b.byKey[accountKey{o.Account, o.Key}]; found {
			st.slot, st.named = i, b.slots[i].ID
		}
	} else if i, found := b.byID[o.Booking]; found {
		st.slot = i
	}
	if o.Variant != "" {
		i, offered := b.variants[o.Variant]
		st.variant, st.wrong = i, !offered
	}
	if o.Order != "" && st.slot != none {
		st.order = b.order(st.slot, o.Order)
	}
	if o.Shown != nil {
		st.shown = b.byID[o.Shown.ID]
		st.showing = b.markOf(st.shown, *o.Shown)
		is := b.slots[st.shown]
		same := is.AccountID == o.Shown.AccountID && is.VariantID == o.Shown.VariantID && (is.Key == o.Shown.Key || o.Public && o.Shown.Key == "")
		asked := st.shown == st.slot || o.Code == AlreadyBooked && is.AccountID == o.Account
		if o.Kind == Book && o.Code == OK {
			asked = asked && is.VariantID == o.Variant
		}
		st.wrong = st.wrong || !same || !asked
	}
	if o.Kind == Count || o.Kind == Census {
		st.wrong = st.wrong || len(o.Counts) != len(b.sale.Offers)
	}
	for _, is := range o.All {
		st.wrong = st.wrong || b.byKey[accountKey{is.AccountID, is.Key}] != b.byID[is.ID]
	}
	return st
}

// heardBy returns until when an operation without an answer was heard, if it was: until somebody saw what it asked for. It is false
// when the last look at everything does not show it, so that it was never heard, or came too late to change anything.
func (b *book) heardBy(o Operation) (time.Duration, bool) {
	i, found := b.byID[o.Booking]
	if o.Kind == Book {
		i, found = b.byKey[accountKey{o.Account, o.Key}]
	}
	if !found {
		return Never, false
	}
	s := b.slots[i]
	at, seen := Never, false
	switch o.Kind {
	case Book:
		at, seen = s.seen, true
	case Release, Decline:
		at, seen = s.statusSeen[flashsale.Released], s.statusSeen[flashsale.Released] != 0
	case Confirm:
		at, seen = s.statusSeen[flashsale.Booked], s.statusSeen[flashsale.Booked] != 0
	case Cancel:
		at, seen = s.statusSeen[flashsale.Undone], s.statusSeen[flashsale.Undone] != 0
	case Pay:
		at, seen = s.orderSeen[o.Order], s.orderSeen[o.Order] != 0
	default: // it only looked
		return Never, false
	}
	if !seen {
		return Never, !b.census
	}
	// What was seen before it began is not its doing; then it changed nothing.
	return max(at, o.Call), true
}
