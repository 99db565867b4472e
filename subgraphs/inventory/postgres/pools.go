package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/pipeline"
	"github.com/souk-shop/souk/subgraphs/inventory"
	"github.com/souk-shop/souk/subgraphs/inventory/postgres/internal/db"
)

// What a pool was given of some variants and has not returned. The locks on their stock are held by then.
const outIn = `
	SELECT variant_id, warehouse_id, given - returned FROM allotments
	WHERE pool_id = $1 AND variant_id = ANY ($2) AND returned < given ORDER BY variant_id, given - returned DESC, warehouse_id`

// MoveToPool takes units out of stock for a flash sale.
func (s *Store) MoveToPool(ctx context.Context, r inventory.PoolRequest, at time.Time) (reply events.PoolReply, err error) {
	err = s.again(ctx, func(p *pipeline.Pipeline) error {
		t, before, err := takeOnce(ctx, p, variantsOf(r), at, r.Once)
		reply = events.PoolReply{}
		switch {
		case errors.Is(err, inventory.ErrKeyReused):
			return inventory.ErrKeyReused.At("idempotencyKey")
		case err != nil:
			return err
		case before != nil:
			return json.Unmarshal(before, &reply)
		}
		if reply.Short, err = t.shelf.Allot(r); err != nil {
			return err
		}
		return t.settle(ctx, r, reply)
	})
	return reply, err
}

// MoveFromPool puts units of a flash sale back where they came from.
func (s *Store) MoveFromPool(ctx context.Context, r inventory.PoolRequest, at time.Time) error {
	return s.again(ctx, func(p *pipeline.Pipeline) error {
		t, before, err := takeOnce(ctx, p, variantsOf(r), at, r.Once)
		switch {
		case errors.Is(err, inventory.ErrKeyReused):
			return inventory.ErrKeyReused.At("idempotencyKey")
		case err != nil, before != nil:
			return err
		}
		var out []inventory.Line
		p.Collect(outIn, r.PoolID, variantsOf(r))(func(row pgx.Rows) error {
			var l inventory.Line
			err := row.Scan(&l.VariantID, &l.WarehouseID, &l.Quantity)
			out = append(out, l)
			return err
		})
		if err := p.Send(ctx); err != nil {
			return err
		}
		if err := t.shelf.Return(r, out); err != nil {
			return err
		}
		return t.settle(ctx, r, events.PoolReply{})
	})
}

// settle queues the answer, what moved, and what the pool was given or has returned by it.
func (t *turn) settle(ctx context.Context, r inventory.PoolRequest, reply events.PoolReply) error {
	if err := t.remember(ctx, r.Once, reply); err != nil {
		return err
	}
	if err := t.save(ctx); err != nil {
		return err
	}
	given, returned := db.GiveToPoolParams{PoolID: r.PoolID}, db.ReturnFromPoolParams{PoolID: r.PoolID}
	for _, m := range t.shelf.Moved() {
		if m.Kind == inventory.Allot {
			given.VariantIds, given.WarehouseIds = append(given.VariantIds, m.VariantID), append(given.WarehouseIds, m.WarehouseID)
			given.Given = append(given.Given, int32(-m.Quantity))
		} else {
			returned.VariantIds, returned.WarehouseIds = append(returned.VariantIds, m.VariantID), append(returned.WarehouseIds, m.WarehouseID)
			returned.Returned = append(returned.Returned, int32(m.Quantity))
		}
	}
	q := db.New(t)
	return errors.Join(q.GiveToPool(ctx, given), q.ReturnFromPool(ctx, returned))
}

func variantsOf(r inventory.PoolRequest) []string {
	ids := make([]string, len(r.Wanted))
	for i, w := range r.Wanted {
		ids[i] = w.VariantID
	}
	return ids
}
