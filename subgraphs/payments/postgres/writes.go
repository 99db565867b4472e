package postgres

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/optional"
	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/internal/pipeline"
	"github.com/souk-shop/souk/subgraphs/payments"
	"github.com/souk-shop/souk/subgraphs/payments/postgres/internal/db"
)

// Begin keeps a new payment, unless its key has one. The order's row is locked first, so that a payment is begun either
// before its order is abandoned, and found there, or after it, and knows.
func (s *Store) Begin(ctx context.Context, p payments.Payment, key payments.Once, rule func(*payments.Payment, payments.Order)) (begun payments.Payment, fresh bool, err error) {
	err = s.inTx(ctx, func(ctx context.Context, tx pgx.Tx, q *db.Queries) error {
		begun, fresh = p, false
		order, err := q.LockOrder(ctx, p.OrderID)
		if err != nil {
			return err
		}
		row, err := q.PaymentOfKey(ctx, key.Key)
		switch {
		case err == nil && !bytes.Equal(row.Input, key.Input):
			return payments.ErrKeyReused
		case err == nil:
			begun = payment(row)
			return nil
		case !errors.Is(err, pgx.ErrNoRows):
			return err
		}
		method, err := q.MethodByID(ctx, p.MethodID)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if err != nil || method.AccountID != p.AccountID {
			return payments.ErrMethod
		}
		fresh = true
		begun.Version, begun.Token = 1, method.Token
		rule(&begun, payments.Order{Abandoned: order.AbandonedAt != nil, TimedOut: order.TimedOut})
		writes := pipeline.In(tx)
		err = db.New(writes).InsertPayment(ctx, db.InsertPaymentParams{
			ID: begun.ID, IdempotencyKey: key.Key, Input: key.Input, OrderID: begun.OrderID, AccountID: begun.AccountID, MethodID: begun.MethodID,
			Token: begun.Token, Provider: begun.Provider, Status: string(begun.Status), Currency: begun.Amount.Currency, Amount: begun.Amount.Amount,
			Abandoned: begun.Abandoned, ExpiresAt: begun.ExpiresAt, CreatedAt: begun.CreatedAt, UpdatedAt: begun.UpdatedAt,
		})
		if err != nil {
			return err
		}
		if err := saveNews(ctx, writes, &begun, nil); err != nil {
			return err
		}
		err = writes.Send(ctx)
		switch {
		case violates(err, "payments_one_alive"):
			return payments.ErrBeingPaid
		case violates(err, "payments_idempotency_key_key"): // for another order, at this moment
			return payments.ErrKeyReused
		}
		return err
	})
	return begun, fresh, err
}

// Change locks the payment, runs the rule, and saves what it changed.
func (s *Store) Change(ctx context.Context, id string, rule func(*payments.Payment) error) (changed payments.Payment, err error) {
	err = s.inTx(ctx, func(ctx context.Context, tx pgx.Tx, q *db.Queries) error {
		changed, err = s.change(ctx, tx, id, rule)
		return err
	})
	return changed, err
}

// ChangeOnce is Change under a key.
func (s *Store) ChangeOnce(ctx context.Context, id string, key payments.Once, rule func(*payments.Payment) (payments.Operation, error)) (changed payments.Payment, op payments.Operation, err error) {
	err = s.inTx(ctx, func(ctx context.Context, tx pgx.Tx, q *db.Queries) error {
		ours, err := q.ClaimAnswer(ctx, db.ClaimAnswerParams{Caller: key.Caller, Key: key.Key, Input: key.Input})
		if err != nil {
			return err
		}
		if ours == 0 {
			changed, op, err = answered(ctx, q, id, key)
			return err
		}
		changed, err = s.change(ctx, tx, id, func(p *payments.Payment) error {
			op, err = rule(p)
			return err
		})
		if err != nil {
			return err
		}
		return q.SaveAnswer(ctx, db.SaveAnswerParams{Caller: key.Caller, Key: key.Key, OperationID: &op.ID})
	})
	return changed, op, err
}

