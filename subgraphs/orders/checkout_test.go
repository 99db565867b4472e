package orders_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/orders"
)

func TestCheckoutSucceeds(t *testing.T) {
	w := newWorld(t, 5)
	out := w.buy(w.input("key-00000001"))
	if out.Order == nil || out.Order.Status != orders.Placed || w.available != 4 {
		t.Fatalf("%+v, %d left", out, w.available)
	}
	if w.payment[out.Order.ID].Status != "AUTHORIZED" {
		t.Errorf("the money was taken before the buyer had an answer: %s", w.payment[out.Order.ID].Status)
	}
	o := w.settle(out.Order.ID)
	w.agree(o)
	want := []string{"STOCK_HELD", "CREATED", "PAYMENT_AUTHORIZED", "STOCK_COMMITTED", "PLACED", "PAYMENT_CAPTURED"}
	if got := w.kinds(o.ID); !slices.Equal(got, want) {
		t.Errorf("timeline %v, want %v", got, want)
	}
	if w.jobs.next[o.ID].After(w.clock.Now()) {
		t.Errorf("the money of an order that was placed at %v is not taken before %v", o.PlacedAt, w.jobs.next[o.ID])
	}
	if o.PlacedAt == nil || o.ExpiresAt() != nil || w.jobs.watch[o.ID] != w.clock.Now().Add(expiry) {
		t.Errorf("placed at %v, expires at %v, watched until %v", o.PlacedAt, o.ExpiresAt(), w.jobs.watch[o.ID])
	}
}

func TestDeclineGivesTheStockBack(t *testing.T) {
	w := newWorld(t, 5)
	w.card = "FAILED"
	out := w.buy(w.input("key-00000001"))
	if out.Order == nil || out.Order.Status != orders.Cancelled || *out.Order.CancelReason != orders.PaymentFailed || w.available != 5 {
		t.Fatalf("%+v, %d left", out.Order, w.available)
	}
	w.agree(w.settle(out.Order.ID))

	w.card = "AUTHORIZED" // the cart is free again
	if again := w.buy(w.input("key-00000002")); again.Order == nil || again.Order.Status != orders.Placed {
		t.Errorf("second try: %+v", again)
	}
}

func TestSilenceEndsAtTheDeadline(t *testing.T) {
	w := newWorld(t, 5)
	w.card = "PENDING"
	out := w.buy(w.input("key-00000001"))
	if out.Order == nil || out.Order.Status != orders.Created || w.available != 4 {
		t.Fatalf("%+v, %d left", out.Order, w.available)
	}
	w.clock.Advance(expiry - time.Second)
	if o := w.settle(out.Order.ID); o.Status != orders.Created {
		t.Fatalf("%s before the deadline", o.Status)
	}
	w.clock.Advance(time.Second)
	o := w.settle(out.Order.ID)
	if o.Status != orders.Cancelled || *o.CancelReason != orders.PaymentTimeout || w.available != 5 || o.Saga.PaymentStatus != "TIMED_OUT" {
		t.Fatalf("%+v, %d left", o, w.available)
	}
	w.agree(o)

	// A success that comes now is undone by payments; the order hears of it and stays as it is.
	late := events.Payment{PaymentID: o.Saga.PaymentID, Version: 9, OrderID: o.ID, Status: "REFUNDED", Amount: price, Refunded: price}
	o, err := w.store.Change(t.Context(), o.ID, w.saga.PaymentChanged(late))
	if err != nil || o.Status != orders.Cancelled || w.available != 5 {
		t.Errorf("%v: %s, %d left", err, o.Status, w.available)
	}
}

func TestALateAnswerInTimePlacesTheOrder(t *testing.T) {
	w := newWorld(t, 5)
	w.card = "PENDING"
	out := w.buy(w.input("key-00000001"))
	p := w.payment[out.Order.ID]
	p.Status, p.Version = "AUTHORIZED", 2
	looks := w.jobs.looks
	if _, err := w.store.Change(t.Context(), out.Order.ID, w.saga.PaymentChanged(*p)); err != nil {
		t.Fatal(err)
	}
	if w.jobs.looks != looks+1 {
		t.Error("the saga was not woken")
	}
	o := w.settle(out.Order.ID)
	if o.Status != orders.Placed {
		t.Fatal(o.Status)
	}
	w.agree(o)
}

