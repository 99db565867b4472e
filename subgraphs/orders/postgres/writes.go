package postgres

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/subgraphs/orders"
	"github.com/souk-shop/souk/subgraphs/orders/postgres/internal/db"
)

// Claim makes the key name this checkout, or returns the one it names already.
func (s *Store) Claim(ctx context.Context, c orders.Attempt) (orders.Attempt, error) {
	row, err := s.q.ClaimCheckout(ctx, db.ClaimCheckoutParams{AccountID: c.AccountID, Key: c.Key, InputHash: c.InputHash, OrderID: c.OrderID})
	if err != nil {
		return orders.Attempt{}, err
	}
	return attempt(row)
}

// Reject notes the refusal of a checkout, unless it was decided meanwhile; it returns what was decided.
func (s *Store) Reject(ctx context.Context, c orders.Attempt, problems []events.CartProblem) (orders.Attempt, error) {
	b, err := json.Marshal(problems)
	if err != nil {
		return c, err
	}
	if _, err := s.q.DecideCheckout(ctx, db.DecideCheckoutParams{AccountID: c.AccountID, Key: c.Key, Decision: string(orders.Rejected), Problems: b}); err != nil {
		return c, err
	}
	return s.Claim(ctx, c)
}

// Create saves the order of a checkout with its first steps and the job that watches its deadline.
func (s *Store) Create(ctx context.Context, c orders.Attempt, o orders.Order) (created orders.Order, err error) {
	address, err := json.Marshal(o.Address)
	if err != nil {
		return created, err
	}
	err = outbox.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		q := s.q.WithTx(tx)
		ours, err := q.DecideCheckout(ctx, db.DecideCheckoutParams{AccountID: c.AccountID, Key: c.Key, Decision: string(orders.Ordered)})
		if err != nil {
			return err
		}
		if ours == 0 {
			return orders.ErrDecided
		}
		row, err := q.InsertOrder(ctx, db.InsertOrderParams{
			ID: o.ID, AccountID: o.AccountID, CartID: o.CartID, CartVersion: int32(o.CartVersion), Status: string(o.Status),
			Amount: o.Total.Amount, Currency: o.Total.Currency, Address: address, CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt,
			Deadline: o.Deadline, ReservationID: o.Saga.ReservationID, BookingID: o.Saga.BookingID, PaymentMethodID: o.Saga.PaymentMethodID,
		})
		if violates(err, "orders_of_cart") {
			return orders.ErrAlreadyOrdered
		}
		if violates(err, "orders_of_booking") {
			return orders.ErrBookingOrdered
		}
		if err != nil {
			return err
		}
		lines := make([]db.InsertLinesParams, len(o.Lines))
		for i, l := range o.Lines {
			lines[i] = db.InsertLinesParams{
				ID: l.ID, OrderID: o.ID, Position: int32(i), VariantID: l.VariantID, ProductID: l.ProductID, SellerID: l.SellerID,
				Title: l.Title, Quantity: int32(l.Quantity), UnitAmount: l.UnitPrice.Amount,
			}
		}
		if _, err := q.InsertLines(ctx, lines); err != nil {
			return err
		}
		if err := s.jobs.Watch(ctx, tx, o.ID, o.Deadline); err != nil {
			return err
		}
		o.Serial, o.Version = row.Serial, int(row.Version)
		created = o
		return s.tell(ctx, tx, &o)
	})
	return created, err
}

// Change locks the order, runs the rule, and saves what it changed with its steps, its event and its next job.
func (s *Store) Change(ctx context.Context, id string, rule func(*orders.Order) error) (changed orders.Order, err error) {
	err = outbox.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		changed, err = s.change(ctx, tx, id, rule)
		return err
	})
	return changed, err
}

// ChangeOnce is Change under a key, which is kept with what the rule changed: a rule that refuses leaves no trace of it.
func (s *Store) ChangeOnce(ctx context.Context, id string, key orders.CancelKey, rule func(*orders.Order) error) (changed orders.Order, err error) {
	err = outbox.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		changed, err = s.change(ctx, tx, id, func(o *orders.Order) error {
			first, err := s.q.WithTx(tx).ClaimCancellation(ctx, db.ClaimCancellationParams{AccountID: key.AccountID, Key: key.Key, InputHash: key.InputHash, OrderID: id})
			if err != nil {
				return err
			}
			if !bytes.Equal(first.InputHash, key.InputHash) {
				return orders.ErrConflict
			}
			return rule(o)
		})
		return err
	})
	return changed, err
}

