package postgres

import (
	"context"
	"time"

	"github.com/souk-shop/souk/internal/forget"
	"github.com/souk-shop/souk/subgraphs/inventory/postgres/internal/db"
)

// ForgetAnswers forgets answers given before a time. Those to holds have no index by age, for which each of them would pay: each call
// looks at the next part of the table instead.
func (s *Store) ForgetAnswers(ctx context.Context, before time.Time) (int64, error) {
	moves, err := forget.Lots(ctx, func(ctx context.Context, most int32) (int64, error) {
		return s.q.ForgetAnswers(ctx, db.ForgetAnswersParams{Before: before, Most: most})
	})
	if err != nil {
		return moves, err
	}
	holds, err := s.forgotten.Part(ctx, s.q.PagesOfHoldAnswers, func(ctx context.Context, from, to int64) (int64, error) {
		return s.q.ForgetHoldAnswers(ctx, db.ForgetHoldAnswersParams{FromPage: from, ToPage: to, Before: before})
	})
	return moves + holds, err
}