func TestRejections(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*world, *orders.Input)
		want  string
	}{
		"sold out":      {func(w *world, _ *orders.Input) { w.available = 0 }, "NOT_ENOUGH_STOCK"},
		"short":         {func(w *world, _ *orders.Input) { w.cart.Lines[0].Quantity = 9 }, "NOT_ENOUGH_STOCK"},
		"another total": {func(_ *world, in *orders.Input) { in.ExpectedTotal.Amount-- }, "PRICE_CHANGED"},
		"other money":   {func(_ *world, in *orders.Input) { in.ExpectedTotal.Currency = "EUR" }, "PRICE_CHANGED"},
		"off sale":      {func(w *world, _ *orders.Input) { w.cart.Problems = []events.CartProblem{{Code: "NOT_FOR_SALE"}} }, "NOT_FOR_SALE"},
		"too far":       {func(w *world, _ *orders.Input) { w.couriers = nil }, "NOT_DELIVERABLE"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1)
			in := w.input("key-00000001")
			c.spoil(w, &in)
			before := w.available
			out := w.buy(in)
			if out.Order != nil || len(out.Problems) != 1 || out.Problems[0].Code != c.want || w.available != before {
				t.Fatalf("%+v, %d left", out, w.available)
			}
			w.available = 10 // the answer stands, whatever changed since
			if again := w.buy(in); len(again.Problems) != 1 || again.Problems[0].Code != c.want {
				t.Errorf("the second answer: %+v", again)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t, 5)
	good := w.input("key-00000001")
	for name, c := range map[string]struct {
		who   viewer.Viewer
		spoil func(*orders.Input)
		code  string
		field string
	}{
		"guest":          {viewer.Viewer{}, func(*orders.Input) {}, "UNAUTHENTICATED", ""},
		"short key":      {ann, func(in *orders.Input) { in.Key = "1234567" }, "INVALID", "idempotencyKey"},
		"long key":       {ann, func(in *orders.Input) { in.Key = strings.Repeat("k", 129) }, "INVALID", "idempotencyKey"},
		"not a cart":     {ann, func(in *orders.Input) { in.CartID = "cart_1" }, "INVALID_ID", "cartId"},
		"not an address": {ann, func(in *orders.Input) { in.AddressID = in.CartID }, "INVALID_ID", "addressId"},
		"not a method":   {ann, func(in *orders.Input) { in.PaymentMethodID = "" }, "INVALID_ID", "paymentMethodId"},
		"nothing":        {ann, func(in *orders.Input) { in.CartID = "" }, "INVALID", ""},
		"both":           {ann, func(in *orders.Input) { in.BookingID = id.New(id.Booking) }, "INVALID", ""},
		"not a booking":  {ann, func(in *orders.Input) { in.BookingID, in.CartID = in.CartID, "" }, "INVALID_ID", "bookingId"},
		"no booking":     {ann, func(in *orders.Input) { in.BookingID, in.CartID = id.New(id.Booking), "" }, "NOT_FOUND", "bookingId"},
		"another's cart": {ann, func(in *orders.Input) { in.CartID = id.New(id.Cart) }, "NOT_FOUND", "cartId"},
	} {
		in := good
		in.Key = "key-of-" + strings.ReplaceAll(name, " ", "-")
		c.spoil(&in)
		_, err := w.saga.Complete(t.Context(), c.who, in)
		var f *fault.Error
		if !errors.As(err, &f) || f.Code != c.code || (c.field != "" && !slices.Equal(f.Field, []string{"input", c.field})) {
			t.Errorf("%s: %v %+v", name, err, f)
		}
	}
}

