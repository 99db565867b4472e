package pipeline_test

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/internal/pipeline"
)

// count goes up by one only from what is expected, so the order of what arrives can be told by what works.
var schema = fstest.MapFS{"migrations/0001_count.sql": {Data: []byte(`-- +goose Up
CREATE TABLE count (n bigint NOT NULL CHECK (n <> 1013));
INSERT INTO count VALUES (0);
`)}}

var step = pipeline.Statement{Name: "step", SQL: `UPDATE count SET n = $1::bigint + 1 WHERE n = $1`}

func from(n int) [][]byte { return [][]byte{binary.BigEndian.AppendUint64(nil, uint64(n))} }

func open(t *testing.T) (*pgxpool.Pool, *pipeline.Line) {
	pool := pgtest.New(t, schema)
	line, err := pipeline.OpenLine(t.Context(), pool, step)
	if err != nil {
		t.Fatal(err)
	}
	return pool, line
}

func count(t *testing.T, pool *pgxpool.Pool) (n int) {
	if err := pool.QueryRow(t.Context(), `SELECT n FROM count`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// silence has the server answer nothing on a line before it is told to.
func silence(t *testing.T, pool *pgxpool.Pool) (answer func()) {
	holder, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := holder.Exec(t.Context(), `SELECT FROM count FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := holder.Rollback(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// Whoever enters sends before the next one enters, and waits for nobody: the first are all on their way before any is answered.
func TestALineKeepsItsOrder(t *testing.T) {
	pool, line := open(t)
	answer := silence(t, pool)
	const steps, silent = 500, 5
	var wg sync.WaitGroup
	for i := range steps {
		if i == silent {
			answer()
		}
		p := line.Enter()
		p.Send(t.Context(), step, from(i))
		wg.Go(func() {
			if rows, err := p.Wait(t.Context()); rows != 1 || err != nil {
				t.Errorf("%d: %d, %v", i, rows, err)
			}
		})
	}
	wg.Wait()
	if n := count(t, pool); n != steps {
		t.Errorf("counted to %d", n)
	}
	if !line.Join() {
		t.Error("nobody can join")
	}
	line.Leave()
	line.Leave()
	if pool.Stat().AcquiredConns() != 0 || line.Join() {
		t.Error("the connection is not given back")
	}
}

// What the database refuses is refused alone: those before and behind it are transactions of their own.
func TestOneIsRefusedAlone(t *testing.T) {
	pool, line := open(t)
	defer line.Leave()
	if _, err := pool.Exec(t.Context(), `UPDATE count SET n = 1011`); err != nil {
		t.Fatal(err)
	}
	var places []*pipeline.Place
	for _, n := range []int{1011, 1012, 5, 1012, 1012} { // to 1012; to 1013, which is refused; from where nothing is; and twice as the second
		places = append(places, line.Enter())
		places[len(places)-1].Send(t.Context(), step, from(n))
	}
	for i, p := range places {
		rows, err := p.Wait(t.Context())
		var refused *pgconn.PgError
		if want := map[int]int64{0: 1}[i]; rows != want {
			t.Errorf("%d: %d rows", i, rows)
		}
		if errors.As(err, &refused) != (i == 1 || i > 2) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if n := count(t, pool); n != 1012 {
		t.Error(n)
	}
}

// When nobody knows what comes next on a connection, all who are on it are told, and nobody gets on any more.
func TestABrokenLine(t *testing.T) {
	for name, c := range map[string]struct {
		breaks func(t *testing.T, pool *pgxpool.Pool) context.Context
	}{
		"the server hangs up": {func(t *testing.T, pool *pgxpool.Pool) context.Context {
			if _, err := pool.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'UPDATE count%'`); err != nil {
				t.Fatal(err)
			}
			return t.Context()
		}},
		"the first waits no longer": {func(t *testing.T, pool *pgxpool.Pool) context.Context {
			ctx, cancel := context.WithDeadline(t.Context(), time.Now())
			t.Cleanup(cancel)
			return ctx
		}},
	} {
		t.Run(name, func(t *testing.T) {
			pool, line := open(t)
			answer := silence(t, pool)
			var places []*pipeline.Place
			for i := range 3 {
				places = append(places, line.Enter())
				places[i].Send(t.Context(), step, from(i))
			}
			ctx := c.breaks(t, pool)
			for i, p := range places {
				if rows, err := p.Wait(ctx); rows != 0 || err == nil {
					t.Errorf("%d: %d, %v", i, rows, err)
				}
				ctx = t.Context()
			}
			if line.Join() {
				t.Error("somebody got on a broken line")
			}
			late := line.Enter()
			late.Send(t.Context(), step, from(0))
			if _, err := late.Wait(t.Context()); err == nil {
				t.Error("a broken line works")
			}
			line.Leave()
			answer()
			pool.Close() // waits until all its connections are back
		})
	}
}
