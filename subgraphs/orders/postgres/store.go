// Package postgres keeps the orders in PostgreSQL.
package postgres

import (
	"context"
	"embed"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/internal/forget"
	"github.com/souk-shop/souk/internal/pipeline"
	"github.com/souk-shop/souk/subgraphs/orders"
	"github.com/souk-shop/souk/subgraphs/orders/postgres/internal/db"
)

// Migrations make the schema. The job queue brings its own.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// Jobs wakes the saga up, in the transaction that gives it something to do.
type Jobs interface {
	// Look has the saga look at the order at a time.
	Look(ctx context.Context, tx pgx.Tx, orderID string, at time.Time) error
	// Watch has the saga end the order at its deadline, should it still wait for its payment.
	Watch(ctx context.Context, tx pgx.Tx, orderID string, deadline time.Time) error
}

// A Store is the orders' tables.
type Store struct {
	pool *pgxpool.Pool
	q    *db.Queries
	jobs Jobs

	checkouts forget.Round
}

var _ orders.Store = (*Store)(nil)

// NewStore returns the store behind a pool whose schema is migrated.
func NewStore(pool *pgxpool.Pool, jobs Jobs) *Store {
	return &Store{pool: pool, q: db.New(pool), jobs: jobs}
}

// OrdersByID finds orders, with their lines, by id.
func (s *Store) OrdersByID(ctx context.Context, ids []string) ([]orders.Order, error) {
	rows, err := s.q.OrdersByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	return withLines(ctx, s.q, rows)
}

// OrdersOfLines finds the orders that these lines belong to.
func (s *Store) OrdersOfLines(ctx context.Context, lineIDs []string) ([]orders.Order, error) {
	ids, err := s.q.OrderIDsOfLines(ctx, lineIDs)
	if err != nil {
		return nil, err
	}
	return s.OrdersByID(ctx, ids)
}

// TimelinesOf finds the steps of orders, oldest first.
func (s *Store) TimelinesOf(ctx context.Context, orderIDs []string) (map[string][]orders.Event, error) {
	rows, err := s.q.TimelinesOf(ctx, orderIDs)
	if err != nil {
		return nil, err
	}
	steps := make(map[string][]orders.Event, len(orderIDs))
	for _, r := range rows {
		steps[r.OrderID] = append(steps[r.OrderID], orders.Event{At: r.At.UTC(), Kind: r.Kind, Message: r.Message})
	}
	return steps, nil
}

// A page of a list, and how many orders it has on all pages.
const (
	listed  = `FROM orders WHERE account_id = @account AND (@status::text IS NULL OR status = @status)`
	onePage = `SELECT * ` + listed + `
		AND (@before::timestamptz IS NULL OR (created_at, id) < (@before, @id::text)) ORDER BY created_at DESC, id DESC LIMIT @most`
	onAllPages = `SELECT count(*) ` + listed
)

// List returns up to First+1 orders behind a cursor, and how many there are at the same moment on all pages.
func (s *Store) List(ctx context.Context, l orders.List, after *orders.Cursor) (found []orders.Order, total int, err error) {
	args := pgx.NamedArgs{"account": l.AccountID, "status": (*string)(l.Status), "most": l.First + 1, "before": nil, "id": ""}
	if after != nil {
		args["before"], args["id"] = after.CreatedAt, after.ID
	}
	var rows []db.Order
	err = pipeline.Look(ctx, s.pool, func(p *pipeline.Pipeline) {
		pipeline.Rows(p, &rows, onePage, args)
		if l.Count {
			p.Collect(onAllPages, args)(func(row pgx.Rows) error { return row.Scan(&total) })
		}
	})
	if err != nil {
		return nil, 0, err
	}
	found, err = withLines(ctx, s.q, rows) // which an order has from the start, and keeps
	return found, total, err
}

// After walks all orders by id, a lot at a time, for who checks them: those behind an id, none at the end.
func (s *Store) After(ctx context.Context, id string, most int) ([]orders.Order, error) {
	rows, err := s.q.OrdersAfter(ctx, db.OrdersAfterParams{After: id, Max: int32(most)})
	if err != nil {
		return nil, err
	}
	return withLines(ctx, s.q, rows)
}

// withLines reads the lines of orders in one question and keeps the orders' order.
func withLines(ctx context.Context, q *db.Queries, rows []db.Order) ([]orders.Order, error) {
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	lines, err := q.LinesOf(ctx, ids)
	if err != nil {
		return nil, err
	}
	of := make(map[string][]db.OrderLine, len(rows))
	for _, l := range lines {
		of[l.OrderID] = append(of[l.OrderID], l)
	}
	out := make([]orders.Order, len(rows))
	for i, r := range rows {
		if out[i], err = order(r, of[r.ID]); err != nil {
			return nil, err
		}
	}
	return out, nil
}
