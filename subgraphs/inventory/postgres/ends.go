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
	"github.com/souk-shop/souk/subgraphs/inventory/postgres/internal/db"
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
	// How this transaction leaves the variants that it has moved, each of which it tells.
	tellMoved = `
		WITH moved AS (
		    SELECT s.variant_id, s.seq, s.on_hand, s.held, i.product_id FROM stock s JOIN items i USING (variant_id)
		    WHERE s.variant_id = ANY (ARRAY(SELECT h.variant_id FROM sheets h WHERE h.id = ANY ($1))) AND s.xmin = pg_current_xact_id_if_assigned()::xid
		), told AS (
		    INSERT INTO outbox (event_id, subject, payload, headers)
		    SELECT $2 || variant_id, $3, jsonb_build_object('at', $4::text, 'variantId', variant_id, 'productId', product_id, 'available', on_hand - held,
		           'state', ($5::text[])[least(on_hand - held + 1, cardinality($5))], 'seq', seq), $6::jsonb FROM moved
		)
		SELECT m.*, l.warehouse_id, l.on_hand, l.held FROM moved m JOIN levels l USING (variant_id)`
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

// end ends those of the holds that can end, in one trip, and returns how each stands then, "" where there is none. In the order of the calls, the
// first that can end a hold does.
func (s *Store) end(ctx context.Context, calls []endCall, at time.Time) ([]inventory.Status, error) {
	is := make([]inventory.Status, len(calls))
	var e *ended
	err := s.again(ctx, func(p *pipeline.Pipeline) (err error) {
		e, err = queueEnds(ctx, p, calls, at)
		return err
	})
	switch {
	case err == nil:
		s.learnOf(e)
	case untimely(err) && len(calls) == 1: // so it stands as it stood
		e = &ended{statuses: map[string]inventory.Status{}}
	default:
		return is, err
	}
	var others []string
	for _, c := range calls {
		if e.statuses[c.reservationID] == "" {
			others = append(others, c.reservationID)
		}
	}
	if others != nil {
		rows, err := s.pool.Query(ctx, statusOf, others)
		if err != nil {
			return is, err
		}
		var r string
		var status inventory.Status
		if _, err = pgx.ForEachRow(rows, []any{&r, &status}, func() error { e.statuses[r] = status; return nil }); err != nil {
			return is, err
		}
	}
	for i, c := range calls {
		if is[i] = e.statuses[c.reservationID]; is[i] == inventory.Held && c.to == inventory.Committed { // too late to commit, though nobody swept it yet
			is[i] = inventory.Expired
		}
	}
	return is, nil
}

// An ended is what a transaction has ended, once its pipeline is sent: how the holds stand, and what it leaves of the variants that have moved.
type ended struct {
	statuses map[string]inventory.Status
	stock    map[string]inventory.Stock
	levels   map[string][]inventory.Level
}

// queueEnds queues the ends of those of the holds that are held, or sold if they are to be undone. It fails when one of them is not in time.
// The two are not asked for together, or a sale undone would lock its stock before an ending of another hold is written.
func queueEnds(ctx context.Context, p *pipeline.Pipeline, calls []endCall, at time.Time) (*ended, error) {
	e := &ended{statuses: map[string]inventory.Status{}, stock: map[string]inventory.Stock{}, levels: map[string][]inventory.Level{}}
	note := func(row pgx.Rows) error {
		var r string
		var status inventory.Status
		err := row.Scan(&r, &status)
		e.statuses[r] = status
		return err
	}
	var sheets, ids, to, sold []string
	inOrder := func(a, b endCall) int { return cmp.Compare(a.reservationID, b.reservationID) }
	for _, c := range slices.SortedStableFunc(slices.Values(calls), inOrder) {
		sheet, _ := id.Split(c.reservationID)
		sheets = append(sheets, sheet)
		if c.to == inventory.Restocked {
			sold = append(sold, c.reservationID)
		} else {
			ids, to = append(ids, c.reservationID), append(to, string(c.to))
		}
	}
	if ids != nil {
		p.Collect(addEndings, ids, to, at)(note)
	}
	if sold != nil {
		p.Collect(undoSales, sold, at)(note)
	}
	told, err := outbox.NewRow(ctx, outbox.Event{Subject: events.SubjectStockChanged})
	p.Collect(tellMoved, slices.Compact(sheets), told.EventID, told.Subject, at.Format(time.RFC3339Nano), inventory.States(), told.Headers)(func(row pgx.Rows) error {
		var s db.Stock
		var l db.Level
		var productID string
		err := row.Scan(&s.VariantID, &s.Seq, &s.OnHand, &s.Held, &productID, &l.WarehouseID, &l.OnHand, &l.Held)
		l.VariantID = s.VariantID
		e.stock[s.VariantID], e.levels[s.VariantID] = stock(s, productID), append(e.levels[s.VariantID], level(l))
		return err
	})
	return e, err
}

// untimely tells whether what failed was that a hold cannot end in this way now: it never was one, or is sold too late, or not yet due.
func untimely(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.ConstraintName == "endings_of_holds"
}

// learnOf remembers how a transaction that is committed has left what it moved, so that the next hold is guessed right.
func (s *Store) learnOf(e *ended) {
	for v, of := range e.stock {
		if g, found := s.guesses.Get(v); found {
			g.keepUp(of, e.levels[v])
		}
	}
}

// keepUp goes on from what is newer than what is known.
func (g *guess) keepUp(stock inventory.Stock, levels []inventory.Level) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.known || g.stock.Seq < stock.Seq {
		g.stock, g.levels, g.known = stock, levels, true
		g.turn++
	}
}
