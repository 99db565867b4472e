package postgres

import (
	"context"
	"time"

	"github.com/souk-shop/souk/internal/forget"
	"github.com/souk-shop/souk/subgraphs/payments/postgres/internal/db"
)

// ForgetAnswers forgets what staff asked for under which key before a time.
func (s *Store) ForgetAnswers(ctx context.Context, before time.Time) (int64, error) {
	return forget.Lots(ctx, func(ctx context.Context, most int32) (int64, error) {
		return s.q.ForgetAnswers(ctx, db.ForgetAnswersParams{Before: before, Most: most})
	})
}

// ForgetOperations forgets operations that ended before a time and that no key names, in the next part of the table. What they moved is
// in the ledger.
func (s *Store) ForgetOperations(ctx context.Context, before time.Time) (int64, error) {
	return s.operations.Part(ctx, s.q.PagesOfOperations, func(ctx context.Context, from, to int64) (int64, error) {
		return s.q.ForgetOperations(ctx, db.ForgetOperationsParams{FromPage: from, ToPage: to, Before: before})
	})
}

// ForgetReports forgets reports from before a time that stand for nothing in the ledger, in the next part of the table.
func (s *Store) ForgetReports(ctx context.Context, before time.Time) (int64, error) {
	return s.reports.Part(ctx, s.q.PagesOfReports, func(ctx context.Context, from, to int64) (int64, error) {
		return s.q.ForgetReports(ctx, db.ForgetReportsParams{FromPage: from, ToPage: to, Before: before})
	})
}
