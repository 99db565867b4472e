package postgres

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/internal/pipeline"
	"github.com/souk-shop/souk/subgraphs/inventory"
)

// How holds end. Whoever writes the ending of a hold is the one who ends it, and the ending moves the units by itself. Endings are written in the
// order of their ids, and each waits for nobody but who writes the same one or has the stock: so two transactions never wait for each other.
const (
	addEndings = `
		INSERT INTO endings (reservation_id, status, at)
		SELECT id, status, $3 FROM unnest($1::text[], $2::text[]) AS c (id, status)
		ON CONFLICT DO NOTHING
		RETURNING reservation_id, status`
	undoSales = `
		UPDATE endings SET (status, at) = ('RESTOCKED', $2) WHERE reservation_id = ANY ($1) AND status = 'COMMITTED' RETURNING reservation_id, status`
	// The event of each variant that this transaction has moved.
	tellMoved = `
		INSERT INTO outbox (event_id, subject, payload, headers)
		SELECT $2 || s.variant_id, $3, jsonb_build_object('at', $4::text, 'variantId', s.variant_id, 'productId', i.product_id, 'available', s.on_hand - s.held,
		       'state', ($5::text[])[least(s.on_hand - s.held + 1, cardinality($5))], 'seq', s.seq), $6::jsonb
		FROM stock s JOIN items i USING (variant_id)
		WHERE s.variant_id = ANY (ARRAY(SELECT h.variant_id FROM sheets h WHERE h.id = ANY ($1))) AND s.xmin = pg_current_xact_id_if_assigned()::xid`
	statusOf = `
		SELECT r.id, coalesce(e.status, 'HELD')
		FROM unnest($1::text[]) AS r (id) JOIN sheets s ON s.id = left(r.id, -2) AND right(r.id, 2) = ANY (s.tails)
		LEFT JOIN endings e ON e.reservation_id = r.id`
)

// An endCall asks for a hold to end.
type endCall struct {
	reservationID string
	to            inventory.Status
	at            time.Time
}

// End moves a reservation from Held to another status, if it is held still, and returns the one it has now.
func (s *Store) End(ctx context.Context, reservationID string, to inventory.Status, at time.Time) (inventory.Status, error) {
	is, err := s.end(ctx, []endCall{{reservationID, to, at}}, at)
	if err == nil && is[0] == "" {
		err = inventory.ErrNoReservation
	}
	return is[0], err
}

// Restock moves a reservation from Committed to Restocked, if it is committed still, and returns the status it has now.
func (s *Store) Restock(ctx context.Context, reservationID string, at time.Time) (inventory.Status, error) {
	return s.End(ctx, reservationID, inventory.Restocked, at)
}

// end ends those of the holds that can end, in one trip, and returns how each stands then, "" where there is none.
func (s *Store) end(ctx context.Context, calls []endCall, at time.Time) ([]inventory.Status, error) {
	is := make([]inventory.Status, len(calls))
	var now statuses
	err := s.again(ctx, func(p *pipeline.Pipeline) (err error) {
		now, err = queueEnds(ctx, p, calls, at)
		return err
	})
	if untimely(err) && len(calls) == 1 {
		now, err = statuses{}, nil // somebody may have swept it meanwhile, or else it stands as it stood
	}
	if err != nil {
		return is, err
	}
	var others []string
	for _, c := range calls {
		if now[c.reservationID] == "" {
			others = append(others, c.reservationID)
		}
	}
	if others != nil {
		rows, err := s.pool.Query(ctx, statusOf, others)
		if err == nil {
			var r string
			var status inventory.Status
			_, err = pgx.ForEachRow(rows, []any{&r, &status}, func() error { now[r] = status; return nil })
		}
		if err != nil {
			return is, err
		}
	}
	for i, c := range calls {
		if is[i] = now[c.reservationID]; is[i] == inventory.Held && c.to == inventory.Committed { // too late to commit, though nobody swept it yet
			is[i] = inventory.Expired
		}
	}
	return is, nil
}

// queueEnds queues the end of those of the holds that can end, and tells how they ended once the pipeline is sent. In the order of the calls, the
// first that can end a hold does.
func queueEnds(ctx context.Context, p *pipeline.Pipeline, calls []endCall, at time.Time) (statuses, error) {
	var ids, to, sold, sheets []string
	inOrder := func(a, b endCall) int { return cmp.Compare(a.reservationID, b.reservationID) }
	for _, c := range slices.SortedStableFunc(slices.Values(calls), inOrder) {
		ids, to = append(ids, c.reservationID), append(to, string(c.to))
		if c.to == inventory.Restocked {
			sold = append(sold, c.reservationID)
		}
		sheet, _ := id.Split(c.reservationID)
		sheets = append(sheets, sheet)
	}
	told, err := outbox.NewRow(ctx, outbox.Event{Subject: events.SubjectStockChanged, Payload: events.StockChanged{At: events.At{At: at}}})
	if err != nil {
		return nil, err
	}
	ended := statuses{}
	if len(sold) < len(calls) {
		p.Collect(addEndings, ids, to, at)(ended.note)
	}
	if sold != nil {
		p.Collect(undoSales, sold, at)(ended.note)
	}
	_, err = p.Exec(ctx, tellMoved, slices.Compact(sheets), told.EventID, told.Subject, at.Format(time.RFC3339Nano), inventory.States(), told.Headers)
	return ended, err
}

// untimely tells whether what failed was that a hold cannot end in this way now: it never was one, or is sold too late, or not yet due.
func untimely(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.ConstraintName == "endings_of_holds"
}

// statuses are how holds stand, by id.
type statuses map[string]inventory.Status

func (of statuses) note(row pgx.Rows) error {
	var id string
	var is inventory.Status
	err := row.Scan(&id, &is)
	of[id] = is
	return err
}
