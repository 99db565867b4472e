// Package pgtest gives each test a PostgreSQL database of its own.
//
// A database is a copy of a template that was migrated once, which takes some 70 ms. The server is the one that
// SOUK_TEST_POSTGRES_URL names; without it, the first test of a process starts one that ends with the process.
package pgtest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/oklog/ulid/v2"

	"github.com/souk-shop/souk/clients/postgres"
)

const schema = "public" // a database serves one test, so there is nothing to keep apart

// An Option changes the pool that New returns.
type Option func(url.Values)

// MaxConns bounds the pool, to show that no request needs two connections.
func MaxConns(n int) Option {
	return func(q url.Values) { q.Set("pool_max_conns", strconv.Itoa(n)) }
}

// New returns a pool on a fresh database in which migrations/*.sql have run. The database goes when the test ends.
func New(t testing.TB, migrations fs.FS, options ...Option) *pgxpool.Pool {
	t.Helper()
	at, err := url.Parse(URL(t, migrations))
	if err != nil {
		t.Fatal(err)
	}
	q := at.Query()
	for _, option := range options {
		option(q)
	}
	at.RawQuery = q.Encode()
	pool, err := postgres.Open(t.Context(), at.String(), schema)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// URL returns the address of such a database, for a test that connects by itself. The tables are in the schema public.
func URL(t testing.TB, migrations fs.FS) string {
	t.Helper()
	return clone(t, template(t, migrations))
}

// Empty returns the address of a database with nothing in it.
func Empty(t testing.TB) string {
	t.Helper()
	return clone(t, "template0")
}

func clone(t testing.TB, from string) string {
	t.Helper()
	name := "test_" + strings.ToLower(ulid.Make().String())
	admin := connect(t, t.Context())
	defer admin.Close(context.WithoutCancel(t.Context()))
	exec(t, t.Context(), admin, `CREATE DATABASE `+name+` TEMPLATE `+from)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second) // the test's own context is over
		defer cancel()
		admin := connect(t, ctx)
		defer admin.Close(ctx)
		exec(t, ctx, admin, `DROP DATABASE `+name+` WITH (FORCE)`)
	})
	return on(serverURL(t), name)
}

// template returns the name of a database that has the migrations. The name carries a hash of them, so that editing one
// is enough to get a new template, and processes that share a server share the template.
func template(t testing.TB, migrations fs.FS) string {
	t.Helper()
	ctx := t.Context()
	name := "template_" + digest(t, migrations)
	admin := connect(t, ctx)
	defer admin.Close(context.WithoutCancel(ctx)) // lets go of the lock
	if exists(t, admin, name) {
		return name
	}
	exec(t, ctx, admin, `SELECT pg_advisory_lock(hashtextextended($1, 0))`, name)
	if exists(t, admin, name) {
		return name
	}
	draft := name + "_draft"
	exec(t, ctx, admin, `DROP DATABASE IF EXISTS `+draft+` WITH (FORCE)`)
	exec(t, ctx, admin, `CREATE DATABASE `+draft+` TEMPLATE template0`)
	pool, err := postgres.Open(ctx, on(serverURL(t), draft), schema)
	if err != nil {
		t.Fatal(err)
	}
	err = postgres.Migrate(ctx, pool, migrations)
	pool.Close()
	if err != nil {
		t.Fatal(err)
	}
	exec(t, ctx, admin, `ALTER DATABASE `+draft+` RENAME TO `+name)
	return name
}

func exists(t testing.TB, admin *pgx.Conn, name string) (found bool) {
	t.Helper()
	err := admin.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, name).Scan(&found)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func digest(t testing.TB, migrations fs.FS) string {
	t.Helper()
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Fatal("there is no migrations/*.sql")
	}
	h := sha256.New()
	for _, name := range names {
		text, err := fs.ReadFile(migrations, name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(h, "%s %d\n%s", name, len(text), text)
	}
	return fmt.Sprintf("%x", h.Sum(nil))[:16]
}

func on(server, database string) string {
	at, err := url.Parse(server)
	if err != nil {
		panic("pgtest: " + err.Error()) // pgx has parsed it before
	}
	at.Path = "/" + database
	return at.String()
}

func connect(t testing.TB, ctx context.Context) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(ctx, serverURL(t))
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func exec(t testing.TB, ctx context.Context, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(ctx, sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}
