package postgres_test

import (
	"testing"

	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/subgraphs/inventory"
	"github.com/souk-shop/souk/subgraphs/inventory/postgres"
)

// What a hold costs does not depend on how many there were: neither it nor its checks, nor those of its end, read what is long done.
func TestTheHundredthHoldReadsNoMoreThanTheFirst(t *testing.T) {
	for name, how := range map[string]func(t *testing.T, s *shop, request inventory.HoldRequest) string{
		"guessed": func(t *testing.T, s *shop, request inventory.HoldRequest) string { return s.hold(s.store, request) },
		"behind the lock": func(t *testing.T, s *shop, request inventory.HoldRequest) string {
			return s.hold(postgres.NewStore(s.pool), request) // which knows nothing yet
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := setup(t)
			v := s.stocked(1000, s.warehouse("BLR-1"))
			reads := func() int64 {
				return pgtest.Reads(t, s.pool, "sheets", "movements", "endings", "hold_answers", "answers", "outbox")
			}
			lot := func() (holds, ends int64) {
				var held []string
				before := reads()
				for range 20 {
					request, err := inventory.RequestHold(s.request(lines(1, v)...))
					if err != nil {
						t.Fatal(err)
					}
					held = append(held, how(t, s, request))
				}
				between := reads()
				for _, res := range held {
					if _, err := s.store.End(t.Context(), res, inventory.Released, s.clock.Now()); err != nil {
						t.Fatal(err)
					}
				}
				return between - before, reads() - between
			}
			lot() // so that all plans are made
			firstHolds, firstEnds := lot()
			for range 10 {
				lot()
			}
			if holds, ends := lot(); holds > 2*firstHolds || ends > 2*firstEnds { // and not twelve times as many
				t.Errorf("20 holds and their ends read %d and %d rows, %d and %d in the beginning", holds, ends, firstHolds, firstEnds)
			}
		})
	}
}

func (s *shop) hold(store inventory.Store, request inventory.HoldRequest) string {
	answers, err := store.Hold(s.t.Context(), []inventory.HoldRequest{request}, s.clock.Now())
	if err != nil || answers[0].Reply.ReservationID == "" {
		s.t.Fatal(answers, err)
	}
	return answers[0].Reply.ReservationID
}
