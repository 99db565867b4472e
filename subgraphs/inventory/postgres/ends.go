package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/internal/batch"
	"github.com/souk-shop/souk/internal/pipeline"
	"github.com/souk-shop/souk/subgraphs/inventory"
)

// How many holds end together. As everywhere, reservations are locked before stock, and in the order of their ids.
const (
	lockReservations = `SELECT id, order_id, status, expires_at FROM reservations WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE`
	linesOf          = `SELECT reservation_id, variant_id, warehouse_id, quantity FROM reservation_lines WHERE reservation_id = ANY ($1)`
	endMany          = `
		UPDATE reservations r SET status = d.status, updated_at = $3
		FROM (SELECT unnest($1::text[]) AS id, unnest($2::text[]) AS status) d WHERE r.id = d.id`
)

// endAll does in one transaction what End does for each: in their order, the first that can end a hold ends it.
func (c *Crowd) endAll(ctx context.Context, _ string, calls []endCall) (results []batch.Result[inventory.Status], err error) {
	ids := make([]string, len(calls))
	at := calls[0].at
	for i, call := range calls {
		ids[i] = call.reservationID
		at = later(at, call.at)
	}
	err = c.again(ctx, func(p *pipeline.Pipeline) error {
		held, err := lockHolds(ctx, p, ids)
		if err != nil {
			return err
		}
		results = make([]batch.Result[inventory.Status], len(calls))
		var ended []*inventory.Reservation
		for i, call := range calls {
			r := held[call.reservationID]
			if r == nil {
				results[i].Err = inventory.ErrNoReservation
				continue
			}
			if call.ends(r) {
				r.Status = call.to
				ended = append(ended, r)
			}
			results[i].Value = r.Status
			if r.Status == inventory.Held && call.to == inventory.Committed { // too late to commit, though nobody swept it yet
				results[i].Value = inventory.Expired
			}
		}
		return endTogether(ctx, p, ended, at)
	})
	return results, err
}

// ends tells whether the call is the one that ends the hold.
func (c endCall) ends(r *inventory.Reservation) bool {
	due := !r.ExpiresAt.After(c.at)
	return r.Status == inventory.Held && (c.to != inventory.Committed || !due) && (c.to != inventory.Expired || due)
}

// lockHolds returns those of the reservations that there are, which nobody else can end meanwhile.
func lockHolds(ctx context.Context, p *pipeline.Pipeline, ids []string) (map[string]*inventory.Reservation, error) {
	found := map[string]*inventory.Reservation{}
	p.Collect(lockReservations, ids)(func(row pgx.Rows) error {
		r := &inventory.Reservation{}
		err := row.Scan(&r.ID, &r.OrderID, &r.Status, &r.ExpiresAt)
		found[r.ID] = r
		return err
	})
	p.Collect(linesOf, ids)(func(row pgx.Rows) error {
		var id string
		var l inventory.Line
		err := row.Scan(&id, &l.VariantID, &l.WarehouseID, &l.Quantity)
		if r := found[id]; r != nil {
			r.Lines = append(r.Lines, l)
		}
		return err
	})
	return found, p.Send(ctx)
}

// endTogether saves the new status of reservations, and does with their units what it says.
func endTogether(ctx context.Context, p *pipeline.Pipeline, ended []*inventory.Reservation, at time.Time) error {
	if len(ended) == 0 {
		return nil
	}
	var ids, statuses, variants []string
	for _, r := range ended {
		ids, statuses = append(ids, r.ID), append(statuses, string(r.Status))
		for _, l := range r.Lines {
			variants = append(variants, l.VariantID)
		}
	}
	if _, err := p.Exec(ctx, endMany, ids, statuses, at); err != nil {
		return err
	}
	t, err := take(ctx, p, variants, at)
	if err != nil {
		return err
	}
	for _, r := range ended {
		if err := t.shelf.End(*r); err != nil {
			return err
		}
	}
	return t.save(ctx)
}
