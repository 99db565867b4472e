package postgres_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/subgraphs/inventory"
	"github.com/souk-shop/souk/subgraphs/inventory/postgres"
)

// Holds that end alone, or many in one transaction; they were made alone, or many on one sheet.
func BenchmarkEnd(b *testing.B) {
	for _, c := range []struct{ together, sheet int }{{1, 1}, {1, 256}, {16, 1}, {16, 256}, {256, 1}, {256, 256}} {
		b.Run(fmt.Sprintf("%d/sheets of %d", c.together, c.sheet), func(b *testing.B) {
			s := open(b)
			config := s.pool.Config().Copy()
			config.MaxConns = 1
			pool, err := pgxpool.NewWithConfig(b.Context(), config)
			if err != nil {
				b.Fatal(err)
			}
			defer pool.Close()
			store := postgres.NewStore(pool)
			v := s.stocked(1_000_000, s.warehouse("BLR-1"))
			var held []string
			const warm = 10 // until PostgreSQL has its plans
			for len(held) < (b.N+warm)*c.together {
				requests := make([]inventory.HoldRequest, c.sheet)
				for i := range requests {
					if requests[i], err = inventory.RequestHold(s.request(lines(1, v)...)); err != nil {
						b.Fatal(err)
					}
				}
				answers, err := s.store.Hold(b.Context(), requests, s.clock.Now())
				if err != nil {
					b.Fatal(err)
				}
				for _, a := range answers {
					held = append(held, a.Reply.ReservationID)
				}
			}
			end := func(these []string) {
				is, err := store.EndTogether(b.Context(), these, inventory.Committed, s.clock.Now())
				if err != nil || slices.ContainsFunc(is, func(s inventory.Status) bool { return s != inventory.Committed }) {
					b.Fatal(is, err)
				}
			}
			lots := slices.Collect(slices.Chunk(held[:(b.N+warm)*c.together], c.together))
			for _, lot := range lots[:warm] {
				end(lot)
			}
			report := instructions(b, pool)
			b.ResetTimer()
			for _, lot := range lots[warm:] {
				end(lot)
			}
			report(b.N * c.together)
		})
	}
}

// One caller who holds one variant again and again; or who gives each hold back before the next.
func BenchmarkHoldThenEnd(b *testing.B) {
	for _, ends := range []bool{false, true} {
		b.Run(fmt.Sprint(ends), func(b *testing.B) {
			s := open(b, pgtest.MaxConns(2))
			v := s.stocked(1_000_000, s.warehouse("BLR-1"))
			once := func() {
				r := s.held(lines(1, v)...)
				if ends {
					if _, err := s.inv.Release(b.Context(), ref(r)); err != nil {
						b.Fatal(err)
					}
				}
			}
			for range 10 { // until PostgreSQL has its plans
				once()
			}
			report := instructions(b, s.pool)
			b.ResetTimer()
			for range b.N {
				once()
			}
			report(b.N)
		})
	}
}
