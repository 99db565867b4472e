package pgtest

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Reads returns how many rows of these tables, and entries of their indexes, the database has read so far, in everything that is over: what to
// compare with where a cost must not grow with the tables. On tables as small as a test's, a question that reads all of them takes no time
// to speak of. Of a row that is changed again and again, old versions are read too while somebody, if only autovacuum, looks at an
// older moment: name the tables that grow.
func Reads(t testing.TB, pool *pgxpool.Pool, tables ...string) (n int64) {
	t.Helper()
	for _, conn := range pool.AcquireAllIdle(t.Context()) {
		_, err := conn.Exec(t.Context(), `SELECT pg_stat_force_next_flush()`)
		conn.Release()
		if err != nil {
			t.Fatal(err)
		}
	}
	err := pool.QueryRow(t.Context(), `
		SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE relname = ANY ($1))
		     + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = ANY ($1))`, tables).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
