package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/internal/pipeline"
	"github.com/souk-shop/souk/subgraphs/inventory"
)

// How the sweeper goes about sheets: it takes some that are due and that nobody else is at, ends what of them is held and due, and
// notes when it has to look again.
const (
	openOf   = `unnest(s.tails, s.expires_at) AS l (tail, expires_at) WHERE NOT EXISTS (SELECT FROM endings e WHERE e.reservation_id = s.id || l.tail)`
	dueSheet = `
		SELECT s.variant_id, s.first_seq, ARRAY(SELECT s.id || l.tail FROM ` + openOf + ` AND l.expires_at <= $1)
		FROM sheets s WHERE s.due_at <= $1 ORDER BY s.due_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED`
	lookAgain = `
		UPDATE sheets s SET due_at = (SELECT min(l.expires_at) FROM ` + openOf + `)
		FROM unnest($1::text[], $2::bigint[]) AS d (variant_id, first_seq) WHERE s.variant_id = d.variant_id AND s.first_seq = d.first_seq`
	dueHolds = `
		SELECT DISTINCT s.id || l.tail FROM sheets s CROSS JOIN LATERAL (SELECT l.tail FROM ` + openOf + ` AND l.expires_at <= $1) AS l
		WHERE s.due_at <= $1 LIMIT $2`
)

const sheetsAtOnce = 100

// Expire ends up to most holds whose time is up, and returns how many.
func (s *Store) Expire(ctx context.Context, at time.Time, most int) (n int, err error) {
	for more := true; more && err == nil && n < most; {
		var ended int
		ended, more, err = s.expireSome(ctx, at, most-n)
		n += ended
	}
	return n, err
}

// expireSome does so for the sheets of one transaction, and tells whether there may be more.
func (s *Store) expireSome(ctx context.Context, at time.Time, most int) (n int, more bool, err error) {
	e := &ended{}
	err = s.again(ctx, func(p *pipeline.Pipeline) error {
		var variants []string
		var seqs []int64
		var calls []endCall
		seen := map[string]bool{}
		p.Collect(dueSheet, at, sheetsAtOnce)(func(row pgx.Rows) error {
			var variant string
			var seq int64
			var due []string
			err := row.Scan(&variant, &seq, &due)
			variants, seqs = append(variants, variant), append(seqs, seq)
			for _, r := range due {
				if !seen[r] && len(calls) < most { // one of several variants is on several sheets
					seen[r], calls = true, append(calls, endCall{r, inventory.Expired, at})
				}
			}
			return err
		})
		if err := p.Send(ctx); err != nil || len(variants) == 0 {
			return err
		}
		more = len(variants) == sheetsAtOnce
		if len(calls) > 0 {
			var err error
			if e, err = queueEnds(ctx, p, calls, at); err != nil {
				return err
			}
		}
		_, err := p.Exec(ctx, lookAgain, variants, seqs)
		return err
	})
	if err != nil {
		return 0, false, err
	}
	s.learnOf(e)
	return len(e.statuses), more, nil
}

// Due lists holds whose time is up.
func (s *Store) Due(ctx context.Context, at time.Time, most int) ([]string, error) {
	rows, err := s.pool.Query(ctx, dueHolds, at, most)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
