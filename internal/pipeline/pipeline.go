package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/subgraphs/inventory/postgres/internal/db"
)

// A pipeline is a transaction whose statements travel together: they wait until the next send, so that a hold takes two
// trips to the database and not nine, and others wait less for the rows it has locked.
type pipeline struct {
	conn *pgxpool.Conn
	next *pgx.Batch
}

var _ db.DBTX = (*pipeline)(nil)

// transact runs fn in a transaction, and commits when fn returns nil and what it queued works.
func transact(ctx context.Context, pool *pgxpool.Pool, fn func(*pipeline) error) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release() // hangs up when the transaction is still open
	p := &pipeline{conn: conn, next: &pgx.Batch{}}
	p.next.Queue("BEGIN")
	if err = fn(p); err == nil {
		p.next.Queue("COMMIT")
		err = p.send(ctx)
	}
	if open := conn.Conn().PgConn().TxStatus() != 'I'; err != nil && open && !conn.Conn().IsClosed() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_, failed := conn.Exec(ctx, "ROLLBACK")
		err = errors.Join(err, failed)
	}
	return err
}

// send has the server do all that is queued.
func (p *pipeline) send(ctx context.Context) error {
	if p.next.Len() == 0 {
		return nil
	}
	batch := p.next
	p.next = &pgx.Batch{}
	return p.conn.SendBatch(ctx, batch).Close()
}

// Exec queues a statement.
func (p *pipeline) Exec(_ context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	p.next.Queue(sql, args...)
	return pgconn.CommandTag{}, nil
}

// collect queues a question; each row is given to what the result is called with, during the next send.
func (p *pipeline) collect(sql string, args ...any) func(each func(pgx.Rows) error) {
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

var errQueued = errors.New("a pipeline answers no questions at once: collect them")

// Query is there for db.DBTX alone.
func (p *pipeline) Query(context.Context, string, ...any) (pgx.Rows, error) { return nil, errQueued }

// QueryRow is there for db.DBTX alone.
func (p *pipeline) QueryRow(context.Context, string, ...any) pgx.Row { return noRow{} }

type noRow struct{}

func (noRow) Scan(...any) error { return errQueued }
