package postgres

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/pipeline"
	"github.com/souk-shop/souk/subgraphs/inventory"
	"github.com/souk-shop/souk/subgraphs/inventory/postgres/internal/db"
)

// Hold tries every request, each for itself, in one transaction of two trips.
func (s *Store) Hold(ctx context.Context, requests []inventory.HoldRequest, at time.Time) (answers []inventory.HoldAnswer, err error) {
	var variants []string
	var keys []inventory.Once
	for _, r := range requests {
		keys = append(keys, r.Once)
		for _, w := range r.Wanted {
			variants = append(variants, w.VariantID)
		}
	}
	err = s.again(ctx, func(p *pipeline.Pipeline) error {
		t, err := take(ctx, p, variants, at, keys...)
		if err != nil {
			return err
		}
		answers = make([]inventory.HoldAnswer, len(requests))
		var made []inventory.Reservation
		for i, r := range requests {
			res, err := t.hold(r, &answers[i])
			if err != nil {
				return err
			}
			if res != nil {
				made = append(made, *res)
			}
		}
		if err := t.save(ctx); err != nil {
			return err
		}
		return t.add(ctx, made)
	})
	return answers, err
}

// hold tries one request. A new reservation is returned; the error is one that fails all requests.
func (t *turn) hold(r inventory.HoldRequest, a *inventory.HoldAnswer) (*inventory.Reservation, error) {
	before, err := t.before(r.Once)
	if err != nil {
		a.Err = inventory.ErrKeyReused.At("idempotencyKey")
		return nil, nil
	}
	if before != nil {
		return nil, json.Unmarshal(before, &a.Reply)
	}
	res, short, err := t.shelf.Hold(r)
	if err != nil {
		a.Err = err
		return nil, nil
	}
	a.Reply = events.HoldReply{Short: short}
	if res != nil {
		a.Reply.ReservationID = res.ID
	}
	return res, t.remember(r.Once, a.Reply)
}

// add queues new reservations, whose lines are checked against what save has queued.
func (t *turn) add(ctx context.Context, made []inventory.Reservation) error {
	if len(made) == 0 {
		return nil
	}
	rs := db.AddReservationsParams{At: t.at}
	var ls db.AddReservationLinesParams
	for _, r := range made {
		rs.Ids, rs.OrderIds = append(rs.Ids, r.ID), append(rs.OrderIds, r.OrderID)
		rs.AccountIds, rs.ExpiresAt = append(rs.AccountIds, r.AccountID), append(rs.ExpiresAt, r.ExpiresAt)
		for _, l := range r.Lines {
			ls.ReservationIds, ls.VariantIds = append(ls.ReservationIds, r.ID), append(ls.VariantIds, l.VariantID)
			ls.WarehouseIds, ls.Quantities = append(ls.WarehouseIds, l.WarehouseID), append(ls.Quantities, int32(l.Quantity))
		}
	}
	q := db.New(t)
	if err := q.AddReservations(ctx, rs); err != nil {
		return err
	}
	return q.AddReservationLines(ctx, ls)
}

// How holds end: the row that changes from HELD decides who of many has ended it. A hold whose time is up can no longer
// be committed, whether or not somebody swept it already.
const (
	endOne = `
		WITH ended AS (
		    UPDATE reservations SET status = $2, updated_at = $3
		    WHERE id = $1 AND status = 'HELD' AND ($2 <> 'COMMITTED' OR expires_at > $3) AND ($2 <> 'EXPIRED' OR expires_at <= $3)
		    RETURNING id, order_id)
		SELECT e.id, e.order_id, l.variant_id, l.warehouse_id, l.quantity FROM ended e JOIN reservation_lines l ON l.reservation_id = e.id`
	unsell = `
		WITH ended AS (UPDATE reservations SET status = 'RESTOCKED', updated_at = $2 WHERE id = $1 AND status = 'COMMITTED' RETURNING id, order_id)
		SELECT e.id, e.order_id, l.variant_id, l.warehouse_id, l.quantity FROM ended e JOIN reservation_lines l ON l.reservation_id = e.id`
	endDue = `
		WITH ended AS (
		    UPDATE reservations SET status = 'EXPIRED', updated_at = $1
		    WHERE id = ANY (ARRAY(SELECT id FROM reservations WHERE status = 'HELD' AND expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED))
		    RETURNING id, order_id)
		SELECT e.id, e.order_id, l.variant_id, l.warehouse_id, l.quantity FROM ended e JOIN reservation_lines l ON l.reservation_id = e.id`
)

