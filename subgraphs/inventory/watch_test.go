package inventory_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/subgraphs/inventory"
)

// shelves is a store that can be read and nothing else.
type shelves struct {
	inventory.Store
	mu    sync.Mutex
	stock map[string]inventory.Stock
	reads int
}

func (s *shelves) StockOf(_ context.Context, ids []string) (found []inventory.Stock, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	for _, v := range ids {
		if of, ok := s.stock[v]; ok {
			found = append(found, of)
		}
	}
	return found, nil
}

func (s *shelves) set(v string, seq int64, available int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stock == nil {
		s.stock = map[string]inventory.Stock{}
	}
	s.stock[v] = inventory.Stock{VariantID: v, Seq: seq, OnHand: available}
}

func told(v string, seq int64, available int) events.StockChanged {
	return events.StockChanged{VariantID: v, Available: available, Seq: seq}
}

// next returns what a watcher gets before anything else can happen, or nil.
func next(updates <-chan *inventory.Update) *inventory.Update {
	synctest.Wait()
	select {
	case u := <-updates:
		return u
	default:
		return nil
	}
}

func TestWatchBeginsWithNowAndNeverGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		store, v, unknown := &shelves{}, id.New(id.Variant), id.New(id.Variant)
		store.set(v, 7, 3)
		inv := inventory.New(store, nil, clock.System)
		updates, err := inv.Watch(ctx, []string{v, unknown, v})
		if err != nil {
			t.Fatal(err)
		}
		first := map[string]inventory.Update{}
		for range 2 {
			u := next(updates)
			first[u.VariantID] = *u
		}
		if u := first[v]; u.Seq != 7 || u.Available != 3 || u.State() != inventory.Low {
			t.Errorf("%+v", u)
		}
		if u := first[unknown]; u.Seq != 0 || u.State() != inventory.OutOfStock {
			t.Errorf("%+v", u)
		}
		time.Sleep(time.Second)
		inv.Told(told(v, 6, 99)) // late
		inv.Told(told(v, 7, 3))  // twice
		if u := next(updates); u != nil {
			t.Errorf("old news: %+v", u)
		}
		inv.Told(told(v, 9, 1))
		inv.Told(told(v, 8, 2)) // overtaken
		if u := next(updates); u == nil || u.Seq != 9 || u.Available != 1 {
			t.Errorf("%+v", u)
		}
	})
}

func TestWatchIsAtMostFiveASecondAndEndsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		v, busy := id.New(id.Variant), id.New(id.Variant)
		inv := inventory.New(&shelves{}, nil, clock.System)
		updates, err := inv.Watch(ctx, []string{v, busy})
		if err != nil {
			t.Fatal(err)
		}
		var got []inventory.Update
		at := map[string][]time.Time{}
		go func() {
			for u := range updates {
				got = append(got, *u)
				at[u.VariantID] = append(at[u.VariantID], time.Now())
			}
		}()
		for i := range 1000 { // a second of a sale
			time.Sleep(time.Millisecond)
			inv.Told(told(busy, int64(i+1), 1000-i-1))
			if i == 500 {
				inv.Told(told(v, 1, 1))
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := len(at[busy]); n < 5 || n > 7 {
			t.Errorf("%d updates in a second", n)
		}
		for i, t1 := range at[busy][1:] {
			if gap := t1.Sub(at[busy][i]); gap < 200*time.Millisecond {
				t.Errorf("two updates within %s", gap)
			}
		}
		seq, last := map[string]int64{v: -1, busy: -1}, inventory.Update{}
		for _, u := range got {
			if u.Seq <= seq[u.VariantID] {
				t.Errorf("seq %d after %d", u.Seq, seq[u.VariantID])
			}
			seq[u.VariantID] = u.Seq
			if u.VariantID == busy {
				last = u
			}
		}
		if last.Seq != 1000 || last.Available != 0 {
			t.Errorf("the last value must be exact: %+v", last)
		}
		if len(at[v]) != 2 {
			t.Errorf("a quiet variant beside a busy one: %d updates, want 2", len(at[v]))
		}
	})
}

func TestAWatcherWhoDoesNotTakeHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		v := id.New(id.Variant)
		inv := inventory.New(&shelves{}, nil, clock.System)
		asleep, err := inv.Watch(ctx, []string{v})
		if err != nil {
			t.Fatal(err)
		}
		awake, err := inv.Watch(ctx, []string{v})
		if err != nil {
			t.Fatal(err)
		}
		next(awake)
		for i := range 100_000 {
			inv.Told(told(v, int64(i+1), i))
		}
		time.Sleep(time.Second)
		if u := next(awake); u == nil || u.Seq != 100_000 {
			t.Errorf("%+v", u)
		}
		next(asleep) // what it was offered first
		time.Sleep(time.Second)
		if u := next(asleep); u == nil || u.Seq != 100_000 {
			t.Errorf("who wakes up gets the newest: %+v", u)
		}
	})
}

func TestRefreshFindsWhatWasNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		store, v := &shelves{}, id.New(id.Variant)
		inv := inventory.New(store, nil, clock.System)
		if err := inv.Refresh(ctx); err != nil || store.reads != 0 || inv.Watched() {
			t.Errorf("nobody watches: %d reads, %v", store.reads, err)
		}
		var all []<-chan *inventory.Update
		for range 10 {
			updates, err := inv.Watch(ctx, []string{v})
			if err != nil {
				t.Fatal(err)
			}
			next(updates)
			all = append(all, updates)
		}
		time.Sleep(time.Second)
		store.set(v, 3, 8)
		store.reads = 0
		if err := inv.Refresh(ctx); err != nil || store.reads != 1 {
			t.Errorf("%d reads for 10 who watch the same, %v", store.reads, err)
		}
		for _, updates := range all {
			if u := next(updates); u == nil || u.Seq != 3 || u.Available != 8 {
				t.Errorf("%+v", u)
			}
		}
		stop()
		synctest.Wait()
		for _, updates := range all {
			if _, open := <-updates; open {
				t.Error("a subscription outlives its context")
			}
		}
		if inv.Watched() {
			t.Error("who left is still told")
		}
	})
}

func TestWatchChecksWhatItIsAsked(t *testing.T) {
	inv := inventory.New(&shelves{}, nil, clock.System)
	many := make([]string, 101)
	for i := range many {
		many[i] = id.New(id.Variant)
	}
	for name, ids := range map[string][]string{"nothing": {}, "too many": many, "a malformed id": {many[0], "var_1"}} {
		if _, err := inv.Watch(t.Context(), ids); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if inv.Watched() {
		t.Error("a refused subscription is told")
	}
}
