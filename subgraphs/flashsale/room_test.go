package flashsale_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/souk-shop/souk/subgraphs/flashsale"
)

var ten = time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)

func selling(remaining, held, perSecond int) flashsale.Sale {
	return flashsale.Sale{
		StartsAt: ten, EndsAt: ten.Add(time.Hour), Entry: flashsale.Entry{Admission: flashsale.FIFO, AdmitPerSecond: perSecond},
		Offers: []flashsale.Offer{{Quantity: remaining + held, Remaining: remaining, Held: held}},
	}
}

// However people book, give up and come, and whenever somebody looks: never more are let in than wait, than there are units for, and
// than the sale lets in; and where nothing stands against it, all of them are.
func TestTheMeterKeepsItsBounds(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		perSecond := rapid.IntRange(1, 2000).Draw(r, "rate")
		sale := selling(rapid.IntRange(0, 300).Draw(r, "units"), 0, perSecond)
		room := flashsale.Room{Joined: int64(rapid.IntRange(0, 2000).Draw(r, "people"))}
		now, out, since := ten, 0, 0
		for range rapid.IntRange(1, 60).Draw(r, "looks") {
			passed := time.Duration(rapid.IntRange(0, 900).Draw(r, "ms")) * time.Millisecond
			now = now.Add(passed)
			n := room.Meter(sale, now, out)
			left := sale.Offers[0].Remaining
			room.Called += int64(n)
			out, since = out+n, since+n
			most := float64(perSecond)*(now.Sub(ten).Seconds()+0.2) + 1
			if n < 0 || room.Called > room.Joined || float64(since) > most || n > 0 && out > left+left/10 || n > perSecond/2+1 {
				r.Fatalf("%d are let in after %v, %d are out and %d in all, for %d units at %d a second", n, passed, out, since, left, perSecond)
			}
			booked := rapid.IntRange(0, min(out, left)).Draw(r, "booked")
			sale.Offers[0].Remaining, sale.Offers[0].Held, out = left-booked, sale.Offers[0].Held+booked, out-booked
			lapsed := rapid.IntRange(0, out).Draw(r, "lapsed")
			back := rapid.IntRange(0, sale.Offers[0].Held).Draw(r, "back")
			sale.Offers[0].Remaining, sale.Offers[0].Held, out = sale.Offers[0].Remaining+back, sale.Offers[0].Held-back, out-lapsed
		}
	})
}

// At a steady look the rate is kept, not only its bound; and the pace says so.
func TestTheMeterKeepsItsRate(t *testing.T) {
	for _, perSecond := range []int{1, 7, 100, 3000} {
		sale, room := selling(1_000_000, 0, perSecond), flashsale.Room{Joined: 1_000_000}
		in := 0
		for look := range 300 { // a minute, each look a little late
			n := room.Meter(sale, ten.Add(time.Duration(look)*210*time.Millisecond), in)
			room.Called += int64(n)
			in += n
		}
		if want := float64(perSecond) * 63; float64(in) < want*0.98-1 || float64(in) > want*1.02+1 {
			t.Errorf("%d in a minute at %d a second", in, perSecond)
		}
		if room.Pace < float64(perSecond)*0.8 || room.Pace > float64(perSecond)*1.2 {
			t.Errorf("a pace of %f at %d a second", room.Pace, perSecond)
		}
	}
}

