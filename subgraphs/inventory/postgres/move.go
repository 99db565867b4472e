package postgres

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/internal/pipeline"
	"github.com/souk-shop/souk/subgraphs/inventory"
	"github.com/souk-shop/souk/subgraphs/inventory/postgres/internal/db"
)

// What a shelf and earlier answers are read with. Rows are locked in the order of their ids, in one statement, before
// anything else is: so two transactions never wait for each other. What is read after that statement is what the lock's
// last owner left.
const (
	lockStock = `
		SELECT s.variant_id, s.seq, s.on_hand, s.held, i.product_id FROM stock s JOIN items i USING (variant_id)
		WHERE s.variant_id = ANY ($1) ORDER BY s.variant_id FOR NO KEY UPDATE OF s`
	levelsOf  = `SELECT variant_id, warehouse_id, on_hand, held FROM levels WHERE variant_id = ANY ($1)`
	answersTo = `
		SELECT a.* FROM unnest($1::text[], $2::text[]) AS k (caller, key)
		CROSS JOIN LATERAL (SELECT caller, key, input, answer FROM answers WHERE caller = k.caller AND key = k.key OFFSET 0) AS a`
)

// planOnce has each statement planned once, not for every array anew: planning would be a quarter of the work of a hold.
const planOnce = `SET LOCAL plan_cache_mode = force_generic_plan`

// A turn is a transaction's turn at some variants.
type turn struct {
	*pipeline.Pipeline
	shelf    *inventory.Shelf
	answered map[asked]answered
	fresh    db.AddAnswersParams
	at       time.Time
}

// What was asked, by whom, and what was answered.
type (
	asked    struct{ caller, key string }
	answered struct {
		input  []byte
		answer json.RawMessage
	}
)

// take locks variants, and returns all there is of them and what the keys were answered before. It sends the pipeline.
func take(ctx context.Context, p *pipeline.Pipeline, variantIDs []string, at time.Time, keys ...inventory.Once) (*turn, error) {
	var stocks []inventory.Stock
	var levels []inventory.Level
	t := &turn{Pipeline: p, answered: map[asked]answered{}, at: at}
	p.Collect(lockStock, variantIDs)(func(row pgx.Rows) error {
		var r db.Stock
		var productID string
		err := row.Scan(&r.VariantID, &r.Seq, &r.OnHand, &r.Held, &productID)
		stocks = append(stocks, stock(r, productID))
		return err
	})
	p.Collect(levelsOf, variantIDs)(func(row pgx.Rows) error {
		var r db.Level
		err := row.Scan(&r.VariantID, &r.WarehouseID, &r.OnHand, &r.Held)
		levels = append(levels, level(r))
		return err
	})
	if len(keys) > 0 {
		var callers, names []string
		for _, k := range keys {
			callers, names = append(callers, k.Caller), append(names, k.Key)
		}
		p.Collect(answersTo, callers, names)(func(row pgx.Rows) error {
			var to asked
			var a answered
			err := row.Scan(&to.caller, &to.key, &a.input, &a.answer)
			t.answered[to] = a
			return err
		})
	}
	err := p.Send(ctx)
	t.shelf = inventory.NewShelf(at, stocks, levels)
	return t, err
}

// before returns what the key was answered before, if anything; ErrKeyReused when that was to other input.
func (t *turn) before(once inventory.Once) (json.RawMessage, error) {
	a, ok := t.answered[asked{once.Caller, once.Key}]
	if ok && !bytes.Equal(a.input, once.Input) {
		return nil, inventory.ErrKeyReused
	}
	return a.answer, nil
}

// remember makes the reply what the key is answered from now on.
func (t *turn) remember(once inventory.Once, reply any) error {
	answer, err := json.Marshal(reply)
	t.answered[asked{once.Caller, once.Key}] = answered{once.Input, answer}
	t.fresh.Callers, t.fresh.Keys = append(t.fresh.Callers, once.Caller), append(t.fresh.Keys, once.Key)
	t.fresh.Inputs, t.fresh.Answers = append(t.fresh.Inputs, once.Input), append(t.fresh.Answers, string(answer))
	return err
}