// ChangeIn is Change inside a transaction of the caller's, for the handlers of events.
func (s *Store) ChangeIn(ctx context.Context, tx pgx.Tx, id string, rule func(*orders.Order) error) error {
	_, err := s.change(ctx, tx, id, rule)
	return err
}

func (s *Store) change(ctx context.Context, tx pgx.Tx, id string, rule func(*orders.Order) error) (orders.Order, error) {
	q := s.q.WithTx(tx)
	row, err := q.LockOrder(ctx, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return orders.Order{}, orders.ErrNotFound
	}
	if err != nil {
		return orders.Order{}, err
	}
	found, err := withLines(ctx, q, []db.Order{row})
	if err != nil {
		return orders.Order{}, err
	}
	o := found[0]
	status, saga := o.Status, o.Saga
	if err := rule(&o); err != nil {
		return o, err
	}
	if o.Status == status && o.Saga == saga && len(o.News()) == 0 {
		return o, nil
	}
	o.Version++
	if err := q.UpdateOrder(ctx, db.UpdateOrderParams{
		ID: o.ID, Status: string(o.Status), CancelReason: (*string)(o.CancelReason), UpdatedAt: o.UpdatedAt, PlacedAt: o.PlacedAt,
		PaymentID: o.Saga.PaymentID, PaymentVersion: int32(o.Saga.PaymentVersion), PaymentStatus: o.Saga.PaymentStatus,
		RedirectUrl: o.Saga.RedirectURL, DeclineCode: o.Saga.DeclineCode,
		Committing: o.Saga.Committing, Cancelling: string(o.Saga.Cancelling), Parcelled: o.Saga.Parcelled, StockSettled: o.Saga.StockSettled, PaymentSettled: o.Saga.PaymentSettled,
	}); err != nil {
		return o, err
	}
	return o, s.tell(ctx, tx, &o)
}

// tell saves the steps taken, the event that says where the order stands, and the job to look at it again.
func (s *Store) tell(ctx context.Context, tx pgx.Tx, o *orders.Order) error {
	steps := make([]db.InsertEventsParams, len(o.News()))
	for i, e := range o.News() {
		// The version rises with every change of the locked row, so the numbers rise too.
		steps[i] = db.InsertEventsParams{OrderID: o.ID, Seq: int32(o.Version*100 + i), At: e.At, Kind: e.Kind, Message: e.Message}
	}
	if _, err := s.q.WithTx(tx).InsertEvents(ctx, steps); err != nil {
		return err
	}
	if at := o.Wake(); at != nil {
		if err := s.jobs.Look(ctx, tx, o.ID, *at); err != nil {
			return err
		}
	}
	return outbox.Record(ctx, tx, outbox.Event{Subject: events.OrderBecame(string(o.Status)), Payload: o.Tell()})
}

// MoveParcel keeps the news of a parcel, in the transaction that handles it, and moves its order on.
func (s *Store) MoveParcel(ctx context.Context, tx pgx.Tx, e events.ShipmentChanged, rule func([]orders.Parcel) func(*orders.Order) error) error {
	lines, err := json.Marshal(e.Lines)
	if err != nil {
		return err
	}
	return s.ChangeIn(ctx, tx, e.OrderID, func(o *orders.Order) error { // the lock on the order keeps its parcels in step
		q := s.q.WithTx(tx)
		if err := q.SaveParcel(ctx, db.SaveParcelParams{ShipmentID: e.ShipmentID, OrderID: e.OrderID, Version: int32(e.Version), Status: e.Status, Lines: lines}); err != nil {
			return err
		}
		rows, err := q.ParcelsOf(ctx, e.OrderID)
		if err != nil {
			return err
		}
		parcels := make([]orders.Parcel, len(rows))
		for i, r := range rows {
			parcels[i] = orders.Parcel{ShipmentID: r.ShipmentID, Status: r.Status}
			if err := json.Unmarshal(r.Lines, &parcels[i].Lines); err != nil {
				return err
			}
		}
		return rule(parcels)(o)
	})
}

func violates(err error, constraint string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.ConstraintName == constraint
}
