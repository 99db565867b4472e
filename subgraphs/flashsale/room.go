package flashsale

import (
	"context"
	"math"
	"time"

	"github.com/souk-shop/souk/internal/fault"
)

// A Policy is how people get into a sale.
type Policy string

// The policies. With OpenDoor there is no waiting room.
const (
	OpenDoor Policy = "OPEN_DOOR"
	FIFO     Policy = "FIFO"
	Lottery  Policy = "LOTTERY"
)

// An Entry is how people get into a sale, in detail.
type Entry struct {
	Admission      Policy
	RoomOpensAt    time.Time // not after the start; the zero time in a plan is for the usual time before it
	Difficulty     int       // of a challenge: the numbers to try
	AdmitPerSecond int
	AdmissionTime  time.Duration // that who is let in may take to book
}

const (
	usualWait        = 10 * time.Minute // between the opening of the room and the start
	longestWait      = 7 * 24 * time.Hour
	leastDifficulty  = 1_000
	mostDifficulty   = 10_000_000
	mostPerSecond    = 10_000
	shortestAdmitted = 5 * time.Second
	longestAdmitted  = 15 * time.Minute
)

// orOpen returns an open door for the entry of a plan that says nothing about it.
func (e Entry) orOpen() Entry {
	if e == (Entry{}) {
		return Entry{Admission: OpenDoor, Difficulty: 50_000, AdmitPerSecond: 100, AdmissionTime: 2 * time.Minute}
	}
	return e
}

// HasRoom tells whether people wait before they book.
func (e Entry) HasRoom() bool { return e.Admission == FIFO || e.Admission == Lottery }

// check keeps the bounds that the schema states.
func (e Entry) check(startsAt time.Time) error {
	switch {
	case !e.HasRoom() && e.Admission != OpenDoor:
		return invalid("%.40q is no way in", e.Admission).At("input", "admission")
	case !e.RoomOpensAt.IsZero() && (e.RoomOpensAt.After(startsAt) || startsAt.Sub(e.RoomOpensAt) > longestWait):
		return invalid("a waiting room opens before the start, within 7 days").At("input", "roomOpensAt")
	case e.Difficulty < leastDifficulty || e.Difficulty > mostDifficulty:
		return invalid("a challenge has %d to %d numbers", leastDifficulty, mostDifficulty).At("input", "challengeDifficulty")
	case e.AdmitPerSecond < 1 || e.AdmitPerSecond > mostPerSecond:
		return invalid("1 to %d are let in each second", mostPerSecond).At("input", "admitPerSecond")
	case e.AdmissionTime < shortestAdmitted || e.AdmissionTime > longestAdmitted:
		return invalid("an admission lasts %d to %d seconds", int(shortestAdmitted.Seconds()), int(longestAdmitted.Seconds())).At("input", "admissionSeconds")
	}
	return nil
}

// become is the entry as a plan wants it, for a sale that starts at a time and whose room may be open already.
func (e Entry) become(p Entry, startsAt time.Time, isOpen bool) Entry {
	switch {
	case !p.RoomOpensAt.IsZero():
	case isOpen:
		p.RoomOpensAt = e.RoomOpensAt
	default:
		p.RoomOpensAt = startsAt.Add(-usualWait)
	}
	if p.RoomOpensAt.After(startsAt) {
		p.RoomOpensAt = startsAt // the start has moved to before it
	}
	return p
}

// A Room is the waiting room of a sale, in numbers. Places in the queue are numbered from 1: those of the draw first, in its order,
// then the others in the order of joining.
type Room struct {
	Joined   int64      // tickets ever given; the newest has this number
	Entrants int64      // of these, those that take part in the draw: the first ones
	Called   int64      // places whose turn has come
	ClosedAt *time.Time // since when nobody joins the draw any more
	DrawnAt  *time.Time
	Metered  *time.Time // since when people may be let in, at the sale's rate
	Pace     float64    // people let in each second, lately
	PacedAt  *time.Time
	Rev      int64 // rises with every change
}

// Waiting returns how many people's turn is to come.
func (r Room) Waiting() int64 { return r.Joined - r.Called }

