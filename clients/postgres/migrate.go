package postgres

import (
	"context"
	"fmt"
	"hash/fnv"
	"io/fs"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// Migrate brings the pool's schema up to date with migrations/*.sql, making the schema first when it is not there.
// Any number of processes may call it at once: one migrates, the others wait and find nothing left to do.
func Migrate(ctx context.Context, pool *pgxpool.Pool, migrations fs.FS) error {
	schema, err := schemaOf(pool)
	if err != nil {
		return err
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	turn, err := takeTurn(ctx, pool.Config().ConnConfig, schema)
	if err != nil {
		return fmt.Errorf("migrate %s: %w", schema, err)
	}
	defer turn.Close(context.WithoutCancel(ctx))
	if _, err := turn.Exec(ctx, `CREATE SCHEMA IF NOT EXISTS `+pgx.Identifier{schema}.Sanitize()); err != nil {
		return fmt.Errorf("migrate %s: %w", schema, err)
	}
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithDisableGlobalRegistry(true), goose.WithTableName("migrations"))
	if err != nil {
		return fmt.Errorf("migrations of %s: %w", schema, err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate %s: %w", schema, err)
	}
	return nil
}

// schemaOf reads the schema back from what Open wrote.
func schemaOf(pool *pgxpool.Pool) (string, error) {
	path := pool.Config().ConnConfig.RuntimeParams["search_path"]
	schema, quoted := strings.CutPrefix(strings.TrimSuffix(path, `"`), `"`)
	if !quoted {
		return "", fmt.Errorf("migrate: the pool of search_path %q was not made by Open", path)
	}
	return strings.ReplaceAll(schema, `""`, `"`), nil
}

// takeTurn returns a connection that holds the migration lock of the schema until it is closed. It is not goose's own
// lock, because goose looks at its table before it takes that one, and the schema may not be there yet.
func takeTurn(ctx context.Context, cfg *pgx.ConnConfig, schema string) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	for {
		// Asking again, rather than waiting inside a statement, leaves no snapshot for CREATE INDEX CONCURRENTLY to wait for.
		var ours bool
		err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, lockID(schema)).Scan(&ours)
		if err == nil && ours {
			return conn, nil
		}
		if err == nil {
			select {
			case <-time.After(20*time.Millisecond + rand.N(30*time.Millisecond)):
				continue
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		conn.Close(context.WithoutCancel(ctx))
		return nil, err
	}
}

func lockID(schema string) int64 {
	h := fnv.New64a()
	h.Write([]byte("souk migrations of " + schema))
	return int64(h.Sum64())
}
