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
	levelsOf = `SELECT variant_id, warehouse_id, on_hand, held FROM levels WHERE variant_id = ANY ($1)`
	answerTo = `SELECT input, answer FROM answers WHERE caller = $1 AND key = $2`
)

// planOnce has each statement planned once, not for every array anew: planning would be a quarter of the work of a hold. And by indexes, for
// what is moved is a few rows of tables that grow: while they are new, PostgreSQL would rather read all of them.
const planOnce = `SELECT set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true)`

// A turn is a transaction's turn at some variants.
type turn struct {
	*pipeline.Pipeline
	shelf *inventory.Shelf
	at    time.Time
}

// take locks variants, and returns all there is of them. It sends the pipeline, with what was queued before and what also queues.
func take(ctx context.Context, p *pipeline.Pipeline, variantIDs []string, at time.Time, also func()) (*turn, error) {
	var stocks []inventory.Stock
	var there []inventory.Level
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
		there = append(there, level(r))
		return err
	})
	also()
	err := p.Send(ctx)
	return &turn{Pipeline: p, at: at, shelf: inventory.NewShelf(at, stocks, there)}, err
}

// takeOnce locks variants for who comes with a key, and tells what the key was answered before, if anything; ErrKeyReused when
// that was to other input.
func takeOnce(ctx context.Context, p *pipeline.Pipeline, variantIDs []string, at time.Time, once inventory.Once) (t *turn, before json.RawMessage, err error) {
	var input []byte
	t, err = take(ctx, p, variantIDs, at, func() {
		p.Collect(answerTo, once.Caller, once.Key)(func(row pgx.Rows) error { return row.Scan(&input, &before) })
	})
	if err == nil && before != nil && !bytes.Equal(input, once.Input) {
		err = inventory.ErrKeyReused
	}
	return t, before, err
}

// remember makes the reply what the key is answered from now on.
func (t *turn) remember(ctx context.Context, once inventory.Once, reply any) error {
	answer, err := json.Marshal(reply)
	if err != nil {
		return err
	}
	return db.New(t).AddAnswer(ctx, db.AddAnswerParams{Caller: once.Caller, Key: once.Key, Input: once.Input, Answer: answer, CreatedAt: t.at})
}

// save queues what moved on the shelf, and the events that tell of it. A turn moves or holds: a movement that follows a hold in it is
// refused, for movements are written first.
func (t *turn) save(ctx context.Context) error {
	moved, sheets := t.shelf.Moved(), t.shelf.Sheets()
	if len(moved)+len(sheets) == 0 {
		return nil
	}
	var failed []error
	if len(moved) > 0 {
		failed = append(failed, t.move(ctx, moved))
	}
	for _, s := range sheets { // each moves its stock and levels by itself
		failed = append(failed, db.New(t).AddSheet(ctx, sheetRow(s, t.at)))
	}
	var told []outbox.Event
	for _, of := range t.shelf.Changed() {
		told = append(told, outbox.Event{Subject: events.SubjectStockChanged, Payload: of.Changed()})
	}
	return errors.Join(append(failed, outbox.Record(ctx, t, told...))...)
}

// move queues movements, and first the stock and levels that they move.
func (t *turn) move(ctx context.Context, moved []inventory.Movement) error {
	type place struct{ variantID, warehouseID string }
	type change struct {
		onHand, held int32
		seq          int64
	}
	stock, levels := changes[string, change]{}, changes[place, change]{}
	ledger := db.AddMovementsParams{At: t.at}
	for _, m := range moved {
		ledger.VariantIds, ledger.Seqs = append(ledger.VariantIds, m.VariantID), append(ledger.Seqs, m.Seq)
		ledger.Kinds, ledger.Quantities = append(ledger.Kinds, string(m.Kind)), append(ledger.Quantities, int32(m.Quantity))
		ledger.WarehouseIds = append(ledger.WarehouseIds, m.WarehouseID)
		ledger.OnHandAfter, ledger.HeldAfter = append(ledger.OnHandAfter, int32(m.OnHandAfter)), append(ledger.HeldAfter, int32(m.HeldAfter))
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
	q := db.New(t)
	var failed []error
	if opened.VariantIds != nil {
		failed = append(failed, q.OpenLevels(ctx, opened))
	}
	return errors.Join(append(failed, q.MoveStock(ctx, ms), q.MoveLevels(ctx, ml), q.AddMovements(ctx, ledger))...)
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
		t, done, err := takeOnce(ctx, p, variantIDs, at, once)
		switch {
		case errors.Is(err, inventory.ErrKeyReused):
			return inventory.ErrKeyReused.At("input", "idempotencyKey")
		case err != nil, done != nil:
			return err
		}
		if err := rule(t.shelf); err != nil {
			return err
		}
		if err := t.remember(ctx, once, struct{}{}); err != nil {
			return err
		}
		return t.save(ctx)
	})
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
	if answered(err) {
		err = pipeline.Transact(ctx, s.pool, planned)
	}
	if err == nil {
		outbox.Wake(s.pool)
	}
	return err
}

// answered tells whether what failed was that a key is answered already.
func answered(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && (refused.ConstraintName == "answers_pkey" || refused.ConstraintName == "hold_answers_pkey")
}