// Rooms keeps who waits. Every method is one transaction; any of them may run at once, on any number of machines.
type Rooms interface {
	// Join has each of these accounts, in their order, join the room of a sale by the rules of its lobby. ErrNoSale when there is none.
	Join(ctx context.Context, saleID string, accounts []string, at time.Time) ([]JoinResult, error)
	// Admit has the rule decide, unless another process is about it, how many are let in. Before that it notes whose turn went by, and
	// makes the draw that is due: who joins meanwhile does not wait for it.
	Admit(ctx context.Context, saleID string, at time.Time, rule func(r *Room, s Sale, out int) int) error
	// RoomsToServe lists up to most sales in whose rooms there is something to do.
	RoomsToServe(ctx context.Context, at time.Time, most int) ([]string, error)
}

// A Queue answers questions about who waits.
type Queue interface {
	// TicketsByID finds tickets, with their places.
	TicketsByID(ctx context.Context, ids []string) ([]Ticket, error)
	// NewestTickets finds the newest ticket that an account has of each sale, with its place.
	NewestTickets(ctx context.Context, accountID string, saleIDs []string) ([]Ticket, error)
	// Drawn lists the tickets of a draw behind a place, in its order.
	Drawn(ctx context.Context, saleID string, after int64, first int) ([]string, error)
	// Waiting counts whose turn is to come, of every sale with a waiting room that is not over. It reads a row for each sale.
	Waiting(ctx context.Context) (map[string]int, error)
}

// The refusals of joining.
var (
	ErrNoRoom     = fault.New(fault.Conflict, "NO_WAITING_ROOM", "the sale has no waiting room: book right away").At("input", "saleId")
	ErrSoldForAll = fault.New(fault.Conflict, "SOLD_OUT", "every unit is sold; there is nothing to wait for").At("input", "saleId")
	ErrNoTicket   = fault.New(fault.NotFound, "NOT_FOUND", "there is no such ticket")
)

const (
	meterPoll  = 200 * time.Millisecond
	mostBurst  = 500 * time.Millisecond // of people let in at once, after the meter stood still
	paceWindow = 5 * time.Second        // that the pace looks back
	standstill = 0.01                   // a pace that is none
)

// slack is how many more may be let in than there are units, as not all will book.
func slack(remaining int) int { return remaining / 10 }

// Meter says how many are let in now, with so many out there who were let in and have neither booked nor run out of time. Never
// more than wait, than there are units for, and than the sale lets in each second.
func (r *Room) Meter(s Sale, at time.Time, out int) int {
	rate := float64(s.AdmitPerSecond)
	first := at.Add(-meterPoll)
	since := r.Metered
	if since == nil {
		since = &first
	}
	credit := min(at.Sub(*since).Seconds()*rate, max(mostBurst.Seconds()*rate, 1+meterPoll.Seconds()*rate))
	if r.Metered == nil {
		credit = max(credit, 1)
	}
	remaining, _, _ := s.Counts()
	room := remaining + slack(remaining) - out
	n := max(0, min(int(credit), room, int(r.Waiting())))
	if n > 0 {
		unused := at.Add(-time.Duration((credit - float64(n)) / rate * float64(time.Second)))
		r.Metered = &unused
	}
	r.pace(at, rate, n)
	return n
}

// pace notes how fast it goes.
func (r *Room) pace(at time.Time, rate float64, n int) {
	if r.PacedAt == nil || at.Sub(*r.PacedAt) > 2*paceWindow && n > 0 { // nobody waited meanwhile, or nothing was left
		r.Pace, r.PacedAt = rate, &at
		return
	}
	since := at.Sub(*r.PacedAt)
	if since <= 0 || n == 0 && (since < time.Second || r.Pace < standstill) {
		return // not worth a note
	}
	weight := 1 - math.Exp(-since.Seconds()/paceWindow.Seconds())
	r.Pace += (float64(n)/since.Seconds() - r.Pace) * weight
	r.PacedAt = &at
}

// perSecond is how fast people are let in, as far as anybody can say.
func (s Sale) perSecond() float64 {
	if s.Room.PacedAt == nil {
		return float64(s.AdmitPerSecond)
	}
	return s.Room.Pace
}