func answered(ctx context.Context, q *db.Queries, id string, key payments.Once) (p payments.Payment, op payments.Operation, err error) {
	answer, err := q.AnswerOf(ctx, db.AnswerOfParams{Caller: key.Caller, Key: key.Key})
	if err != nil {
		return p, op, err
	}
	if !bytes.Equal(answer.Input, key.Input) {
		return p, op, payments.ErrKeyReused
	}
	row, err := q.OperationByID(ctx, optional.Text(answer.OperationID))
	if err != nil {
		return p, op, err
	}
	found, err := q.PaymentsByID(ctx, []string{id})
	if err != nil || len(found) == 0 {
		return p, op, errors.Join(payments.ErrNotFound, err)
	}
	return payment(found[0]), operation(row), nil
}

// Abandon notes that no money may be kept for the order, and lets the rule change its payments.
func (s *Store) Abandon(ctx context.Context, orderID string, timedOut bool, at time.Time, rule func(*payments.Payment) error) (changed []payments.Payment, err error) {
	err = s.inTx(ctx, func(ctx context.Context, tx pgx.Tx, q *db.Queries) error {
		changed = nil
		if _, err := q.LockOrder(ctx, orderID); err != nil {
			return err
		}
		if err := q.AbandonOrder(ctx, db.AbandonOrderParams{ID: orderID, At: &at, TimedOut: timedOut}); err != nil {
			return err
		}
		rows, err := q.LockPaymentsOf(ctx, orderID)
		if err != nil {
			return err
		}
		for _, row := range rows {
			p, err := s.apply(ctx, tx, row, rule)
			if err != nil {
				return err
			}
			changed = append(changed, p)
		}
		return nil
	})
	return changed, err
}

// Report keeps what a provider said and lets it count, in one transaction. The report's row is locked first: of the same
// report told at once in several places, one counts and the others see that it did.
func (s *Store) Report(ctx context.Context, r payments.Report, again time.Time, rule func(*payments.Payment, payments.Report) (payments.Verdict, error)) (out payments.Reported, err error) {
	err = s.inTx(ctx, func(ctx context.Context, tx pgx.Tx, q *db.Queries) error {
		out = payments.Reported{}
		kept, err := q.LockReport(ctx, lockReport(r))
		if err != nil {
			return err
		}
		if kept.DueAt == nil { // it counted before
			if out.Verdict, err = verdict(kept); err != nil {
				return err
			}
			rows, err := q.PaymentsByID(ctx, []string{optional.Text(kept.PaymentID)})
			if len(rows) > 0 {
				out.Payment = payment(rows[0])
			}
			return err
		}
		told := report(kept)
		count := db.CountReportParams{Provider: told.Provider, EventID: told.EventID}
		row, err := q.LockReported(ctx, db.LockReportedParams{PaymentKey: told.PaymentID, Provider: told.Provider, Reference: told.Reference})
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			out.Early = true
		case err != nil:
			return err
		default:
			out.Payment, err = s.apply(ctx, tx, row, func(p *payments.Payment) error {
				out.Verdict, err = rule(p, told)
				return err
			})
			if err != nil {
				return err
			}
			count.PaymentID = &row.ID
		}
		if out.Early {
			count.DueAt = &again
		}
		count.TransactionID = optional.Of(out.TransactionID)
		if out.Refusal != nil {
			if count.Refusal, err = json.Marshal(out.Refusal); err != nil {
				return err
			}
		}
		return q.CountReport(ctx, count)
	})
	return out, err
}

func (s *Store) change(ctx context.Context, tx pgx.Tx, id string, rule func(*payments.Payment) error) (payments.Payment, error) {
	row, err := s.q.WithTx(tx).LockPayment(ctx, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return payments.Payment{}, payments.ErrNotFound
	}
	if err != nil {
		return payments.Payment{}, err
	}
	return s.apply(ctx, tx, row, rule)
}

