package pgtest

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Watched returns another pool on the database, which tells of each statement that was answered before the next one is sent: the moment
// for what a test wants to happen in between. What travels together is answered together.
func Watched(t testing.TB, of *pgxpool.Pool, answered func(sql string)) *pgxpool.Pool {
	t.Helper()
	cfg := of.Config()
	cfg.ConnConfig.Tracer = watcher(answered)
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

type watcher func(sql string)

type asked struct{}

func (w watcher) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	return context.WithValue(ctx, asked{}, q.SQL)
}

func (w watcher) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	w(ctx.Value(asked{}).(string))
}

func (w watcher) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

func (w watcher) TraceBatchQuery(_ context.Context, _ *pgx.Conn, q pgx.TraceBatchQueryData) { w(q.SQL) }

func (w watcher) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}
