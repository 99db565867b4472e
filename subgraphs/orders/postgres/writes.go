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
	"github.com/souk-shop/souk/internal/pipeline"
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

// Create saves the order of a checkout with its first steps and the job that watches it.
func (s *Store) Create(ctx context.Context, c orders.Attempt, o orders.Order) (created orders.Order, err error) {
	address, err := json.Marshal(o.Address)
	if err != nil {
		return created, err
	}
	err = outbox.InTx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		serial, err := s.q.WithTx(tx).DecideOrder(ctx, db.DecideOrderParams{
			ID: o.ID, AccountID: o.AccountID, Key: c.Key, CartID: o.CartID, CartVersion: int32(o.CartVersion), Status: string(o.Status),
			Amount: o.Total.Amount, Currency: o.Total.Currency, Address: address, CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt,
			Deadline: o.Deadline, ReservationID: o.Saga.ReservationID, BookingID: o.Saga.BookingID, PaymentMethodID: o.Saga.PaymentMethodID,
		})
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return orders.ErrDecided
		case violates(err, "orders_of_cart"):
			return orders.ErrAlreadyOrdered
		case violates(err, "orders_of_booking"):
			return orders.ErrBookingOrdered
		case err != nil:
			return err
		}
		first := o.Deadline
		if at := o.Wake(); at != nil {
			first = *at
		}
		if err := s.jobs.Watch(ctx, tx, o.ID, first, o.Deadline); err != nil {
			return err
		}
		o.Serial, o.Version = serial, 1
		p := pipeline.In(tx)
		if err := db.New(p).InsertLines(ctx, lines(o)); err != nil {
			return err
		}
		if err := tell(ctx, p, &o); err != nil {
			return err
		}
		created = o
		return p.Send(ctx)
	})
	return created, err
}

func lines(o orders.Order) db.InsertLinesParams {
	rows := db.InsertLinesParams{OrderID: o.ID}
	for i, l := range o.Lines {
		rows.Ids, rows.Positions = append(rows.Ids, l.ID), append(rows.Positions, int32(i))
		rows.VariantIds, rows.ProductIds, rows.SellerIds = append(rows.VariantIds, l.VariantID), append(rows.ProductIds, l.ProductID), append(rows.SellerIds, l.SellerID)
		rows.Titles, rows.Quantities, rows.UnitAmounts = append(rows.Titles, l.Title), append(rows.Quantities, int32(l.Quantity)), append(rows.UnitAmounts, l.UnitPrice.Amount)
	}
	return rows
}

// Change locks the order, runs the rule, and saves what it changed with its steps, its event and its next job.
func (s *Store) Change(ctx context.Context, id string, rule func(*orders.Order) error) (changed orders.Order, err error) {
	err = outbox.InTx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		changed, err = s.change(ctx, tx, id, rule)
		return err
	})
	return changed, err
}

// ChangeOnce is Change under a key, which is kept with what the rule changed: a rule that refuses leaves no trace of it.
func (s *Store) ChangeOnce(ctx context.Context, id string, key orders.CancelKey, rule func(*orders.Order) error) (changed orders.Order, err error) {
	err = outbox.InTx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
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

// change is Change inside a transaction that somebody else ends.
func (s *Store) change(ctx context.Context, tx pgx.Tx, id string, rule func(*orders.Order) error) (orders.Order, error) {
	rows, err := s.q.WithTx(tx).LockOrder(ctx, id)
	if err != nil {
		return orders.Order{}, err
	}
	if len(rows) == 0 {
		return orders.Order{}, orders.ErrNotFound
	}
	o, err := whole(rows, func(r db.LockOrderRow) (db.Order, db.OrderLine) { return r.Order, r.OrderLine })
	if err != nil {
		return o, err
	}
	status, saga := o.Status, o.Saga
	if err := rule(&o); err != nil {
		return o, err
	}
	if o.Status == status && o.Saga == saga && len(o.News()) == 0 {
		return o, nil
	}
	o.Version++
	if at := o.Wake(); at != nil {
		if err := s.jobs.Look(ctx, tx, o.ID, *at); err != nil {
			return o, err
		}
	}
	p := pipeline.In(tx)
	if err := db.New(p).UpdateOrder(ctx, db.UpdateOrderParams{
		ID: o.ID, Status: string(o.Status), CancelReason: (*string)(o.CancelReason), UpdatedAt: o.UpdatedAt, PlacedAt: o.PlacedAt,
		PaymentID: o.Saga.PaymentID, PaymentVersion: int32(o.Saga.PaymentVersion), PaymentStatus: o.Saga.PaymentStatus,
		RedirectUrl: o.Saga.RedirectURL, DeclineCode: o.Saga.DeclineCode,
		Committing: o.Saga.Committing, Cancelling: string(o.Saga.Cancelling), Parcelled: o.Saga.Parcelled, StockSettled: o.Saga.StockSettled, PaymentSettled: o.Saga.PaymentSettled,
	}); err != nil {
		return o, err
	}
	if err := tell(ctx, p, &o); err != nil {
		return o, err
	}
	return o, p.Send(ctx)
}

// tell queues the steps taken and the event that says where the order stands.
func tell(ctx context.Context, p *pipeline.Pipeline, o *orders.Order) error {
	if len(o.News()) > 0 {
		steps := db.InsertEventsParams{OrderID: o.ID}
		for i, e := range o.News() {
			// The version rises with every change of the locked row, so the numbers rise too.
			steps.Seqs, steps.Ats = append(steps.Seqs, int32(o.Version*100+i)), append(steps.Ats, e.At)
			steps.Kinds, steps.Messages = append(steps.Kinds, e.Kind), append(steps.Messages, e.Message)
		}
		if err := db.New(p).InsertEvents(ctx, steps); err != nil {
			return err
		}
	}
	return outbox.Record(ctx, p, outbox.Event{Subject: events.OrderBecame(string(o.Status)), Payload: o.Tell()})
}

// MoveParcel keeps the news of a parcel, in the transaction that handles it, and moves its order on.
func (s *Store) MoveParcel(ctx context.Context, tx pgx.Tx, e events.ShipmentChanged, rule func([]orders.Parcel) func(*orders.Order) error) error {
	lines, err := json.Marshal(e.Lines)
	if err != nil {
		return err
	}
	_, err = s.change(ctx, tx, e.OrderID, func(o *orders.Order) error { // the lock on the order keeps its parcels in step
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
	return err
}

func violates(err error, constraint string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.ConstraintName == constraint
}
