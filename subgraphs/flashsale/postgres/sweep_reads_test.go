package postgres_test

import (
	"testing"
	"time"

	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/subgraphs/flashsale/postgres"
)

// What the sweeper reads several times a second does not grow with what is held. The statistics of the table are
// as they are at the start of a sale: they say that nothing is held, and the index of the pools looks as good as the one by time.
func TestTheSweeperReadsLittle(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t, postgres.Migrations)
	s := postgres.NewStore(pool)
	const many = 10_000
	run := func(sql string, args ...any) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	run(`ALTER TABLE bookings DISABLE TRIGGER ALL`) // there is no sale, nor a log
	run(`ALTER TABLE bookings SET (autovacuum_enabled = off)`)
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	hold := func(names string, at time.Time) {
		t.Helper()
		run(`INSERT INTO bookings (id, sale_id, variant_id, account_id, key, status, amount, currency, order_id, created_at, updated_at, expires_at, sale_slot, variant_slot)
			SELECT $1 || n, 'fsl_01M8111HGJ7V3QFF555SJKKZK4', 'var_01M8111HGJ7V3QFF555SJKKZK4', $1 || n, 'k', 'HELD', 1, 'USD', '', $2, $2, $2::timestamptz + n * interval '1 ms', 1, 1
			FROM generate_series(1, $3::int) AS n`, names, at, many)
	}
	hold("a", now)
	run(`UPDATE bookings SET status = 'EXPIRED'`)
	run(`VACUUM ANALYZE bookings`)
	run(`REINDEX INDEX bookings_next_to_end`)
	hold("b", now.Add(time.Minute))
	before := pgtest.Reads(t, pool, "bookings")
	if _, _, err := s.NextMoment(t.Context()); err != nil {
		t.Fatal(err)
	}
	next := pgtest.Reads(t, pool, "bookings")
	if due, err := s.DueBookings(t.Context(), now, 200); err != nil || len(due) > 0 {
		t.Fatal(len(due), err)
	}
	if after := pgtest.Reads(t, pool, "bookings"); next-before > 10 || after-next > 10 {
		t.Errorf("%d read for the next moment and %d for what is due", next-before, after-next)
	}
}
