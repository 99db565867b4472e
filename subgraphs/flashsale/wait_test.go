package flashsale_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/flashsale"
)

// standing is a desk of one ticket, which is as it says at the time.
type standing struct {
	flashsale.Desk
	ticket func() flashsale.Ticket
	live   flashsale.Live
	asked  atomic.Int32
}

func (s *standing) LookUp(context.Context, string) (flashsale.Standing, error) {
	s.asked.Add(1)
	return flashsale.Standing{Ticket: s.ticket(), Live: s.live}, nil
}

// Who lets their turn go by is told so within two seconds, though nothing else happens in the sale, and at the price of one question.
// What was begun in time counts, although it is noted a moment later. The clock stands still while anybody has something to do.
func TestTheEndOfATurnIsTold(t *testing.T) {
	const turn = 5 * time.Second
	for name, c := range map[string]struct {
		then  flashsale.TicketStatus // is noted
		after time.Duration
		told  flashsale.TicketStatus
	}{
		"noted as expired":       {flashsale.TicketExpired, turn + 200*time.Millisecond, flashsale.TicketExpired},
		"not noted by anybody":   {flashsale.TicketExpired, time.Hour, flashsale.TicketExpired},
		"used":                   {flashsale.TicketUsed, time.Second, flashsale.TicketUsed},
		"used in the last ticks": {flashsale.TicketUsed, turn + 100*time.Millisecond, flashsale.TicketUsed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				until := start.Add(turn)
				sale := selling(3, 0, 5)
				sale.ID, sale.StartsAt, sale.EndsAt = id.New(id.FlashSale), start, start.Add(2*time.Hour)
				ann := viewer.Viewer{AccountID: id.New(id.Account)}
				desk := &standing{live: sale.Live(start)}
				is := flashsale.Ticket{ID: id.New(id.Ticket), SaleID: sale.ID, AccountID: ann.AccountID, Number: 1, Place: 1, Noted: flashsale.TicketAdmitted, AdmittedUntil: &until}
				desk.ticket = func() flashsale.Ticket {
					now := is
					if time.Since(start) >= c.after {
						now.Noted = c.then
					}
					return now
				}
				fs := flashsale.New(one{sale: sale}, desk, nil, clock.System)
				turns, err := fs.WatchTicket(t.Context(), ann, is.ID)
				if err != nil {
					t.Fatal(err)
				}
				if first := <-turns; first.Status != flashsale.TicketAdmitted || first.Final {
					t.Errorf("%+v", first)
				}
				before := desk.asked.Load()
				end := <-turns
				if end == nil || end.Status != c.told || !end.Final || time.Now().Before(until) || time.Since(until) > 2*time.Second || desk.asked.Load() != before+1 {
					t.Errorf("%v after its turn, and %d questions, it is told %+v", time.Since(until), desk.asked.Load()-before, end)
				}
				if more, open := <-turns; open {
					t.Errorf("after the end it is told %+v", more)
				}
			})
		})
	}
}
