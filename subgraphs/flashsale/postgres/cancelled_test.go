package postgres_test

import (
	"sync"
	"testing"
	"time"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/flashsale"
)

// sold books a unit and has an order pay for it.
func (w *world) sold(who viewer.Viewer, saleID string) events.BookingOfOrder {
	w.t.Helper()
	res, err := w.sales.Book(w.t.Context(), who, saleID, "", id.New(id.Event))
	if err != nil || res.Booking == nil {
		w.t.Fatalf("%+v %v", res, err)
	}
	of := events.BookingOfOrder{BookingID: res.Booking.ID, OrderID: id.New(id.Order)}
	if _, err = w.sales.Pay(w.t.Context(), events.PayForBookingRequest{BookingID: of.BookingID, AccountID: who.AccountID, OrderID: of.OrderID, Until: w.clock.Now()}); err == nil {
		_, err = w.sales.Confirm(w.t.Context(), of)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return of
}

// A unit whose order is cancelled can be booked again while the sale runs, by its old owner too; it comes back once, however many
// say so at once.
func TestACancelledOrderGivesItsUnitBackToTheSale(t *testing.T) {
	w := setup(t)
	saleID := w.sale(w.plan(1, w.goods.Stocked(1)))
	ann := viewer.Viewer{AccountID: id.New(id.Account)}
	of := w.sold(ann, saleID)
	if _, err := w.sales.Undo(t.Context(), events.BookingOfOrder{BookingID: of.BookingID, OrderID: id.New(id.Order)}); code(err) != "NOT_FOUND" {
		t.Errorf("another order's unit came back: %v", err)
	}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if rep, err := w.sales.Undo(t.Context(), of); err != nil || rep.Status != "CANCELLED" {
				t.Error(rep, err)
			}
		})
		wg.Go(func() { // a late repetition, by a process that never heard the answer
			if _, err := w.sales.Confirm(t.Context(), of); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s := w.found(saleID)
	if o := s.Offers[0]; o.Remaining != 1 || o.Held != 0 || o.Sold != 0 || s.Status(w.clock.Now()) != flashsale.Open {
		t.Errorf("%+v, %s", o, s.Status(w.clock.Now()))
	}
	w.sound()
	again := w.sold(ann, saleID)
	if again.BookingID == of.BookingID {
		t.Error("a booking came back to life")
	}
	w.sound()
}

// Once the sale is over, what comes back goes on into the stock.
func TestACancelledOrderOfASaleThatIsOver(t *testing.T) {
	w := setup(t)
	v := w.goods.Stocked(2)
	saleID := w.sale(w.plan(2, v))
	of := w.sold(viewer.Viewer{AccountID: id.New(id.Account)}, saleID)
	w.clock.Advance(2 * time.Hour)
	if err := w.settle(); err != nil {
		t.Fatal(err)
	}
	if n := w.goods.Stock(v); n != 1 {
		t.Fatalf("%d in stock after the sale, which sold one of two", n)
	}
	if _, err := w.sales.Undo(t.Context(), of); err != nil {
		t.Fatal(err)
	}
	if err := w.settle(); err != nil {
		t.Fatal(err)
	}
	if o := w.found(saleID).Offers[0]; w.goods.Stock(v) != 2 || w.goods.Given(saleID, v) != 0 || o.Quantity != 0 || o.Sold != 0 {
		t.Errorf("%d in stock, %d still given, %+v", w.goods.Stock(v), w.goods.Given(saleID, v), o)
	}
	w.sound()
}