func TestATurn(t *testing.T) {
	until := ten.Add(2 * time.Minute)
	waiting := flashsale.Ticket{Noted: flashsale.TicketWaiting, Place: 30}
	admitted := flashsale.Ticket{Noted: flashsale.TicketAdmitted, Place: 3, AdmittedUntil: &until}
	live := func(status flashsale.Status, remaining, held int) flashsale.Live {
		return flashsale.Live{
			SaleID: "sale", Status: status, StartsAt: ten, Offers: []flashsale.Count{{Remaining: remaining, Held: held}},
			Room: flashsale.Progress{Joined: 50, Called: 10, Drawn: true, PerSecond: 4},
		}
	}
	for name, c := range map[string]struct {
		ticket   flashsale.Ticket
		live     flashsale.Live
		after    time.Duration
		status   flashsale.TicketStatus
		final    bool
		position int64
		eta      time.Duration // -1 for none
		poll     time.Duration // 0 for none
	}{
		"before the start":    {waiting, live(flashsale.WaitingRoom, 5, 0), -time.Minute, flashsale.TicketWaiting, false, 20, 65 * time.Second, 6500 * time.Millisecond},
		"not drawn":           {flashsale.Ticket{Noted: flashsale.TicketWaiting}, live(flashsale.WaitingRoom, 5, 0), -20 * time.Second, flashsale.TicketWaiting, false, 0, -1, 20 * time.Second},
		"long before":         {flashsale.Ticket{Noted: flashsale.TicketWaiting}, live(flashsale.WaitingRoom, 5, 0), -time.Hour, flashsale.TicketWaiting, false, 0, -1, 30 * time.Second},
		"waits":               {waiting, live(flashsale.Open, 5, 0), time.Minute, flashsale.TicketWaiting, false, 20, 5 * time.Second, time.Second},
		"all are held":        {waiting, live(flashsale.SoldOut, 0, 1), time.Minute, flashsale.TicketSoldOut, false, 20, -1, 5 * time.Second},
		"all are sold":        {waiting, live(flashsale.SoldOut, 0, 0), time.Minute, flashsale.TicketSoldOut, true, 0, -1, 0},
		"in":                  {admitted, live(flashsale.Open, 5, 0), time.Minute, flashsale.TicketAdmitted, false, 0, -1, time.Minute},
		"in, and all held":    {admitted, live(flashsale.SoldOut, 0, 2), time.Minute, flashsale.TicketAdmitted, false, 0, -1, time.Minute},
		"in, and all sold":    {admitted, live(flashsale.SoldOut, 0, 0), time.Minute, flashsale.TicketSoldOut, true, 0, -1, 0},
		"the turn went by":    {admitted, live(flashsale.Open, 5, 0), 2 * time.Minute, flashsale.TicketExpired, true, 0, -1, 0},
		"the sale is over":    {waiting, live(flashsale.Ended, 5, 0), time.Hour, flashsale.TicketExpired, true, 0, -1, 0},
		"it was called off":   {admitted, live(flashsale.Cancelled, 5, 0), time.Minute, flashsale.TicketExpired, true, 0, -1, 0},
		"used, and it is off": {flashsale.Ticket{Noted: flashsale.TicketUsed}, live(flashsale.Cancelled, 0, 0), time.Hour, flashsale.TicketUsed, true, 0, -1, 0},
	} {
		at := ten.Add(c.after)
		is := c.ticket.Turn(c.live, at)
		eta, poll := time.Duration(-1), time.Duration(0)
		if is.ETA != nil {
			eta = *is.ETA
		}
		if is.PollAfter != nil {
			poll = is.PollAfter.Sub(at)
		}
		if is.Status != c.status || is.Final != c.final || is.Position != c.position || eta != c.eta || poll != c.poll {
			t.Errorf("%s: %s, final %v, at %d, eta %v, poll after %v", name, is.Status, is.Final, is.Position, eta, poll)
		}
	}
}

// Of two tellings of a sale, the one with more movements is newer; where these are the same, the one whose room has gone further.
func TestWhatIsOldNews(t *testing.T) {
	tell := func(seq, rev int64) int64 { return flashsale.Live{Seq: seq, Room: flashsale.Progress{Rev: rev}}.Rank() }
	if !(tell(1, 9) < tell(2, 0) && tell(2, 0) < tell(2, 1) && tell(2, 1<<40) < tell(3, 0) && tell(1<<36, 1) > tell(1<<36, 0)) {
		t.Error("old news comes after new")
	}
}