func TestTheSameKeyBuysOnce(t *testing.T) {
	w := newWorld(t, 5)
	in := w.input("key-00000001")
	var wg sync.WaitGroup
	ids := make(chan string, 10)
	for range 10 {
		wg.Go(func() {
			out, err := w.saga.Complete(t.Context(), ann, in)
			if err != nil || out.Order == nil {
				t.Errorf("%v %+v", err, out)
				return
			}
			ids <- out.Order.ID
		})
	}
	wg.Wait()
	close(ids)
	first := <-ids
	for other := range ids {
		if other != first {
			t.Errorf("two orders, %s and %s", first, other)
		}
	}
	w.agree(w.settle(first))
	if w.available != 4 {
		t.Errorf("%d left", w.available)
	}

	in.ExpectedTotal = money.Money{Amount: 1, Currency: "USD"}
	if _, err := w.saga.Complete(t.Context(), ann, in); !errors.Is(err, orders.ErrConflict) {
		t.Errorf("the key with other input: %v", err)
	}
	in = w.input("key-00000002")
	if _, err := w.saga.Complete(t.Context(), ann, in); !errors.Is(err, orders.ErrAlreadyOrdered) || w.available != 4 {
		t.Errorf("the cart under another key: %v, %d left", err, w.available)
	}
	if out, err := w.saga.Complete(t.Context(), viewer.Viewer{AccountID: id.New(id.Account)}, w.input("key-00000001")); !errors.Is(err, orders.ErrAlreadyOrdered) {
		t.Errorf("another account's key is its own: %v %+v", err, out)
	}
}

// Two calls with one key decide at once: what was decided first is what both are told, and nothing is kept for the other.
func TestTheFirstDecisionStands(t *testing.T) {
	w := newWorld(t, 5)
	in := w.input("key-00000001")
	w.meanwhile = map[string]func(){"after souk.call.inventory.hold": func() { // the other call comes when the price has changed
		w.cart.Total.Amount++
		if first := w.buy(in); len(first.Problems) != 1 || first.Problems[0].Code != "PRICE_CHANGED" {
			t.Errorf("%+v", first)
		}
	}}
	out := w.buy(in)
	if out.Order != nil || len(out.Problems) != 1 || out.Problems[0].Code != "PRICE_CHANGED" {
		t.Errorf("%+v", out)
	}
	if w.available != 5 || len(w.payment) != 0 {
		t.Errorf("%d left of 5, %d payments", w.available, len(w.payment))
	}
}

// The process that runs the saga may die before or after any call; whoever goes on brings order, stock and money to agree.
func TestASagaCutAnywhereEndsInAgreement(t *testing.T) {
	for _, booked := range []bool{false, true} {
		for _, card := range []string{"AUTHORIZED", "FAILED", "PENDING"} {
			for at := 1; at <= 9; at++ {
				for _, afterward := range []bool{false, true} {
					t.Run(fmt.Sprintf("booked %v/%s/call %d/%v", booked, card, at, afterward), func(t *testing.T) {
						w := newWorld(t, 5)
						if booked {
							w.book()
						}
						w.cutAnywhere(card, at, afterward)
					})
				}
			}
		}
	}
}

func (w *world) cutAnywhere(card string, at int, afterward bool) {
	w.card, w.breakAt, w.afterward = card, at, afterward
	in := w.input("key-00000001")
	if _, err := w.saga.Complete(w.t.Context(), ann, in); err != nil && !errors.Is(err, errCut) {
		w.t.Fatal(err)
	}
	// The buyer tries again, and the queue does its part.
	out := w.buy(in)
	if out.Order == nil {
		w.t.Fatalf("%+v", out)
	}
	if o := w.mayFail(out.Order.ID); o.Status == orders.Created {
		w.clock.Advance(expiry)
		w.mayFail(out.Order.ID)
	}
	o := w.settle(out.Order.ID)
	w.agree(o)
	if want := map[string]int{"AUTHORIZED": 4, "FAILED": 5, "PENDING": 5}[card]; w.available != want {
		w.t.Errorf("%d left, want %d", w.available, want)
	}
	if o.Saga.BookingID != w.booking || (o.CartID == "") != (w.booking != "") {
		w.t.Errorf("%+v was bought, the booking is %q", o.Saga, w.booking)
	}
}

// mayFail lets the saga look once, and forgives it a cut.
func (w *world) mayFail(orderID string) orders.Order {
	w.t.Helper()
	o, err := w.saga.Advance(orders.InBackground(w.t.Context()), orderID)
	if err != nil && !errors.Is(err, errCut) {
		w.t.Fatal(err)
	}
	return o
}

