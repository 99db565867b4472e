package postgres

import (
	"context"
	"time"

	"github.com/souk-shop/souk/subgraphs/inventory"
	"github.com/souk-shop/souk/subgraphs/inventory/postgres/internal/db"
)

const (
	forgetLot   = 5000 // answers in one transaction
	forgetPages = 64   // of answers to holds in one transaction
)

// ForgetAnswers forgets answers given before a time. Those to holds have no index by age, for which each of them would pay: each call
// looks at the next part of the table instead, round and round. Several processes may forget at once.
func (s *Store) ForgetAnswers(ctx context.Context, before time.Time) error {
	for n := int64(forgetLot); n == forgetLot; {
		var err error
		if n, err = s.q.ForgetAnswers(ctx, db.ForgetAnswersParams{Before: before, Most: forgetLot}); err != nil {
			return err
		}
	}
	pages, err := s.q.PagesOfHoldAnswers(ctx)
	if err != nil {
		return err
	}
	for part := pages/inventory.RoundOfAnswers + 1; part > 0; part -= forgetPages {
		from := s.forgotten.Load()
		to := from + min(part, forgetPages)
		if err := s.q.ForgetHoldAnswers(ctx, db.ForgetHoldAnswersParams{FromPage: from, ToPage: to, Before: before}); err != nil {
			return err
		}
		if to >= pages {
			to = 0
		}
		s.forgotten.CompareAndSwap(from, to)
	}
	return nil
}
