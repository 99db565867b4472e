package flashsale

import (
	"math"
	"time"

	"github.com/souk-shop/souk/internal/id"
)

// A TicketStatus is where a ticket stands.
type TicketStatus string

// The statuses of a ticket. SOLD_OUT is never noted: it follows from the counts of the sale.
const (
	TicketWaiting  TicketStatus = "WAITING"
	TicketAdmitted TicketStatus = "ADMITTED"
	TicketUsed     TicketStatus = "USED"
	TicketExpired  TicketStatus = "EXPIRED"
	TicketSoldOut  TicketStatus = "SOLD_OUT"
)

// A Ticket is an account's place in the waiting room of a sale.
type Ticket struct {
	ID            string
	SaleID        string
	AccountID     string
	Number        int64        // in the order of joining
	Lot           *int64       // nil when it takes no part in a draw
	Noted         TicketStatus // what was noted last; its turn says what holds now
	JoinedAt      time.Time
	AdmittedUntil *time.Time // set when its turn has come
	BookingID     string     // what was booked with it, "" for nothing
	Place         int64      // in the queue, from 1; 0 before the draw
}

// Admits tells whether a unit can be booked with the ticket.
func (t Ticket) Admits(at time.Time) bool {
	return t.Noted == TicketAdmitted && t.AdmittedUntil != nil && at.Before(*t.AdmittedUntil)
}

// Alive tells whether the ticket waits, or can be booked with.
func (t Ticket) Alive(at time.Time) bool { return t.Noted == TicketWaiting || t.Admits(at) }

// A Turn is where a ticket stands at a moment.
type Turn struct {
	Ticket
	Status    TicketStatus
	Final     bool
	Position  int64          // 0 when nobody can say, or it does not matter any more
	ETA       *time.Duration // nil when nobody can say
	PollAfter *time.Time     // nil when it is over
}

// IsEntity lets other subgraphs refer to tickets.
func (Turn) IsEntity() {}

const (
	soonestPoll = time.Second
	latestPoll  = 30 * time.Second
	usualPoll   = 5 * time.Second
)

// Turn says where the ticket stands, with the sale as it is.
func (t Ticket) Turn(l Live, at time.Time) Turn {
	is := Turn{Ticket: t, Status: t.Noted}
	gone := l.Status == SoldOut
	switch {
	case t.Noted == TicketUsed:
	case t.Noted == TicketExpired, t.Noted == TicketAdmitted && !t.Admits(at), l.Status == Ended, l.Status == Cancelled:
		is.Status = TicketExpired
	case gone && l.Held() == 0:
		is.Status, is.Final = TicketSoldOut, true
	case t.Noted == TicketAdmitted:
		is.PollAfter = t.AdmittedUntil
		return is
	default:
		if gone {
			is.Status = TicketSoldOut
		}
		is.wait(l, at)
		return is
	}
	is.Final = true
	return is
}

// wait says how long the wait will be.
func (is *Turn) wait(l Live, at time.Time) {
	poll := usualPoll
	start := max(0, l.StartsAt.Sub(at))
	if is.Place > 0 {
		is.Position = max(1, is.Place-l.Room.Called)
		if l.Room.PerSecond >= standstill && is.Status == TicketWaiting {
			eta := start + time.Duration(math.Ceil(float64(is.Position)/l.Room.PerSecond))*time.Second
			is.ETA, poll = &eta, eta/10
		}
	} else if start > 0 {
		poll = start
	}
	next := at.Add(min(max(poll, soonestPoll), latestPoll))
	is.PollAfter = &next
}

// A JoinResult is what comes of joining: a ticket, or why there is none.
type JoinResult struct {
	Standing
	PollAfter *time.Time // there were too many; nothing was tried
	Err       error
}

// A Standing is a ticket and what it stands in.
type Standing struct {
	Ticket Ticket
	Live   Live
}

