// Package postgres keeps the payments in PostgreSQL.
package postgres

import (
	"context"
	"embed"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/internal/forget"
	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/subgraphs/payments"
	"github.com/souk-shop/souk/subgraphs/payments/postgres/internal/db"
)

// Migrations make the schema.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// A Store is the payments' tables.
type Store struct {
	pool *pgxpool.Pool
	q    *db.Queries

	operations, reports forget.Round
}

var _ payments.Store = (*Store)(nil)

// NewStore returns the store behind a pool whose schema is migrated.
func NewStore(pool *pgxpool.Pool) *Store { return &Store{pool: pool, q: db.New(pool)} }

// PaymentsByID finds payments by id.
func (s *Store) PaymentsByID(ctx context.Context, ids []string) ([]payments.Payment, error) {
	if len(ids) == 1 {
		row, err := s.q.PaymentByID(ctx, ids[0])
		if errors.Is(err, pgx.ErrNoRows) {
			return nil, nil
		}
		return []payments.Payment{payment(row)}, err
	}
	rows, err := s.q.PaymentsByID(ctx, ids)
	return each(rows, payment), err
}

// PaymentsOf finds the payments of orders, oldest first.
func (s *Store) PaymentsOf(ctx context.Context, orderIDs []string) (map[string][]payments.Payment, error) {
	rows, err := s.q.PaymentsOf(ctx, orderIDs)
	return group(each(rows, payment), func(p payments.Payment) string { return p.OrderID }), err
}

// TransactionsOf finds the moves of payments, oldest first.
func (s *Store) TransactionsOf(ctx context.Context, paymentIDs []string) (map[string][]payments.Transaction, error) {
	rows, err := s.q.TransactionsOf(ctx, paymentIDs)
	return group(each(rows, transaction), func(t payments.Transaction) string { return t.PaymentID }), err
}

// MethodsByID finds methods by id.
func (s *Store) MethodsByID(ctx context.Context, ids []string) ([]payments.Method, error) {
	if len(ids) == 1 {
		row, err := s.q.MethodByID(ctx, ids[0])
		if errors.Is(err, pgx.ErrNoRows) {
			return nil, nil
		}
		return []payments.Method{method(row)}, err
	}
	rows, err := s.q.MethodsByID(ctx, ids)
	return each(rows, method), err
}

// MethodsOf finds the methods of accounts, the default first.
func (s *Store) MethodsOf(ctx context.Context, accountIDs []string) (map[string][]payments.Method, error) {
	rows, err := s.q.MethodsOf(ctx, accountIDs)
	return group(each(rows, method), func(m payments.Method) string { return m.AccountID }), err
}

// AddMethod keeps a method, or returns the one of the same token. One at a time changes the methods of an account.
func (s *Store) AddMethod(ctx context.Context, m payments.Method, limit int) (added payments.Method, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		q := s.q.WithTx(tx)
		if err := q.LockMethods(ctx, m.AccountID); err != nil {
			return err
		}
		rows, err := q.MethodsOf(ctx, []string{m.AccountID})
		if err != nil {
			return err
		}
		added = m
		known := false
		for _, row := range rows {
			if row.Provider == m.Provider && row.Token == m.Token {
				added, known = method(row), true
			}
		}
		if !known && len(rows) >= limit {
			return payments.ErrTooMany
		}
		makeDefault := (m.Default || len(rows) == 0) && !(known && added.Default)
		if makeDefault {
			if err := q.ClearDefault(ctx, db.ClearDefaultParams{AccountID: m.AccountID, Keep: added.ID}); err != nil {
				return err
			}
			added.Default = true
		}
		switch {
		case !known:
			return q.InsertMethod(ctx, db.InsertMethodParams{
				ID: m.ID, AccountID: m.AccountID, Provider: m.Provider, Token: m.Token, Kind: string(m.Kind), Label: m.Label,
				IsDefault: added.Default, CreatedAt: m.CreatedAt,
			})
		case makeDefault:
			return q.SetDefault(ctx, added.ID)
		}
		return nil
	})
	return added, err
}

// TakeOperations finds operations that are due. Of several processes each takes others.
func (s *Store) TakeOperations(ctx context.Context, now, again time.Time, most int) ([]payments.Operation, error) {
	rows, err := s.q.TakeOperations(ctx, db.TakeOperationsParams{Now: now, Again: again, Most: int32(most)})
	return each(rows, operation), err
}

// TakeReports finds reports that are due. Of several processes each takes others.
func (s *Store) TakeReports(ctx context.Context, now, again time.Time, most int) ([]payments.Report, error) {
	rows, err := s.q.TakeReports(ctx, db.TakeReportsParams{Now: &now, Again: &again, Most: int32(most)})
	return each(rows, report), err
}

// OperationByID finds an operation.
func (s *Store) OperationByID(ctx context.Context, id string) (payments.Operation, error) {
	row, err := s.q.OperationByID(ctx, id)
	return operation(row), err
}

// Audit compares the payments with the ledger. It reads everything, as of one moment, and locks nothing.
func (s *Store) Audit(ctx context.Context) ([]string, error) { return s.q.Audit(ctx) }

// inTx runs fn in a transaction, again when another one was in its way.
func (s *Store) inTx(ctx context.Context, fn func(context.Context, pgx.Tx, *db.Queries) error) (err error) {
	for range 5 {
		err = outbox.InTx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error { return fn(ctx, tx, s.q.WithTx(tx)) })
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != "40P01" && pg.Code != "40001" {
			return err
		}
	}
	return err
}
