package orders_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/orders"
)

var staff = viewer.Viewer{AccountID: id.New(id.Account), Scopes: []string{viewer.ScopeStaff}}

func cancelling(orderID, key string) orders.Cancellation {
	return orders.Cancellation{OrderID: orderID, Reason: orders.ByCustomer, Key: key}
}

func (w *world) cancel(orderID, key string) orders.Order {
	w.t.Helper()
	o, err := w.saga.Cancel(w.t.Context(), ann, cancelling(orderID, key))
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

// Whatever state its payment is in, a cancelled order keeps no money and no stock, and says each step once.
func TestAnOrderIsCancelled(t *testing.T) {
	for name, c := range map[string]struct {
		card     string
		captured bool
		payment  string
		steps    []string // after those of the checkout
	}{
		"while its payment is pending": {"PENDING", false, "VOIDED", []string{"CANCELLED", "STOCK_RELEASED", "PAYMENT_VOIDED"}},
		"placed, its money promised":   {"AUTHORIZED", false, "VOIDED", []string{"CANCEL_REQUESTED", "CANCELLED", "STOCK_RETURNED", "PAYMENT_VOIDED"}},
		"placed, its money taken":      {"AUTHORIZED", true, "REFUNDED", []string{"PAYMENT_CAPTURED", "CANCEL_REQUESTED", "CANCELLED", "STOCK_RETURNED", "PAYMENT_REFUNDED"}},
	} {
		for _, booked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, booked %v", name, booked), func(t *testing.T) {
				w := newWorld(t, 5)
				if booked {
					w.book()
				}
				w.card = c.card
				bought := w.buy(w.input("key-00000001")).Order
				if c.captured {
					w.settle(bought.ID)
				}
				before := len(w.kinds(bought.ID))
				if c.captured {
					before--
				}
				o := w.cancel(bought.ID, "cancel-00000001")
				if o.Status != orders.Cancelled || *o.CancelReason != orders.ByCustomer || w.available != 5 || w.payment[o.ID].Status != c.payment {
					t.Errorf("%+v, %d left, the payment is %s", o, w.available, w.payment[o.ID].Status)
				}
				w.agree(w.settle(o.ID))
				if got := w.kinds(o.ID)[before:]; !slices.Equal(got, c.steps) {
					t.Errorf("%v, want %v", got, c.steps)
				}
				for _, key := range []string{"cancel-00000001", "cancel-00000002"} { // again, and under another key: no change and the same answer
					if again := w.cancel(o.ID, key); again.Version != w.settle(o.ID).Version || again.Status != orders.Cancelled || w.available != 5 {
						t.Errorf("%+v", again)
					}
				}
			})
		}
	}
}

func TestCancelRefusals(t *testing.T) {
	w := newWorld(t, 5)
	mine := w.buy(w.input("key-00000001")).Order.ID
	eve := viewer.Viewer{AccountID: id.New(id.Account)}
	seller := viewer.Viewer{AccountID: id.New(id.Account), SellerID: w.cart.Lines[0].SellerID, Scopes: []string{viewer.ScopeSeller}}
	for name, c := range map[string]struct {
		who   viewer.Viewer
		in    orders.Cancellation
		code  string
		field string
	}{
		"a guest":             {viewer.Viewer{}, cancelling(mine, "cancel-00000001"), "UNAUTHENTICATED", ""},
		"a stranger":          {eve, cancelling(mine, "cancel-00000001"), "NOT_FOUND", "orderId"},
		"the seller":          {seller, cancelling(mine, "cancel-00000001"), "NOT_FOUND", "orderId"},
		"no such order":       {ann, cancelling(id.New(id.Order), "cancel-00000001"), "NOT_FOUND", "orderId"},
		"not an order":        {ann, cancelling("ord_1", "cancel-00000001"), "INVALID_ID", "orderId"},
		"a short key":         {ann, cancelling(mine, "1234567"), "INVALID", "idempotencyKey"},
		"a reason of staff's": {ann, orders.Cancellation{OrderID: mine, Reason: orders.ForFraud, Key: "cancel-00000001"}, "INVALID", "reason"},
		"a reason of ours":    {staff, orders.Cancellation{OrderID: mine, Reason: orders.PaymentTimeout, Key: "cancel-00000001"}, "INVALID", "reason"},
	} {
		_, err := w.saga.Cancel(t.Context(), c.who, c.in)
		var f *fault.Error
		if !errors.As(err, &f) || f.Code != c.code || c.field != "" && !slices.Equal(f.Field, []string{"input", c.field}) {
			t.Errorf("%s: %v", name, err)
		}
	}
	o, err := w.saga.Cancel(t.Context(), staff, orders.Cancellation{OrderID: mine, Reason: orders.ForFraud, Key: "cancel-00000001"})
	if err != nil || o.Status != orders.Cancelled || *o.CancelReason != orders.ForFraud {
		t.Errorf("staff: %+v %v", o, err)
	}
	w.cart.CartID = id.New(id.Cart)
	other := w.buy(w.input("key-00000002")).Order.ID
	w.cancel(other, "cancel-00000009")
	if _, err := w.saga.Cancel(t.Context(), ann, cancelling(mine, "cancel-00000009")); !errors.Is(err, orders.ErrConflict) {
		t.Errorf("one key for two orders: %v", err)
	}
}