// A Lobby is the waiting room of a sale while one transaction has it to itself. Its methods are the rules by which tickets are given.
type Lobby struct {
	At   time.Time
	Sale *Sale

	newest map[string]Ticket // by account
	has    map[string]int    // units, by account
	given  []Ticket
}

// NewLobby returns the lobby of a sale for accounts that have these tickets, the newest of each, and so many units.
func NewLobby(at time.Time, s Sale, newest []Ticket, has map[string]int) *Lobby {
	s.AsOf = at
	l := &Lobby{At: at, Sale: &s, newest: map[string]Ticket{}, has: has}
	for _, t := range newest {
		l.newest[t.AccountID] = t
	}
	return l
}

// Given returns the tickets that are new.
func (l *Lobby) Given() []Ticket { return l.given }

// Join returns the account's ticket, which is a new one if it has none, or none that is good for anything though it may book more.
func (l *Lobby) Join(accountID string) (Ticket, error) {
	had, any := l.newest[accountID]
	switch {
	case any && (had.Alive(l.At) || had.Noted == TicketAdmitted): // one that ran out this moment is noted in the next
		return had, nil
	case any && had.Noted == TicketUsed && l.has[accountID] >= l.Sale.LimitPerAccount:
		return had, nil // its booking is all it may have
	}
	switch status := l.Sale.Status(l.At); {
	case !l.Sale.HasRoom():
		return Ticket{}, ErrNoRoom
	case status == Scheduled:
		return Ticket{}, ErrNotOpen.Says("the waiting room opens at %s", l.Sale.RoomOpensAt.Format(time.RFC3339))
	case status == Ended, status == Cancelled:
		return Ticket{}, ErrNotOpen.Says("the sale is over")
	case status == SoldOut && l.Sale.soldForAll():
		return Ticket{}, ErrSoldForAll
	}
	return l.give(accountID), nil
}

// soldForAll tells whether no unit is left and none can come back.
func (s Sale) soldForAll() bool {
	remaining, held, _ := s.Counts()
	return remaining+held == 0
}

func (l *Lobby) give(accountID string) Ticket {
	r := &l.Sale.Room
	// Who takes part in the draw joined before anybody who does not, whatever the clocks of those who gave the tickets.
	drawn := l.Sale.Admission == Lottery && l.At.Before(l.Sale.StartsAt) && r.ClosedAt == nil && r.Entrants == r.Joined
	r.Joined++
	t := Ticket{ID: id.New(id.Ticket), SaleID: l.Sale.ID, AccountID: accountID, Number: r.Joined, Noted: TicketWaiting, JoinedAt: l.At}
	if drawn {
		lot := Lot(l.Sale.Seed, t.ID)
		t.Lot = &lot
		r.Entrants++
	} else {
		t.Place = t.Number
	}
	if len(l.given) == 0 {
		r.Rev++
	}
	l.given, l.newest[accountID] = append(l.given, t), t
	return t
}

// Present shows the stand the tickets with which requests come.
func (s *Stand) Present(tickets []Ticket) {
	s.tickets = map[string]*Ticket{}
	for _, t := range tickets {
		s.tickets[t.ID] = &t
	}
}

// Used returns the tickets that units were booked with.
func (s *Stand) Used() []Ticket { return s.used }

// admitted returns the ticket that a request comes with, if it takes one and this one will do.
func (s *Stand) admitted(r BookRequest) (*Ticket, error) {
	if !s.Sale.HasRoom() {
		return nil, nil
	}
	if t := s.tickets[r.TicketID]; t != nil && t.SaleID == s.Sale.ID && t.AccountID == r.AccountID && t.Admits(s.At) {
		return t, nil
	}
	if r.Denied != nil {
		return nil, r.Denied
	}
	return nil, ErrNotAdmitted
}

// use notes that a unit was booked with a ticket.
func (s *Stand) use(t *Ticket, b *Booking) {
	if t != nil {
		t.Noted, t.BookingID = TicketUsed, b.ID
		s.used = append(s.used, *t)
	}
}
