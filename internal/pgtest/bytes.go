package pgtest

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Bytes returns what the tables of the database take on disk, with their indexes and what is stored beside them.
func Bytes(t testing.TB, pool *pgxpool.Pool) (n int64) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), `SELECT sum(pg_total_relation_size(relid))::bigint FROM pg_stat_user_tables`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
