package flashsale

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
)

type door struct {
	challenges Challenger
	tokens     Tokens
}

// errNoDoor is what a shop says that was built without one.
var errNoDoor = fault.New(fault.Unavailable, "UNAVAILABLE", "nobody stands at the door")

// Guarded has somebody stand at the door of the waiting rooms: who sets challenges, and who signs admissions.
func (fs *FlashSales) Guarded(by Challenger, with Tokens) *FlashSales {
	fs.door = door{by, with}
	return fs
}

// Challenge sets the viewer work to be done before joining; nil while nobody can join.
func (fs *FlashSales) Challenge(who viewer.Viewer, s Sale) (*Challenge, error) {
	now := fs.clock.Now()
	switch status := s.Status(now); {
	case !who.SignedIn():
		return nil, ErrUnauthenticated
	case !s.HasRoom(), status == Scheduled, status == Ended, status == Cancelled, status == SoldOut && s.soldForAll():
		return nil, nil
	case fs.door.challenges == nil:
		return nil, errNoDoor
	}
	c, err := fs.door.challenges.Issue(s.ID, who.AccountID, s.Difficulty, now)
	return &c, err
}

// Join gives the viewer a place in the waiting room of a sale, or returns the one they have.
func (fs *FlashSales) Join(ctx context.Context, who viewer.Viewer, saleID, solution string) (JoinResult, error) {
	if !who.SignedIn() {
		return JoinResult{}, ErrUnauthenticated
	}
	if err := id.Check(id.FlashSale, saleID, "input", "saleId"); err != nil {
		return JoinResult{}, err
	}
	if fs.door.challenges == nil {
		return JoinResult{}, errNoDoor
	}
	// The cheapest comes first: whoever has not done their work takes no room in a transaction.
	if err := fs.door.challenges.Verify(ctx, saleID, who.AccountID, solution, fs.clock.Now()); err != nil {
		return JoinResult{}, err
	}
	res, err := fs.desk.Join(ctx, saleID, who.AccountID)
	return res, at(err, "saleId")
}

// Turns finds where tickets stand that are the viewer's.
func (fs *FlashSales) Turns(ctx context.Context, who viewer.Viewer, ticketIDs []string) ([]Turn, error) {
	found, err := fs.TicketsByID(ctx, ticketIDs)
	if err != nil {
		return nil, err
	}
	var mine []Ticket
	for _, t := range found {
		if who.Is(t.AccountID) {
			mine = append(mine, t)
		}
	}
	return fs.turns(ctx, mine)
}

// MyTurns finds where the viewer's newest tickets of sales stand.
func (fs *FlashSales) MyTurns(ctx context.Context, who viewer.Viewer, saleIDs []string) ([]Turn, error) {
	if !who.SignedIn() {
		return nil, nil
	}
	mine, err := fs.NewestTickets(ctx, who.AccountID, saleIDs)
	if err != nil {
		return nil, err
	}
	return fs.turns(ctx, mine)
}

func (fs *FlashSales) turns(ctx context.Context, tickets []Ticket) ([]Turn, error) {
	if len(tickets) == 0 {
		return nil, nil
	}
	var ids []string
	for _, t := range tickets {
		ids = append(ids, t.SaleID)
	}
	sales, err := fs.SalesByID(ctx, ids)
	of, now := make(map[string]Live, len(sales)), fs.clock.Now()
	for _, s := range sales {
		of[s.ID] = s.Live(now)
	}
	turns := make([]Turn, len(tickets))
	for i, t := range tickets {
		turns[i] = t.Turn(of[t.SaleID], now)
	}
	return turns, err
}

// Token returns what an admitted account books with; "" for who is not admitted.
func (fs *FlashSales) Token(is Turn) (string, error) {
	if is.Status != TicketAdmitted {
		return "", nil
	}
	if fs.door.tokens == nil {
		return "", errNoDoor
	}
	return fs.door.tokens.Sign(Admission{TicketID: is.ID, SaleID: is.SaleID, AccountID: is.AccountID, ExpiresAt: *is.AdmittedUntil})
}

// admission returns the ticket of a token that is the viewer's and for this sale, or why it is not. Whether that matters is for the
// sale to say, and for the key: a booking that was made is found again when the token has long run out.
func (fs *FlashSales) admission(who viewer.Viewer, saleID, token string) (ticketID string, denied error) {
	if token == "" || fs.door.tokens == nil {
		return "", nil
	}
	a, denied := fs.door.tokens.Check(token, saleID, who.AccountID, fs.clock.Now())
	return a.TicketID, denied
}

const mostDrawn = 1000

// DrawnTickets lists the tickets of a draw behind a place, in its order; nil before it has been made.
func (fs *FlashSales) DrawnTickets(ctx context.Context, s Sale, after int64, first int) ([]string, error) {
	switch {
	case first < 1 || first > mostDrawn:
		return nil, invalid("first must be from 1 to %d", mostDrawn).At("first")
	case after < 0:
		return nil, invalid("after must not be below 0").At("after")
	case s.Admission != Lottery || s.Room.DrawnAt == nil:
		return nil, nil
	}
	found, err := fs.Drawn(ctx, s.ID, after, first)
	return append([]string{}, found...), err
}

