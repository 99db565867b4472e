package history

import (
	"time"

	"github.com/souk-shop/souk/subgraphs/flashsale"
)

// A span is between which moments something happened.
type span struct {
	from, to time.Duration
	only     bool // one operation alone asked for it, so it is that one's doing
}

// moves returns which line of the log would tell of a step, if it did something.
func (st *step) moves() Moved {
	switch {
	case st.expire:
		return Moved{st.Booking, flashsale.Expire}
	case st.Kind == Book && (st.Code == OK || !st.Known()):
		return Moved{st.named, flashsale.Hold}
	case st.Known() && st.Code != OK:
		return Moved{}
	case st.Kind == Confirm:
		return Moved{st.Booking, flashsale.Sell}
	case st.Kind == Cancel:
		return Moved{st.Booking, flashsale.Unsell}
	case st.Kind == Release, st.Kind == Decline:
		return Moved{st.Booking, flashsale.Release}
	}
	return Moved{}
}

// suggested returns when everything in the log happened, if the log has it in the right order: not before what comes before it may have
// begun, and not after anybody saw it or what comes after it.
func (b *book) suggested(ops []Operation) map[Moved]span {
	began, asked := map[Moved]time.Duration{}, map[Moved]int{}
	for _, d := range b.deeds {
		began[d.moves()] = d.call
	}
	for _, o := range ops {
		m := b.number(&o).moves()
		asked[m]++
		if at, any := began[m]; !any || o.Call < at {
			began[m] = o.Call
		}
	}
	saw := func(m Moved) time.Duration {
		i, found := b.byID[m.Booking]
		if !found {
			return Never
		}
		if m.Kind == flashsale.Hold {
			return b.slots[i].seen
		}
		status := map[flashsale.Kind]flashsale.BookingStatus{flashsale.Sell: flashsale.Booked, flashsale.Release: flashsale.Released, flashsale.Expire: flashsale.Expired, flashsale.Unsell: flashsale.Undone}
		if at, seen := b.slots[i].statusSeen[status[m.Kind]]; seen {
			return at
		}
		return Never
	}
	spans := make(map[Moved]span, len(b.log))
	var from time.Duration
	for _, m := range b.log {
		from = max(from, began[m])
		spans[m] = span{from: from, to: Never, only: asked[m] == 1}
	}
	to := Never
	for i := len(b.log) - 1; i >= 0; i-- {
		m := b.log[i]
		to = min(to, saw(m))
		spans[m] = span{spans[m].from, to, spans[m].only}
	}
	return spans
}