// A cancellation whose process dies is carried out by the saga, now rather than when the order would have given up.
func TestS118ACancellationLeftBehindIsLookedAt(t *testing.T) {
	w := newWorld(t, 5)
	w.card = "PENDING"
	o := w.buy(w.input("key-00000001")).Order
	looks := w.jobs.looks
	w.breakAt = w.calls + 1 // the stock is never given back
	if got := w.cancel(o.ID, "cancel-00000001"); got.Status != orders.Cancelled || w.available != 4 {
		t.Fatalf("%s, %d left", got.Status, w.available)
	}
	if w.jobs.looks != looks+1 {
		t.Errorf("nobody looks at it: %d looks", w.jobs.looks-looks)
	}
	w.agree(w.settle(o.ID))
	if w.available != 5 {
		t.Errorf("%d left", w.available)
	}
}

// Once a parcel was made up nothing is cancelled, whether the order has heard of it or not; and the refusal is the same again.
func TestWhatIsShippedIsNotCancelled(t *testing.T) {
	w := newWorld(t, 5)
	o := w.buy(w.input("key-00000001")).Order
	w.settle(o.ID)
	w.decided[o.ID] = "SHIP" // of which the order has not heard
	for range 2 {
		if _, err := w.saga.Cancel(t.Context(), ann, cancelling(o.ID, "cancel-00000001")); !errors.Is(err, orders.ErrNotCancellable) {
			t.Error(err)
		}
	}
	w.agree(w.settle(o.ID))
	if steps := w.kinds(o.ID); !slices.Equal(steps[len(steps)-2:], []string{"CANCEL_REQUESTED", "CANCEL_REFUSED"}) || slices.Contains(steps[:len(steps)-2], "CANCEL_REQUESTED") {
		t.Errorf("asked twice, refused once: %v", steps)
	}
	parcel := []orders.Parcel{{ShipmentID: "a", Status: "IN_TRANSIT", Lines: []events.ShipmentLine{{OrderLineID: o.Lines[0].ID, Quantity: 1}}}}
	if _, err := w.store.Change(t.Context(), o.ID, w.saga.ParcelsMoved(parcel)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.saga.Cancel(t.Context(), ann, cancelling(o.ID, "cancel-00000002")); !errors.Is(err, orders.ErrNotCancellable) {
		t.Error(err)
	}
	if got := w.settle(o.ID); got.Status != orders.Shipped || got.Saga.Cancelling != "" || w.payment[o.ID].Status != "CAPTURED" || w.available != 4 {
		t.Errorf("%+v, %d left", got, w.available)
	}
}

// A process may die before or after any call of a cancellation; whoever goes on brings order, stock and money to agree.
func TestACancelCutAnywhereEndsInAgreement(t *testing.T) {
	for _, booked := range []bool{false, true} {
		for _, card := range []string{"AUTHORIZED", "PENDING"} {
			for _, captured := range []bool{false, true} {
				for at := 1; at <= 4; at++ {
					for _, afterward := range []bool{false, true} {
						t.Run(fmt.Sprintf("booked %v/%s/captured %v/call %d/%v", booked, card, captured, at, afterward), func(t *testing.T) {
							w := newWorld(t, 5)
							if booked {
								w.book()
							}
							w.card = card
							o := w.buy(w.input("key-00000001")).Order
							if captured {
								w.settle(o.ID)
							}
							w.breakAt, w.afterward = w.calls+at, afterward
							if _, err := w.saga.Cancel(t.Context(), ann, cancelling(o.ID, "cancel-00000001")); err != nil {
								t.Fatal(err) // what was cut goes on by itself: the wish is saved
							}
							done := w.settle(o.ID)
							if done.Status != orders.Cancelled || *done.CancelReason != orders.ByCustomer || w.available != 5 {
								t.Errorf("%+v, %d left", done, w.available)
							}
							w.agree(done)
							if again := w.cancel(o.ID, "cancel-00000001"); again.Version != done.Version {
								t.Errorf("asked again, it is at version %d after %d", again.Version, done.Version)
							}
						})
					}
				}
			}
		}
	}
}

// Of a cancel and a capture either may be first, at payments and in the order's own books; no money is kept.
func TestTheCancelAgainstTheCapture(t *testing.T) {
	for name, c := range map[string]struct {
		when  string
		cutAt int // the call of the cancellation that fails, 0 for none
		want  string
	}{
		"the cancel is first":                                 {"before ", 0, "VOIDED"},
		"the capture is first, but noted last":                {"after ", 0, "REFUNDED"},
		"the capture is noted between the cancel's own steps": {"after ", 2, "REFUNDED"},
		"as before, and it comes too late at payments":        {"before ", 3, "VOIDED"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 5)
			o := w.buy(w.input("key-00000001")).Order
			w.meanwhile = map[string]func(){c.when + events.CapturePayment.Subject(): func() {
				if c.cutAt > 0 {
					w.breakAt, w.afterward = w.calls+c.cutAt, true
				}
				w.cancel(o.ID, "cancel-00000001")
			}}
			if _, err := w.saga.Advance(orders.InBackground(t.Context()), o.ID); err != nil {
				t.Fatal(err)
			}
			done := w.settle(o.ID)
			if done.Status != orders.Cancelled || w.payment[o.ID].Status != c.want || w.available != 5 {
				t.Errorf("%+v, the payment is %s, %d left", done, w.payment[o.ID].Status, w.available)
			}
			w.agree(done)
		})
	}
}

