// Package pipeline lets the statements of a PostgreSQL transaction travel together, and transactions of one statement right behind each other.
package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// A Pipeline is a transaction whose statements wait until the next Send, so that what locks a row takes two trips to the
// database and not nine, and others wait less for it. It is the DBTX of sqlc for statements that only write.
type Pipeline struct {
	conn interface {
		SendBatch(context.Context, *pgx.Batch) pgx.BatchResults
	}
	next *pgx.Batch
}

// In lets statements of a transaction travel together that somebody else began, and will end.
func In(tx pgx.Tx) *Pipeline { return &Pipeline{conn: tx, next: &pgx.Batch{}} }

// Transact runs fn in a transaction, and commits when fn returns nil and what it queued works.
func Transact(ctx context.Context, pool *pgxpool.Pool, fn func(*Pipeline) error) error {
	return transact(ctx, pool, "BEGIN", fn)
}

// Optimistic is Transact in a transaction that sees one moment. A write to a row that somebody has changed since fails it with a
// serialization failure; see Overtaken.
func Optimistic(ctx context.Context, pool *pgxpool.Pool, fn func(*Pipeline) error) error {
	return transact(ctx, pool, "BEGIN ISOLATION LEVEL REPEATABLE READ", fn)
}

// Overtaken tells whether a transaction failed because somebody else was first. Another try may go well.
func Overtaken(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == "40001"
}

// Look asks questions about one moment, in one trip, and changes nothing.
func Look(ctx context.Context, pool *pgxpool.Pool, ask func(*Pipeline)) error {
	return transact(ctx, pool, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", func(p *Pipeline) error {
		ask(p)
		return nil
	})
}

func transact(ctx context.Context, pool *pgxpool.Pool, begin string, fn func(*Pipeline) error) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release() // hangs up when the transaction is still open
	p := &Pipeline{conn: conn, next: &pgx.Batch{}}
	p.next.Queue(begin)
	if err = fn(p); err == nil {
		p.next.Queue("COMMIT")
		err = p.Send(ctx)
	}
	if open := conn.Conn().PgConn().TxStatus() != 'I'; err != nil && open && !conn.Conn().IsClosed() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_, failed := conn.Exec(ctx, "ROLLBACK")
		err = errors.Join(err, failed)
	}
	return err
}

// Send has the server do all that is queued.
func (p *Pipeline) Send(ctx context.Context) error {
	if p.next.Len() == 0 {
		return nil
	}
	batch := p.next
	p.next = &pgx.Batch{}
	return p.conn.SendBatch(ctx, batch).Close()
}

// Exec queues a statement.
func (p *Pipeline) Exec(_ context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	p.next.Queue(sql, args...)
	return pgconn.CommandTag{}, nil
}

// Collect queues a question; each row is given to what the result is called with, during the next Send.
func (p *Pipeline) Collect(sql string, args ...any) func(each func(pgx.Rows) error) {
	question := p.next.Queue(sql, args...)
	return func(each func(pgx.Rows) error) {
		question.Query(func(rows pgx.Rows) error {
			for rows.Next() {
				if err := each(rows); err != nil {
					return err
				}
			}
			return rows.Err()
		})
	}
}

// Rows queues a question; each row is appended during the next Send, its columns by the names of T's fields.
func Rows[T any](p *Pipeline, into *[]T, sql string, args ...any) {
	p.Collect(sql, args...)(func(row pgx.Rows) error {
		r, err := pgx.RowToStructByName[T](row)
		*into = append(*into, r)
		return err
	})
}

var errQueued = errors.New("a pipeline answers no questions at once: collect them")

// Query is there for sqlc's DBTX alone.
func (p *Pipeline) Query(context.Context, string, ...any) (pgx.Rows, error) { return nil, errQueued }

// QueryRow is there for sqlc's DBTX alone.
func (p *Pipeline) QueryRow(context.Context, string, ...any) pgx.Row { return noRow{} }

type noRow struct{}

func (noRow) Scan(...any) error { return errQueued }
