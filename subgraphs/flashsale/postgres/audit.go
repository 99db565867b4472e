package postgres

import (
	"context"

	"github.com/souk-shop/souk/subgraphs/flashsale"
	"github.com/souk-shop/souk/subgraphs/flashsale/postgres/internal/db"
)

// Audit compares the log with the pools, the bookings and what moved between sales and stock, and says where they disagree:
// nothing, as long as the constraints are in place. It reads everything, as of one moment, and locks nothing.
func (s *Store) Audit(ctx context.Context) ([]string, error) { return s.q.Audit(ctx) }

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