// apply runs the rule on a payment whose row is locked, and saves what it changed.
func (s *Store) apply(ctx context.Context, tx pgx.Tx, row db.Payment, rule func(*payments.Payment) error) (payments.Payment, error) {
	p, q := payment(row), s.q.WithTx(tx)
	operations, err := q.OpenOperations(ctx, p.ID)
	if err != nil {
		return p, err
	}
	moves, err := q.MovesOf(ctx, p.ID)
	if err != nil {
		return p, err
	}
	p.Operations = each(operations, operation)
	p.Transactions = each(moves, func(r db.MovesOfRow) payments.Transaction { return transaction(db.TransactionsOfRow(r)) })
	before := p
	if err := rule(&p); err != nil {
		return p, err
	}
	writes := pipeline.In(tx)
	if p.Same(before) {
		p.UpdatedAt = before.UpdatedAt
		if err := saveNewsOnly(ctx, db.New(writes), &p, operations); err != nil {
			return p, err
		}
		return p, writes.Send(ctx)
	}
	p.Version++
	err = db.New(writes).UpdatePayment(ctx, db.UpdatePaymentParams{
		ID: p.ID, Version: int32(p.Version), Reference: optional.Of(p.Reference), Status: string(p.Status), Authorized: p.Authorized.Amount,
		Captured: p.Captured.Amount, Refunded: p.Refunded.Amount, Released: p.Released, Abandoned: p.Abandoned, DeclineCode: p.DeclineCode,
		RedirectUrl: p.RedirectURL, UpdatedAt: p.UpdatedAt,
	})
	if err != nil {
		return p, err
	}
	if err := saveNews(ctx, writes, &p, operations); err != nil {
		return p, err
	}
	return p, writes.Send(ctx)
}

// saveNews queues what came up, and the event that tells of it.
func saveNews(ctx context.Context, writes *pipeline.Pipeline, p *payments.Payment, known []db.Operation) error {
	if err := saveNewsOnly(ctx, db.New(writes), p, known); err != nil {
		return err
	}
	return outbox.Record(ctx, writes, outbox.Event{Subject: events.SubjectPaymentChanged, Payload: events.PaymentChanged{
		At: events.At{At: p.UpdatedAt}, Payment: p.Tell(),
	}})
}

// saveNewsOnly queues moves, their entries in the ledger, and operations: those that end before those that begin.
func saveNewsOnly(ctx context.Context, q *db.Queries, p *payments.Payment, known []db.Operation) error {
	moves, operations := p.News()
	for _, m := range moves {
		row := db.InsertTransactionParams{
			ID: m.ID, PaymentID: p.ID, Kind: string(m.Kind), Amount: m.Amount.Amount, Currency: m.Amount.Currency, Success: m.Success,
			Reference: optional.Of(m.Reference), Operation: optional.Of(m.Operation), At: m.At,
		}
		for _, e := range m.Entry {
			row.Accounts, row.Postings = append(row.Accounts, e.Account), append(row.Postings, e.Amount)
		}
		if err := q.InsertTransaction(ctx, row); err != nil {
			return err
		}
	}
	open := map[string]bool{}
	for _, o := range known {
		open[o.ID] = true
	}
	for _, o := range operations {
		if !open[o.ID] {
			continue
		}
		err := q.UpdateOperation(ctx, db.UpdateOperationParams{
			ID: o.ID, State: string(o.State), Undo: o.Undo, Attempts: int32(o.Attempts), DueAt: o.DueAt, Code: o.Code,
		})
		if err != nil {
			return err
		}
	}
	for _, o := range operations {
		if open[o.ID] {
			continue
		}
		err := q.InsertOperation(ctx, db.InsertOperationParams{
			ID: o.ID, PaymentID: p.ID, Kind: string(o.Kind), Amount: o.Amount.Amount, Currency: o.Amount.Currency, State: string(o.State),
			Undo: o.Undo, Attempts: int32(o.Attempts), DueAt: o.DueAt, Code: o.Code,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func violates(err error, constraint string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.ConstraintName == constraint
}
