package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/subgraphs/flashsale"
	"github.com/souk-shop/souk/subgraphs/flashsale/postgres/internal/db"
)

// Audit compares the log with the pools, the bookings and what moved between sales and stock, and the waiting rooms with their
// tickets, their draws and what was booked, and says where they disagree: nothing, as long as the constraints are in place. It
// reads everything, as of one moment, and locks nothing.
func (s *Store) Audit(ctx context.Context) (damage []string, err error) {
	err = pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		q := s.q.WithTx(tx)
		units, err1 := q.Audit(ctx)
		rooms, err2 := q.AuditRooms(ctx)
		lots, err3 := auditLots(ctx, tx)
		damage = slices.Concat(units, rooms, lots)
		return errors.Join(err1, err2, err3)
	})
	return damage, err
}

// auditLots draws the lot of every ticket again.
func auditLots(ctx context.Context, tx pgx.Tx) (damage []string, err error) {
	rows, err := tx.Query(ctx, `SELECT t.id, t.lot, s.seed FROM tickets t JOIN sales s ON s.id = t.sale_id WHERE t.lot IS NOT NULL`)
	if err != nil {
		return nil, err
	}
	var ticket string
	var lot int64
	var seed []byte
	_, err = pgx.ForEachRow(rows, []any{&ticket, &lot, &seed}, func() error {
		if want := flashsale.Lot(seed, ticket); lot != want {
			damage = append(damage, fmt.Sprintf("ticket %s drew %d, but the seed gives it %d", ticket, lot, want))
		}
		return nil
	})
	return damage, err
}

// BookedAfter lists bookings that are paid for, by id.
func (s *Store) BookedAfter(ctx context.Context, after string, most int) ([]flashsale.Booking, error) {
	rows, err := s.q.BookedAfter(ctx, db.BookedAfterParams{After: after, Most: int32(most)})
	return each(rows, booking), err
}

// Units is how many of a variant are at a stage of their way through a sale.
type Units struct {
	SaleID    string
	VariantID string
	Stage     Stage
	Key       string // under which they move in or out, "" for those in the sale
	Quantity  int
}

// A Stage is where units of a sale are: on their way in by a change, in it, or on their way out by a transfer.
type Stage string

// The stages. Refused are units that were asked for a change that came to nothing: if they came, they left by a transfer.
const (
	Pending Stage = "PENDING"
	Applied Stage = "APPLIED"
	Refused Stage = "REFUSED"
	InSale  Stage = "IN_SALE"
	Leaving Stage = "LEAVING"
	Left    Stage = "LEFT"
)

// Units lists where the units of every sale came from, are, and went, as of one moment and always in the same order.
func (s *Store) Units(ctx context.Context) ([]Units, error) {
	rows, err := s.q.Units(ctx)
	return each(rows, func(r db.UnitsRow) Units {
		return Units{r.SaleID, r.VariantID, Stage(r.Stage), r.Key, int(r.Quantity)}
	}), err
}
