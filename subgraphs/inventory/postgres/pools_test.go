package postgres_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/id"
)

func move(pool string, ls ...events.HoldLine) events.PoolRequest {
	return events.PoolRequest{IdempotencyKey: id.New(id.Event), PoolID: pool, Lines: ls}
}

func TestUnitsGoIntoAPoolAndBackWhereTheyCameFrom(t *testing.T) {
	s := setup(t)
	w1, w2 := s.warehouse("BLR-1"), s.warehouse("DEL-1")
	v := s.stocked(5, w1, w2)
	s.held(lines(1, v)...)
	pool := id.New(id.FlashSale)
	in := move(pool, lines(4, v, v)...) // lines of one variant are summed: neither warehouse has that many
	for range 3 {                       // the same key moves once
		if reply, err := s.inv.MoveToPool(t.Context(), in); err != nil || reply.Short != nil {
			t.Fatal(reply, err)
		}
	}
	s.want(v, 2, 1)
	if reply, err := s.inv.MoveToPool(t.Context(), move(pool, lines(2, v)...)); err != nil || len(reply.Short) != 1 || reply.Short[0].Available != 1 {
		t.Errorf("%+v %v", reply, err)
	}
	back := move(pool, lines(3, v)...)
	for range 2 {
		if _, err := s.inv.MoveFromPool(t.Context(), back); err != nil {
			t.Fatal(err)
		}
	}
	s.want(v, 5, 1)
	if _, err := s.inv.MoveFromPool(t.Context(), move(pool, lines(6, v)...)); code(err) != "INSUFFICIENT_STOCK" {
		t.Errorf("more than went in: %v", err)
	}
	if _, err := s.inv.MoveFromPool(t.Context(), move(id.New(id.FlashSale), lines(1, v)...)); code(err) != "INSUFFICIENT_STOCK" {
		t.Errorf("another pool's: %v", err)
	}
	if _, err := s.inv.MoveFromPool(t.Context(), move(pool, lines(5, v)...)); err != nil {
		t.Error(err)
	}
	s.want(v, 10, 1)
	levels, err := s.store.LevelsOf(t.Context(), []string{v})
	if err != nil || levels[v][0].OnHand != 5 || levels[v][1].OnHand != 5 {
		t.Errorf("%+v %v", levels, err)
	}
	in.Lines[0].Quantity++
	if _, err := s.inv.MoveToPool(t.Context(), in); code(err) != "IDEMPOTENCY_CONFLICT" {
		t.Errorf("the key with other input: %v", err)
	}
	s.sound()
}

// A pool is given all it asks for or nothing, over all its variants.
func TestAPoolIsFilledWhollyOrNotAtAll(t *testing.T) {
	s := setup(t)
	w := s.warehouse("BLR-1")
	a, b := s.stocked(5, w), s.stocked(1, w)
	reply, err := s.inv.MoveToPool(t.Context(), move(id.New(id.FlashSale), lines(2, a, b)...))
	if err != nil || len(reply.Short) != 1 || reply.Short[0] != (events.Shortage{VariantID: b, Wanted: 2, Available: 1}) {
		t.Errorf("%+v %v", reply, err)
	}
	s.want(a, 5, 0)
	s.want(b, 1, 0)
	s.sound()
}

func TestPoolsAndHoldsNeverShareAUnit(t *testing.T) {
	s := setup(t)
	v := s.stocked(20, s.warehouse("BLR-1"))
	var pooled, held atomic.Int32
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			if i%2 == 0 {
				pool := id.New(id.FlashSale)
				reply, err := s.inv.MoveToPool(t.Context(), move(pool, lines(3, v)...))
				if err == nil && reply.Short == nil {
					if i%4 == 0 {
						_, err = s.inv.MoveFromPool(t.Context(), move(pool, lines(3, v)...))
					} else {
						pooled.Add(3)
					}
				}
				if err != nil {
					t.Error(err)
				}
				return
			}
			reply, err := s.inv.Hold(t.Context(), s.request(lines(1, v)...))
			if err != nil {
				t.Error(err)
			}
			if reply.ReservationID != "" {
				held.Add(1)
			}
		})
	}
	wg.Wait()
	s.want(v, 20-int(pooled.Load()), int(held.Load()))
	s.sound()
}

func TestPoolRequestsAreChecked(t *testing.T) {
	s := setup(t)
	v, pool := id.New(id.Variant), id.New(id.FlashSale)
	for name, in := range map[string]events.PoolRequest{
		"no key":      {PoolID: pool, Lines: lines(1, v)},
		"no pool":     {IdempotencyKey: "k", PoolID: "sale_1", Lines: lines(1, v)},
		"no lines":    {IdempotencyKey: "k", PoolID: pool},
		"no variant":  {IdempotencyKey: "k", PoolID: pool, Lines: lines(1, "var_1")},
		"no units":    {IdempotencyKey: "k", PoolID: pool, Lines: lines(0, v)},
		"fewer":       {IdempotencyKey: "k", PoolID: pool, Lines: lines(-1, v)},
		"beyond sums": {IdempotencyKey: "k", PoolID: pool, Lines: lines(9_000_000, v, v)},
	} {
		if _, err := s.inv.MoveToPool(t.Context(), in); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	// Unknown goods are short of everything.
	if reply, err := s.inv.MoveToPool(t.Context(), move(pool, lines(1, v)...)); err != nil || len(reply.Short) != 1 {
		t.Errorf("%+v %v", reply, err)
	}
}
