package orders_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/forget"
	"github.com/souk-shop/souk/subgraphs/orders"
	"github.com/souk-shop/souk/subgraphs/orders/postgres"
)

// forgotten goes through all of a table and returns how much of it is forgotten.
func forgotten(t *testing.T, before time.Time, what func(context.Context, time.Time) (int64, error)) (n int64) {
	for range forget.Parts {
		some, err := what(t.Context(), before)
		if err != nil {
			t.Error(err)
		}
		n += some
	}
	return n
}

// A refusal is the answer to its key for as long as keys are remembered, and then the key is anybody's again. One that bought something
// never buys again.
func TestKeysAreForgottenInTheEnd(t *testing.T) {
	w := newWorld(t, 0)
	refused := w.input("refused-0001")
	if out := w.buy(refused); out.Order != nil || len(out.Problems) == 0 {
		t.Fatalf("%+v", out)
	}
	w.available = 2
	if out := w.buy(refused); out.Order != nil {
		t.Errorf("the key of a refusal says %+v", out)
	}
	bought := w.input("bought-00001")
	first := w.buy(bought).Order
	if first == nil {
		t.Fatal("nothing was bought")
	}
	w.settle(first.ID)
	w.cancel(first.ID, "cancel-00000001")
	w.settle(first.ID)
	long, later := time.Now().AddDate(-1, 0, 0), time.Now().AddDate(1, 0, 0)
	if c, k := forgotten(t, long, w.store.ForgetCheckouts), forgotten(t, long, w.store.ForgetCancellations); c+k != 0 {
		t.Errorf("%d checkouts and %d keys of cancellations are forgotten, and none is as old as that", c, k)
	}
	if c, k := forgotten(t, later, w.store.ForgetCheckouts), forgotten(t, later, w.store.ForgetCancellations); c != 1 || k != 1 {
		t.Errorf("%d checkouts and %d keys of cancellations are forgotten", c, k)
	}
	if out := w.buy(bought); out.Order == nil || out.Order.ID != first.ID {
		t.Errorf("the key of an order now says %+v", out)
	}
	if o := w.cancel(first.ID, "cancel-00000001"); o.Status != orders.Cancelled {
		t.Errorf("%s", o.Status)
	}
	if out := w.buy(refused); out.Order == nil || out.Order.ID == first.ID {
		t.Errorf("the key of a refusal still says %+v", out)
	}
}

// Two processes go through a table of many pages at once: every old row is removed, once, and nothing else is.
func TestTwoForgetAtOnce(t *testing.T) {
	w := newWorld(t, 0)
	const each = 3000
	if _, err := w.pool.Exec(t.Context(), `INSERT INTO checkouts (account_id, key, input_hash, order_id, decision, created_at)
		SELECT 'acc', n, '', n, (ARRAY['', 'REJECTED', 'ORDERED'])[1 + n % 3], now() - CASE WHEN n % 2 = 0 THEN interval '31 days' ELSE interval '29 days' END
		FROM generate_series(1, 6 * $1::int) n`, each); err != nil {
		t.Fatal(err)
	}
	before := time.Now().AddDate(0, 0, -30)
	var removed atomic.Int64
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() { removed.Add(forgotten(t, before, postgres.NewStore(w.pool, nil).ForgetCheckouts)) })
	}
	all.Wait()
	var old, others int64
	if err := w.pool.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE created_at < $1 AND decision <> 'ORDERED'), count(*) FROM checkouts`, before).Scan(&old, &others); err != nil {
		t.Fatal(err)
	}
	if old != 0 || others != 4*each || removed.Load() != 2*each {
		t.Errorf("%d old ones are left, %d in all, and %d were removed", old, others, removed.Load())
	}
}

// An old checkout that nobody decided is tried again, and forgotten while its stock is being held: what is held becomes its order.
func TestACheckoutIsForgottenInTheMiddle(t *testing.T) {
	w := newWorld(t, 5)
	w.meanwhile = map[string]func(){"after " + events.HoldStock.Subject(): func() {
		if n := forgotten(t, time.Now().AddDate(1, 0, 0), w.store.ForgetCheckouts); n != 1 {
			t.Errorf("%d are forgotten", n)
		}
	}}
	in := w.input("forgotten-01")
	first := w.buy(in).Order
	if first == nil {
		t.Fatal("nothing was bought")
	}
	if out := w.buy(in); out.Order == nil || out.Order.ID != first.ID || w.available != 4 {
		t.Errorf("the same key says %+v, and %d are left of 5", out, w.available)
	}
}