// save queues what moved on the shelf, the events that tell of it, and the answers.
func (t *turn) save(ctx context.Context) error {
	q := db.New(t)
	if t.fresh.Keys != nil {
		t.fresh.At = t.at
		if err := q.AddAnswers(ctx, t.fresh); err != nil {
			return err
		}
	}
	moved := t.shelf.Moved()
	if len(moved) == 0 {
		return nil
	}
	type place struct{ variantID, warehouseID string }
	type change struct {
		onHand, held int32
		seq          int64
	}
	ledger := db.AppendToLedgerParams{At: t.at}
	stock, levels := changes[string, change]{}, changes[place, change]{}
	for _, m := range moved {
		ledger.VariantIds, ledger.Seqs = append(ledger.VariantIds, m.VariantID), append(ledger.Seqs, m.Seq)
		ledger.Kinds, ledger.Quantities = append(ledger.Kinds, string(m.Kind)), append(ledger.Quantities, int32(m.Quantity))
		ledger.WarehouseIds = append(ledger.WarehouseIds, m.WarehouseID)
		ledger.OnHandAfter, ledger.HeldAfter = append(ledger.OnHandAfter, int32(m.OnHandAfter)), append(ledger.HeldAfter, int32(m.HeldAfter))
		ledger.ReservationIds, ledger.OrderIds = append(ledger.ReservationIds, m.ReservationID), append(ledger.OrderIds, m.OrderID)
		ledger.PoolIds = append(ledger.PoolIds, m.PoolID)
		ledger.Reasons, ledger.IdempotencyKeys = append(ledger.Reasons, m.Reason), append(ledger.IdempotencyKeys, m.IdempotencyKey)
		onHand, held := m.Effect()
		for _, c := range []*change{stock.of(m.VariantID), levels.of(place{m.VariantID, m.WarehouseID})} {
			c.onHand, c.held, c.seq = c.onHand+int32(onHand), c.held+int32(held), m.Seq
		}
	}
	var ms db.MoveStockParams
	for v, c := range stock {
		ms.VariantIds, ms.Seqs, ms.OnHand, ms.Held = append(ms.VariantIds, v), append(ms.Seqs, c.seq), append(ms.OnHand, c.onHand), append(ms.Held, c.held)
	}
	var ml db.MoveLevelsParams
	var opened db.OpenLevelsParams
	for at, c := range levels {
		ml.VariantIds, ml.WarehouseIds = append(ml.VariantIds, at.variantID), append(ml.WarehouseIds, at.warehouseID)
		ml.Seqs, ml.OnHand, ml.Held = append(ml.Seqs, c.seq), append(ml.OnHand, c.onHand), append(ml.Held, c.held)
		if c.onHand >= 0 && c.held == 0 { // only what comes by hand can be the first in its place
			opened.VariantIds, opened.WarehouseIds = append(opened.VariantIds, at.variantID), append(opened.WarehouseIds, at.warehouseID)
		}
	}
	if opened.VariantIds != nil {
		if err := q.OpenLevels(ctx, opened); err != nil {
			return err
		}
	}
	var told []outbox.Event
	for _, of := range t.shelf.Changed() {
		told = append(told, outbox.Event{Subject: events.SubjectStockChanged, Payload: of.Changed()})
	}
	return errors.Join(
		q.MoveStock(ctx, ms), q.MoveLevels(ctx, ml), q.AppendToLedger(ctx, ledger),
		outbox.Record(ctx, t, told...),
	)
}

// changes sums up by key what many movements do to one row.
type changes[K comparable, C any] map[K]*C

func (cs changes[K, C]) of(key K) *C {
	if cs[key] == nil {
		cs[key] = new(C)
	}
	return cs[key]
}

// Move locks the variants, runs the rule and saves what it moved, once for each key.
func (s *Store) Move(ctx context.Context, once inventory.Once, variantIDs []string, at time.Time, rule func(*inventory.Shelf) error) error {
	return s.again(ctx, func(p *pipeline.Pipeline) error {
		if err := db.New(p).OpenStock(ctx, variantIDs); err != nil {
			return err
		}
		t, err := take(ctx, p, variantIDs, at, once)
		if err != nil {
			return err
		}
		switch done, err := t.before(once); {
		case err != nil:
			return inventory.ErrKeyReused.At("input", "idempotencyKey")
		case done != nil:
			return nil
		}
		if err := rule(t.shelf); err != nil {
			return err
		}
		if err := t.remember(once, struct{}{}); err != nil {
			return err
		}
		return t.save(ctx)
	})
}

// ForgetAnswers forgets up to most answers given before a time, and returns how many.
func (s *Store) ForgetAnswers(ctx context.Context, before time.Time, most int) (int, error) {
	n, err := s.q.ForgetAnswers(ctx, db.ForgetAnswersParams{Before: before, Most: int32(most)})
	return int(n), err
}

// again runs fn in a transaction, and once more when another caller was given an answer to the same key meanwhile: then
// fn finds it. Committing wakes the relay.
func (s *Store) again(ctx context.Context, fn func(*pipeline.Pipeline) error) error {
	planned := func(p *pipeline.Pipeline) error {
		if _, err := p.Exec(ctx, planOnce); err != nil {
			return err
		}
		return fn(p)
	}
	err := pipeline.Transact(ctx, s.pool, planned)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.ConstraintName == "answers_pkey" {
		err = pipeline.Transact(ctx, s.pool, planned)
	}
	if err == nil {
		outbox.Wake(s.pool)
	}
	return err
}