// PromisedHash returns what is told of the seed before the draw, "" when there will be none.
func (s Sale) PromisedHash() string {
	if s.Admission != Lottery {
		return ""
	}
	return SeedHash(s.Seed)
}

// RevealedSeed returns the seed of a draw that has been made, "" before.
func (s Sale) RevealedSeed() string {
	if s.Admission != Lottery || s.Room.DrawnAt == nil {
		return ""
	}
	return hex.EncodeToString(s.Seed)
}

// WatchTicket returns where a ticket of the viewer's stands, now and as it changes, until that is final or the context ends. What
// happens in the sale is read once for all who wait; a ticket is read again when its turn has come, and when that is over.
func (fs *FlashSales) WatchTicket(ctx context.Context, who viewer.Viewer, ticketID string) (<-chan *Turn, error) {
	if !who.SignedIn() {
		return nil, ErrUnauthenticated
	}
	if err := id.Check(id.Ticket, ticketID, "ticketId"); err != nil {
		return nil, err
	}
	is, err := fs.desk.LookUp(ctx, ticketID)
	if err == nil && !who.Is(is.Ticket.AccountID) {
		err = ErrNoTicket
	}
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	news, err := fs.feed.Watch(ctx, []string{is.Ticket.SaleID}, func(ctx context.Context) ([]Live, error) {
		var err error
		is, err = fs.desk.LookUp(ctx, ticketID) // again, as something may have changed before we listened
		if err != nil {
			return nil, err
		}
		return []Live{fs.newest.with(is.Live)}, nil
	})
	if err != nil {
		cancel()
		return nil, err
	}
	out := make(chan *Turn)
	go func() {
		defer close(out)
		defer cancel()
		fs.wait(ctx, is.Ticket, news, out)
	}()
	return out, nil
}

// settling is how long after the end of a turn a booking may still be noted that was begun in time.
const settling = 500 * time.Millisecond

// wait tells where a ticket stands after every piece of news that moves it, and when its turn has gone by.
func (fs *FlashSales) wait(ctx context.Context, t Ticket, news <-chan *Live, out chan<- *Turn) {
	var live Live
	var last Turn
	over := time.NewTimer(0) // the turn
	over.Stop()
	again := func() bool {
		is, ok := fs.lookUpAgain(ctx, t.ID)
		if ok {
			t, live = is.Ticket, fs.newest.with(is.Live)
		}
		return ok
	}
	for {
		select {
		case l, more := <-news:
			if !more {
				return
			}
			live = *l
		case <-over.C:
		}
		for t.due(live) { // twice when its turn came between the reading of the ticket and that of the room
			if !again() {
				return
			}
		}
		if t.Noted == TicketAdmitted {
			now := fs.clock.Now()
			left := t.AdmittedUntil.Add(settling).Sub(now)
			if left > 0 {
				over.Reset(left)
			}
			if 0 < left && left <= settling {
				continue
			}
			if t.Turn(live, now).Final && !again() { // a unit may have been booked with it
				return
			}
		}
		is := t.Turn(live, fs.clock.Now())
		if last.ID != "" && is.sameAs(last) {
			continue
		}
		last = is
		select {
		case <-ctx.Done():
			return
		case out <- &is:
		}
		if is.Final {
			return
		}
	}
}

// due tells whether the ticket is not what it was: its place has been drawn, or its turn has come.
func (t Ticket) due(l Live) bool {
	return t.Noted == TicketWaiting && (t.Place == 0 && l.Room.Drawn || t.Place > 0 && t.Place <= l.Room.Called)
}

func (is Turn) sameAs(last Turn) bool {
	same := is.ETA == last.ETA || is.ETA != nil && last.ETA != nil && *is.ETA == *last.ETA
	return same && is.Status == last.Status && is.Final == last.Final && is.Position == last.Position
}

const lookUpPause = time.Second // on the average

// lookUpAgain reads a ticket, however long that takes: who waits is not sent away because the store is.
func (fs *FlashSales) lookUpAgain(ctx context.Context, ticketID string) (Standing, bool) {
	for {
		is, err := fs.desk.LookUp(ctx, ticketID)
		if err == nil {
			return is, true
		}
		select {
		case <-ctx.Done():
			return is, false
		case <-time.After(lookUpPause/2 + rand.N(lookUpPause)): // thousands may have been turned away at once
		}
	}
}

// Admit lets people in as there is room for them, until the context ends. Any number of processes may do so at once.
func (fs *FlashSales) Admit(ctx context.Context, report func(error)) error {
	return clock.Every(ctx, func(ctx context.Context) (time.Duration, error) { return meterPoll, fs.AdmitNow(ctx) }, report)
}

// AdmitNow makes the draws that are due, and lets in whose turn it is. A sale that fails does not keep the others.
func (fs *FlashSales) AdmitNow(ctx context.Context) error {
	now := fs.clock.Now()
	sales, err := fs.store.RoomsToServe(ctx, now, lot)
	failed := []error{err}
	for _, saleID := range sales {
		if err := fs.store.Admit(ctx, saleID, now, func(r *Room, s Sale, out int) int { return r.Meter(s, now, out) }); err != nil {
			failed = append(failed, fmt.Errorf("waiting room of %s: %w", saleID, err))
		}
	}
	return errors.Join(failed...)
}
