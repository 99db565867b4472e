package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/internal/pipeline"
	"github.com/souk-shop/souk/subgraphs/inventory"
	"github.com/souk-shop/souk/subgraphs/inventory/postgres/internal/db"
)

// How holds end. What was held does not change, so whoever has the locks of its variants and finds no ending is the one who ends it.
const (
	linesOf = `
		SELECT r.id || r.tail, s.order_ids[nth], s.expires_at[nth], s.variant_id, s.warehouse_ids[s.places[nth]], s.quantities[nth]
		FROM unnest($1::text[], $2::text[]) AS r (id, tail) JOIN sheets s ON s.id = r.id
		CROSS JOIN LATERAL unnest(array_positions(s.tails, r.tail)) AS nth`
	variantsOfHolds = `
		SELECT s.variant_id FROM unnest($1::text[], $2::text[]) AS r (id, tail) JOIN sheets s ON s.id = r.id AND r.tail = ANY (s.tails)`
	lockStockOfHolds = `
		SELECT s.variant_id, s.seq, s.on_hand, s.held, i.product_id FROM stock s JOIN items i USING (variant_id)
		WHERE s.variant_id = ANY (ARRAY(` + variantsOfHolds + `)) ORDER BY s.variant_id FOR NO KEY UPDATE OF s`
	levelsOfHolds = `SELECT variant_id, warehouse_id, on_hand, held FROM levels WHERE variant_id = ANY (ARRAY(` + variantsOfHolds + `))`
	unsell        = `UPDATE endings SET status = 'RESTOCKED', at = $2 WHERE reservation_id = $1` // ends_once refuses it of anything but a sale
	endingsOf     = `SELECT reservation_id, status FROM endings WHERE reservation_id = ANY ($1)`
)

// An endCall asks for a hold to end.
type endCall struct {
	reservationID string
	to            inventory.Status
	at            time.Time
}

// ends tells whether the call is the one that ends the hold.
func (c endCall) ends(r *inventory.Reservation) bool {
	due := !r.ExpiresAt.After(c.at)
	if c.to == inventory.Restocked {
		return r.Status == inventory.Committed
	}
	return r.Status == inventory.Held && (c.to != inventory.Committed || !due) && (c.to != inventory.Expired || due)
}

// End moves a reservation from Held to another status, if it is held still, and returns the one it has now.
func (s *Store) End(ctx context.Context, reservationID string, to inventory.Status, at time.Time) (is inventory.Status, err error) {
	err = s.again(ctx, func(p *pipeline.Pipeline) error {
		found, _, err := end(ctx, p, []endCall{{reservationID, to, at}}, at)
		is = found[0]
		return err
	})
	if err == nil && is == "" {
		err = inventory.ErrNoReservation
	}
	return is, err
}

// Restock moves a reservation from Committed to Restocked, if it is committed still, and returns the status it has now.
func (s *Store) Restock(ctx context.Context, reservationID string, at time.Time) (inventory.Status, error) {
	return s.End(ctx, reservationID, inventory.Restocked, at)
}

// end ends those of the holds that can end, and returns how each stands then, "" where there is none, and how many it has ended.
// In the order of the calls, the first that can end a hold does.
func end(ctx context.Context, p *pipeline.Pipeline, calls []endCall, at time.Time) (is []inventory.Status, ended int, err error) {
	ids := make([]string, len(calls))
	for i, c := range calls {
		ids[i] = c.reservationID
	}
	ranges, tails := split(ids)
	is = make([]inventory.Status, len(calls))
	held := map[string]*inventory.Reservation{}
	t, err := takeBy(ctx, p, lockStockOfHolds, levelsOfHolds, at, func() {
		p.Collect(linesOf, ranges, tails)(func(row pgx.Rows) error {
			var l inventory.Line
			found := inventory.Reservation{Status: inventory.Held}
			err := row.Scan(&found.ID, &found.OrderID, &found.ExpiresAt, &l.VariantID, &l.WarehouseID, &l.Quantity)
			if held[found.ID] == nil {
				held[found.ID] = &found
			}
			held[found.ID].Lines = append(held[found.ID].Lines, l)
			return err
		})
		p.Collect(endingsOf, ids)(func(row pgx.Rows) error {
			var id string
			var status inventory.Status
			err := row.Scan(&id, &status)
			if r := held[id]; r != nil {
				r.Status = status
			}
			return err
		})
	}, ranges, tails)
	if err != nil {
		return is, 0, err
	}
	fresh, undone := db.AddEndingsParams{At: at}, 0
	for i, c := range calls {
		r := held[c.reservationID]
		if r == nil {
			continue
		}
		if c.ends(r) {
			r.Status = c.to
			if err := t.shelf.End(*r); err != nil {
				return is, 0, err
			}
			is[i] = r.Status
			if c.to == inventory.Restocked {
				undone++
				if _, err := p.Exec(ctx, unsell, r.ID, at); err != nil {
					return is, 0, err
				}
				continue
			}
			fresh.ReservationIds, fresh.Statuses = append(fresh.ReservationIds, r.ID), append(fresh.Statuses, string(r.Status))
		}
		if is[i] = r.Status; is[i] == inventory.Held && c.to == inventory.Committed { // too late to commit, though nobody swept it yet
			is[i] = inventory.Expired
		}
	}
	if len(fresh.ReservationIds)+undone == 0 {
		return is, 0, nil
	}
	if fresh.ReservationIds != nil {
		if err := db.New(p).AddEndings(ctx, fresh); err != nil {
			return is, 0, err
		}
	}
	return is, len(fresh.ReservationIds) + undone, t.save(ctx)
}
