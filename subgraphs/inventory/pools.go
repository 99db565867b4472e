package inventory

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/id"
)

// A PoolRequest moves units into the pool of a flash sale, or back: all of them or none. RequestPool makes one.
type PoolRequest struct {
	Once   Once
	PoolID string
	Wanted []Wanted // one per variant, by id
}

const (
	mostPoolLines = 250
	mostPoolUnits = 10_000_000 // of a variant in one move
)

// ErrNotAllotted refuses to put back more than went into a pool.
var ErrNotAllotted = ErrNotEnough.Says("the pool was given fewer units than that")

// RequestPool checks what a flash sale asks for, and sums the lines of each variant. The caller of a key is the way the units go.
func RequestPool(way Kind, in events.PoolRequest) (PoolRequest, error) {
	if err := checkKey(in.IdempotencyKey, "idempotencyKey"); err != nil {
		return PoolRequest{}, err
	}
	if err := id.Check(id.FlashSale, in.PoolID, "poolId"); err != nil {
		return PoolRequest{}, err
	}
	if len(in.Lines) < 1 || len(in.Lines) > mostPoolLines {
		return PoolRequest{}, invalid("a move has 1 to %d lines", mostPoolLines).At("lines")
	}
	sum := map[string]int{}
	for i, l := range in.Lines {
		if err := id.Check(id.Variant, l.VariantID, "lines", strconv.Itoa(i), "variantId"); err != nil {
			return PoolRequest{}, err
		}
		if l.Quantity >= 1 && l.Quantity <= mostPoolUnits {
			sum[l.VariantID] += l.Quantity
		}
		if l.Quantity < 1 || l.Quantity > mostPoolUnits || sum[l.VariantID] > mostPoolUnits {
			return PoolRequest{}, invalid("a move has 1 to %d units of a variant", mostPoolUnits).At("lines", strconv.Itoa(i), "quantity")
		}
	}
	r := PoolRequest{PoolID: in.PoolID}
	for _, v := range slices.Sorted(maps.Keys(sum)) {
		r.Wanted = append(r.Wanted, Wanted{v, sum[v]})
	}
	r.Once = once(string(way), in.IdempotencyKey, r.PoolID, r.Wanted)
	return r, nil
}

// MoveToPool takes units out of what can be had and gives them to a flash sale. Being short of some is an answer, not an error.
func (inv *Inventory) MoveToPool(ctx context.Context, in events.PoolRequest) (events.PoolReply, error) {
	r, err := RequestPool(Allot, in)
	if err != nil {
		return events.PoolReply{}, err
	}
	return inv.store.MoveToPool(ctx, r, inv.clock.Now())
}

// MoveFromPool puts units of a flash sale back where they came from.
func (inv *Inventory) MoveFromPool(ctx context.Context, in events.PoolRequest) (events.PoolReply, error) {
	r, err := RequestPool(Return, in)
	if err != nil {
		return events.PoolReply{}, err
	}
	return events.PoolReply{}, inv.store.MoveFromPool(ctx, r, inv.clock.Now())
}

// Allot moves units out of stock and into a pool, for all of the request or for nothing.
func (s *Shelf) Allot(r PoolRequest) ([]events.Shortage, error) {
	var short []events.Shortage
	for _, w := range r.Wanted {
		available := 0
		if of := s.stock[w.VariantID]; of != nil {
			available = of.Available()
		}
		if available < w.Quantity {
			short = append(short, events.Shortage{VariantID: w.VariantID, Wanted: w.Quantity, Available: available})
		}
	}
	if short != nil {
		return short, nil
	}
	return nil, s.all(func() error {
		for _, w := range r.Wanted {
			var failed error
			pick(s.levels[w.VariantID], w.Quantity, func(l *Level, n int) {
				failed = errors.Join(failed, s.move(Movement{
					Kind: Allot, VariantID: l.VariantID, WarehouseID: l.WarehouseID, Quantity: -n,
					PoolID: r.PoolID, IdempotencyKey: r.Once.Key,
				}))
			})
			if failed != nil {
				return failed
			}
		}
		return nil
	})
}

// Return moves units of a pool back into the warehouses that they came from, of which these are not back yet.
func (s *Shelf) Return(r PoolRequest, out []Line) error {
	return s.all(func() error {
		for _, w := range r.Wanted {
			missing := w.Quantity
			for _, l := range out {
				n := min(missing, l.Quantity)
				if l.VariantID != w.VariantID || n == 0 {
					continue
				}
				missing -= n
				err := s.move(Movement{
					Kind: Return, VariantID: l.VariantID, WarehouseID: l.WarehouseID, Quantity: n, PoolID: r.PoolID, IdempotencyKey: r.Once.Key,
				})
				if err != nil {
					return err
				}
			}
			if missing > 0 {
				return ErrNotAllotted.At("lines")
			}
		}
		return nil
	})
}
