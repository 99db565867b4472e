package pgtest

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Reads returns how many rows and entries of indexes the database has read so far, in everything that is over: what to compare with where
// a cost must not grow with the tables. On tables as small as a test's, a question that reads all of them takes no time to speak of.
func Reads(t testing.TB, pool *pgxpool.Pool) (n int64) {
	t.Helper()
	for _, conn := range pool.AcquireAllIdle(t.Context()) {
		_, err := conn.Exec(t.Context(), `SELECT pg_stat_force_next_flush()`)
		conn.Release()
		if err != nil {
			t.Fatal(err)
		}
	}
	err := pool.QueryRow(t.Context(),
		`SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables) + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes)`).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