// Between the last look of the deadline and the commit of the stock only one wins.
func TestTheDeadlineAgainstTheCommit(t *testing.T) {
	w := newWorld(t, 5)
	w.breakAt = 7 // the commit of the stock
	out, err := w.saga.Complete(t.Context(), ann, w.input("key-00000001"))
	if err != nil || out.Order == nil || !out.Order.Saga.Committing {
		t.Fatalf("%v %+v", err, out.Order)
	}
	w.clock.Advance(2 * expiry) // too late to time out: the stock may be sold
	o := w.settle(out.Order.ID)
	if o.Status != orders.Placed {
		t.Fatal(o.Status)
	}
	w.agree(o)
}

// An order whose process dies as soon as it is taken does not wait for its deadline, nor for its buyer to ask again.
func TestS81AnOrderLeftBehindIsLookedAt(t *testing.T) {
	w := newWorld(t, 5)
	w.breakAt = 6 // the payment is never asked for
	if _, err := w.saga.Complete(t.Context(), ann, w.input("key-00000001")); err != nil && !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	if len(w.jobs.watch) != 1 || len(w.payment) != 0 {
		t.Fatalf("%d orders are watched, %d are being paid", len(w.jobs.watch), len(w.payment))
	}
	for order, deadline := range w.jobs.watch {
		if at, any := w.jobs.next[order]; !any || at.Sub(w.clock.Now()) > time.Minute {
			t.Fatalf("nobody looks at the order before %v, its deadline: %v", deadline, at)
		}
		w.agree(w.settle(order))
	}
}

// The order decides when it gives up, so its hold lasts longer: what is on its way to be sold at the deadline is still there to be sold.
func TestTheHoldOutlastsTheOrder(t *testing.T) {
	w := newWorld(t, 5)
	w.card = "PENDING"
	out := w.buy(w.input("key-00000001"))
	w.clock.Advance(expiry - time.Second)
	p := w.payment[out.Order.ID]
	p.Status, p.Version = "AUTHORIZED", 2
	if _, err := w.store.Change(t.Context(), out.Order.ID, w.saga.PaymentChanged(*p)); err != nil {
		t.Fatal(err)
	}
	w.meanwhile = map[string]func(){"before souk.call.inventory.commit": func() {
		w.clock.Advance(30 * time.Second)
		w.sweep()
	}}
	o := w.settle(out.Order.ID)
	if o.Status != orders.Placed {
		t.Fatalf("%s: %v", o.Status, w.kinds(o.ID))
	}
	w.agree(o)
}

// What is asked for is the total of all lines, in its currency, once, for as long as the order waits, under the order's own key.
func TestS74TheTotalIsWhatIsAskedFor(t *testing.T) {
	w := newWorld(t, 9)
	w.cart.Lines[0].Quantity = 3
	more := w.cart.Lines[0]
	more.LineID, more.VariantID, more.Quantity, more.UnitPrice = id.New(id.CartLine), id.New(id.Variant), 2, money.Money{Amount: 1, Currency: "USD"}
	w.cart.Lines = append(w.cart.Lines, more)
	w.cart.Total = money.Money{Amount: 3*price.Amount + 2, Currency: "USD"}
	in := w.input("key-00000001")
	in.ExpectedTotal = w.cart.Total
	o := *w.buy(in).Order
	want := events.AuthorizeRequest{
		IdempotencyKey: o.ID, OrderID: o.ID, AccountID: ann.AccountID, PaymentMethodID: in.PaymentMethodID, Amount: w.cart.Total, ExpiresAt: o.Deadline,
	}
	if len(w.asked) != 1 || w.asked[0] != want || !o.Deadline.Equal(w.clock.Now().Add(expiry)) {
		t.Errorf("asked for %+v, want %+v", w.asked, want)
	}
}

func TestAHoldThatEndedCancels(t *testing.T) {
	w := newWorld(t, 5)
	w.breakAt = 7
	out, err := w.saga.Complete(t.Context(), ann, w.input("key-00000001"))
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	w.release(out.Order.Saga.ReservationID) // inventory's own sweep
	w.mu.Unlock()
	o := w.settle(out.Order.ID)
	if o.Status != orders.Cancelled || *o.CancelReason != orders.OutOfStock || w.available != 5 {
		t.Fatalf("%s, %d left", o.Status, w.available)
	}
	w.agree(o)
}

