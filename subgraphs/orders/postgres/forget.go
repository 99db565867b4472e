package postgres

import (
	"context"
	"time"

	"github.com/souk-shop/souk/internal/forget"
	"github.com/souk-shop/souk/subgraphs/orders/postgres/internal/db"
)

// ForgetCancellations forgets which wishes to cancel came under which keys before a time.
func (s *Store) ForgetCancellations(ctx context.Context, before time.Time) (int64, error) {
	return forget.Lots(ctx, func(ctx context.Context, most int32) (int64, error) {
		return s.q.ForgetCancellations(ctx, db.ForgetCancellationsParams{Before: before, Most: most})
	})
}

// ForgetCheckouts forgets checkouts from before a time that did not become an order, in the next part of the table.
func (s *Store) ForgetCheckouts(ctx context.Context, before time.Time) (int64, error) {
	return s.checkouts.Part(ctx, s.q.PagesOfCheckouts, func(ctx context.Context, from, to int64) (int64, error) {
		return s.q.ForgetCheckouts(ctx, db.ForgetCheckoutsParams{FromPage: from, ToPage: to, Before: before})
	})
}
