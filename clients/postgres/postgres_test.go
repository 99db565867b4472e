package postgres_test

import (
	"testing"
	"testing/fstest"

	"golang.org/x/sync/errgroup"

	"github.com/souk-shop/souk/clients/postgres"
	"github.com/souk-shop/souk/internal/pgtest"
)

var migrations = fstest.MapFS{
	"migrations/001_coins.sql": {Data: []byte("-- +goose Up\nCREATE TABLE coins (id int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());\nINSERT INTO coins VALUES (1);\n")},
	"migrations/002_index.sql": {Data: []byte("-- +goose NO TRANSACTION\n-- +goose Up\nCREATE INDEX CONCURRENTLY coins_at ON coins (at);\n")},
}

func TestManyProcessesMigrateAtOnce(t *testing.T) {
	t.Parallel()
	at := pgtest.Empty(t)
	var all errgroup.Group
	for range 6 {
		all.Go(func() error {
			pool, err := postgres.Open(t.Context(), at, `odd "name", quoted`)
			if err != nil {
				return err
			}
			defer pool.Close()
			return postgres.Migrate(t.Context(), pool, migrations)
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	pool, err := postgres.Open(t.Context(), at, `odd "name", quoted`)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	var coins, versions int
	err = pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM "odd ""name"", quoted".coins), (SELECT max(version_id) FROM migrations)`).Scan(&coins, &versions)
	if err != nil || coins != 1 || versions != 2 {
		t.Fatalf("%d coins at version %d, %v; want 1 at 2", coins, versions, err)
	}
}