// Many cancels, looks and news at once end in one cancellation.
func TestManyCancelsAtOnce(t *testing.T) {
	for range 5 {
		t.Run("", func(t *testing.T) {
			w := newWorld(t, 5)
			w.card = "PENDING"
			o := w.buy(w.input("key-00000001")).Order
			p := *w.payment[o.ID]
			p.Status, p.Version = "AUTHORIZED", 2
			var wg sync.WaitGroup
			for i := range 6 {
				wg.Go(func() {
					if got, err := w.saga.Cancel(t.Context(), ann, cancelling(o.ID, fmt.Sprintf("cancel-0000000%d", i%3))); err != nil || got.Status != orders.Cancelled && got.Saga.Cancelling == "" {
						t.Errorf("%+v %v", got, err)
					}
				})
				wg.Go(func() {
					w.mu.Lock()
					if now := w.payment[o.ID]; now.Status == "PENDING" {
						now.Status, now.Version = "AUTHORIZED", 2
					}
					w.mu.Unlock()
					if _, err := w.store.Change(t.Context(), o.ID, w.saga.PaymentChanged(p)); err != nil {
						t.Error(err)
					}
					w.settle(o.ID)
				})
			}
			wg.Wait()
			done := w.settle(o.ID)
			if done.Status != orders.Cancelled || w.available != 5 {
				t.Errorf("%+v, %d left", done, w.available)
			}
			w.agree(done)
			seen := map[string]int{}
			for _, k := range w.kinds(o.ID) {
				if seen[k]++; seen[k] > 1 {
					t.Errorf("%s twice in %v", k, w.kinds(o.ID))
				}
			}
		})
	}
}

// A success that comes after the cancellation is undone by payments; the order hears of it and stays as it is.
func TestALateSuccessOfACancelledOrder(t *testing.T) {
	w := newWorld(t, 5)
	w.card = "PENDING"
	o := w.buy(w.input("key-00000001")).Order
	o2 := w.cancel(o.ID, "cancel-00000001")
	late := events.Payment{PaymentID: o2.Saga.PaymentID, Version: 9, OrderID: o.ID, Status: "REFUNDED", Amount: price, Refunded: price}
	is, err := w.store.Change(t.Context(), o.ID, w.saga.PaymentChanged(late))
	if err != nil || is.Status != orders.Cancelled || w.available != 5 {
		t.Errorf("%v: %s, %d left", err, is.Status, w.available)
	}
	w.card = "AUTHORIZED"
	if again := w.buy(w.input("key-00000002")); again.Order == nil || again.Order.Status != orders.Placed {
		t.Errorf("the cart is not free again: %+v", again)
	}
}

// What the code must never do to an order, the database refuses.
func TestTheDatabaseRefuses(t *testing.T) {
	w := newWorld(t, 5)
	o := w.buy(w.input("key-00000001")).Order
	for name, sql := range map[string]string{
		"cancelled without having been asked to be": `UPDATE orders SET status = 'CANCELLED', cancel_reason = 'CUSTOMER' WHERE id = $1`,
		"asked for no reason there is":              `UPDATE orders SET cancelling = 'BOREDOM' WHERE id = $1`,
		"a reason there is not":                     `UPDATE orders SET status = 'CANCELLED', cancel_reason = 'BOREDOM' WHERE id = $1`,
		"placed at another time":                    `UPDATE orders SET status = status, placed_at = now() WHERE id = $1`,
		"never placed":                              `UPDATE orders SET status = status, placed_at = NULL WHERE id = $1`,
	} {
		_, err := w.pool.Exec(t.Context(), sql, o.ID)
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || !strings.HasPrefix(refused.Code, "23") {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.cancel(o.ID, "cancel-00000001")
	if _, err := w.pool.Exec(t.Context(), `UPDATE orders SET status = 'PLACED', cancel_reason = NULL WHERE id = $1`, o.ID); err == nil {
		t.Error("a cancelled order came back to life")
	}
	w.clock.Advance(time.Hour)
	w.agree(w.settle(o.ID))
}