// Two looks at once do nothing twice.
func TestManyLooksAtOnce(t *testing.T) {
	w := newWorld(t, 5)
	w.card = "PENDING"
	out := w.buy(w.input("key-00000001"))
	p := w.payment[out.Order.ID]
	p.Status, p.Version = "AUTHORIZED", 2
	if _, err := w.store.Change(t.Context(), out.Order.ID, w.saga.PaymentChanged(*p)); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { w.settle(out.Order.ID) })
	}
	wg.Wait()
	o := w.settle(out.Order.ID)
	w.agree(o)
	seen := map[string]int{}
	for _, k := range w.kinds(o.ID) {
		seen[k]++
		if seen[k] > 1 {
			t.Errorf("%s twice in %v", k, w.kinds(o.ID))
		}
	}
}

// Whoever listens hears of an order once for each of its versions, from the first to the last: the events are saved with the change.
func TestS134EveryVersionIsToldOnce(t *testing.T) {
	w := newWorld(t, 5)
	w.card = "PENDING"
	o := w.buy(w.input("key-00000001")).Order
	p := w.payment[o.ID]
	p.Status, p.Version = "AUTHORIZED", 2
	for range 2 { // the provider says it twice
		if _, err := w.store.Change(t.Context(), o.ID, w.saga.PaymentChanged(*p)); err != nil {
			t.Fatal(err)
		}
	}
	w.settle(o.ID)
	w.cancel(o.ID, "cancel-00000001")
	w.cancel(o.ID, "cancel-00000001")
	is := w.settle(o.ID)
	rows, err := w.pool.Query(t.Context(), `SELECT (payload->>'version')::int, payload->>'status', subject FROM outbox ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	version, status, seen := 0, "", []string{}
	for next := 1; rows.Next(); next++ {
		var subject string
		if err := rows.Scan(&version, &status, &subject); err != nil {
			t.Fatal(err)
		}
		if version != next || subject != events.OrderBecame(status) {
			t.Errorf("event %d is of version %d, %s, on %s", next, version, status, subject)
		}
		if len(seen) == 0 || seen[len(seen)-1] != status {
			seen = append(seen, status)
		}
	}
	if want := []string{"CREATED", "PLACED", "CANCELLED"}; !slices.Equal(seen, want) || version != is.Version || rows.Err() != nil {
		t.Errorf("told of %v up to version %d of %d, want %v: %v", seen, version, is.Version, want, rows.Err())
	}
}

func TestABookingIsItsOwnHold(t *testing.T) {
	w := newWorld(t, 5)
	w.book()
	w.lasts = 4 * time.Minute
	in := w.input("key-00000001")
	out := w.buy(in)
	if out.Order == nil || out.Order.Status != orders.Placed || out.Order.CartID != "" || w.holds[w.booking] != "COMMITTED" || len(w.heldFor) != 0 {
		t.Fatalf("%+v, the booking is %s", out.Order, w.holds[w.booking])
	}
	if want := w.clock.Now().Add(3 * time.Minute); !out.Order.Deadline.Equal(want) {
		t.Errorf("the order waits until %v, though the booking ends a minute after %v", out.Order.Deadline, want)
	}
	w.agree(w.settle(out.Order.ID))
	if _, err := w.saga.Complete(t.Context(), ann, w.input("key-00000002")); !errors.Is(err, orders.ErrAlreadyOrdered) {
		t.Errorf("ordered again: %v", err)
	}
}

// A booking that ends while its payment is on the way cancels the order, and the money is not kept.
func TestABookingThatEndedCancels(t *testing.T) {
	w := newWorld(t, 5)
	w.book()
	w.breakAt = 7 // the confirmation
	out, err := w.saga.Complete(t.Context(), ann, w.input("key-00000001"))
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	w.release(w.booking) // the sale's own sweep
	w.mu.Unlock()
	o := w.settle(out.Order.ID)
	if o.Status != orders.Cancelled || *o.CancelReason != orders.OutOfStock || w.available != 5 || w.payment[o.ID].Status != "VOIDED" {
		t.Fatalf("%s, %d left, %+v", o.Status, w.available, w.payment[o.ID])
	}
	w.agree(o)
	if _, err := w.saga.Complete(t.Context(), ann, w.input("key-00000002")); !errors.Is(err, fault.New(fault.Conflict, "HOLD_EXPIRED", "")) {
		t.Errorf("what has ended was bought: %v", err)
	}
}