// End moves a reservation from Held to another status, if it is held still, and returns the one it has now.
func (s *Store) End(ctx context.Context, reservationID string, to inventory.Status, at time.Time) (is inventory.Status, err error) {
	is, err = s.endOr(ctx, reservationID, to, at, endOne, reservationID, to, at)
	if err == nil && is == inventory.Held && to == inventory.Committed { // too late to commit, though nobody swept it yet
		is = inventory.Expired
	}
	return is, err
}

// Restock moves a reservation from Committed to Restocked, if it is committed still, and returns the status it has now.
func (s *Store) Restock(ctx context.Context, reservationID string, at time.Time) (inventory.Status, error) {
	return s.endOr(ctx, reservationID, inventory.Restocked, at, unsell, reservationID, at)
}

// endOr runs a statement that ends a reservation, or returns how it ended before.
func (s *Store) endOr(ctx context.Context, reservationID string, to inventory.Status, at time.Time, sql string, args ...any) (is inventory.Status, err error) {
	err = s.again(ctx, func(p *pipeline.Pipeline) error {
		ended, err := end(ctx, p, to, at, sql, args...)
		is = to
		if err != nil || ended > 0 {
			return err
		}
		is = ""
		p.Collect(`SELECT status FROM reservations WHERE id = $1`, reservationID)(func(row pgx.Rows) error { return row.Scan(&is) })
		return p.Send(ctx)
	})
	if err == nil && is == "" {
		err = inventory.ErrNoReservation
	}
	return is, err
}

// Expire ends up to most holds whose time is up, and returns how many.
func (s *Store) Expire(ctx context.Context, at time.Time, most int) (n int, err error) {
	err = s.again(ctx, func(p *pipeline.Pipeline) error {
		n, err = end(ctx, p, inventory.Expired, at, endDue, at, most)
		return err
	})
	return n, err
}

// Due lists holds whose time is up.
func (s *Store) Due(ctx context.Context, at time.Time, most int) ([]string, error) {
	return s.q.Due(ctx, db.DueParams{At: at, Most: int32(most)})
}

// end runs a statement that ends reservations, and does with their units what the status says. It returns how many ended.
func end(ctx context.Context, p *pipeline.Pipeline, to inventory.Status, at time.Time, sql string, args ...any) (int, error) {
	ended := map[string]*inventory.Reservation{}
	variants := map[string]struct{}{}
	p.Collect(sql, args...)(func(row pgx.Rows) error {
		var id, orderID string
		var l inventory.Line
		err := row.Scan(&id, &orderID, &l.VariantID, &l.WarehouseID, &l.Quantity)
		if ended[id] == nil {
			ended[id] = &inventory.Reservation{ID: id, OrderID: orderID, Status: to}
		}
		ended[id].Lines = append(ended[id].Lines, l)
		variants[l.VariantID] = struct{}{}
		return err
	})
	if err := p.Send(ctx); err != nil || len(ended) == 0 {
		return 0, err
	}
	t, err := take(ctx, p, slices.Collect(maps.Keys(variants)), at)
	if err != nil {
		return 0, err
	}
	for _, r := range ended {
		if err := t.shelf.End(*r); err != nil {
			return 0, err
		}
	}
	return len(ended), t.save(ctx)
}
