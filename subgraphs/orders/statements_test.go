package orders_test

import (
	"sync"
	"testing"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/subgraphs/orders"
	"github.com/souk-shop/souk/subgraphs/orders/postgres"
)

// A till is as fast as it asks little: a purchase is the claim of its key, its order, and a change for what the payment said, for the sale and
// for the money, each a transaction of its own with six statements at most beside those of the queue.
func TestAPurchaseTakesFewStatements(t *testing.T) {
	w := newWorld(t, 5)
	var mu sync.Mutex
	var asked []string
	w.store = postgres.NewStore(pgtest.Watched(t, w.pool, func(sql string) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, sql)
	}), w.jobs)
	w.saga = orders.NewCheckout(w.store, cut{w, w.endpoints()}, w.clock, expiry)
	out, err := w.saga.Complete(t.Context(), ann, w.input("key-00000001"))
	if err != nil || out.Order == nil || out.Order.Status != orders.Placed {
		t.Fatal(out, err)
	}
	if most := 1 + 3*6; len(asked) > most {
		t.Errorf("%d statements until the order is placed, at most %d: %q", len(asked), most, asked)
	}
	asked = nil
	o, err := w.saga.Advance(orders.InBackground(t.Context()), out.Order.ID)
	if err != nil || o.Saga.PaymentStatus != "CAPTURED" {
		t.Fatal(o.Saga.PaymentStatus, err)
	}
	if most := 1 + 6; len(asked) > most {
		t.Errorf("%d statements to take the money, at most %d: %q", len(asked), most, asked)
	}
}

// An order is told once what its payment came to, however often and in whatever order that is heard.
func TestWhatAnOrderHasNotHeardOf(t *testing.T) {
	w := newWorld(t, 5)
	o := w.buy(w.input("key-00000001")).Order
	known := *w.payment[o.ID]
	next, old, other, stray := known, known, known, known
	next.Version++
	old.Version--
	other.PaymentID, other.Version = id.New(id.Payment), 1
	stray.OrderID = id.New(id.Order)
	got, err := w.store.Unheard(t.Context(), []events.Payment{old, stray, known, next, other, next})
	if err != nil || len(got) != 4 || got[0] != stray || got[1] != next || got[2] != other || got[3] != next {
		t.Errorf("%+v, %v", got, err)
	}
}
