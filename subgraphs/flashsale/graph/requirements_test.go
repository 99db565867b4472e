package graph_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/batch"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	"github.com/souk-shop/souk/subgraphs/flashsale/graph"
	"github.com/souk-shop/souk/subgraphs/flashsale/rush"
)

func TestS92OpensAtItsTime(t *testing.T) {
	s := setup(t)
	saleID := s.sale(plan(1, s.goods.Stocked(1)))
	s.clock.Advance(time.Hour - time.Microsecond)
	ann := accounts(1)[0]
	if got := s.book(ann, saleID, "", "key-00000001"); at(got, "data.flashSaleBook.userErrors.0.code") != "NOT_OPEN" {
		t.Errorf("before the start: %v", got)
	}
	s.want(saleID, "SCHEDULED 1/0/0")
	s.clock.Advance(time.Microsecond)
	s.booked(ann, saleID)
	s.want(saleID, "SOLD_OUT 0/1/0")
	s.clock.Advance(2 * time.Hour)
	if got := s.book(accounts(1)[0], saleID, "", "key-00000001"); at(got, "data.flashSaleBook.userErrors.0.code") != "NOT_OPEN" {
		t.Errorf("after the end: %v", got)
	}
}

// Everybody wants one at once; every unit finds somebody, and no unit finds two.
func TestS97NoOverbooking(t *testing.T) {
	s := setup(t, pgtest.MaxConns(8))
	const units, buyers = 40, 200
	saleID := s.open(units, s.goods.Stocked(units))
	outcomes := s.rush(saleID, accounts(buyers), func(int) string { return "" })
	if outcomes["FlashSaleBooking"] != units || outcomes["FlashSaleSoldOut"] != buyers-units {
		t.Errorf("%v", outcomes)
	}
	s.want(saleID, "SOLD_OUT 0/40/0")
	s.everySeqAddsUp(saleID)
}

// rush lets everybody book at once, and counts the answers.
func (s *shop) rush(saleID string, buyers []viewer.Viewer, variant func(int) string) map[string]int {
	var mu sync.Mutex
	var wg sync.WaitGroup
	outcomes := map[string]int{}
	for i, who := range buyers {
		wg.Go(func() {
			got := s.book(who, saleID, variant(i), id.New(id.Event))
			mu.Lock()
			defer mu.Unlock()
			kind := at(got, "data.flashSaleBook.result.kind")
			if kind == "" {
				kind = fmt.Sprint(got)
			}
			outcomes[kind]++
		})
	}
	wg.Wait()
	return outcomes
}

func (s *shop) everySeqAddsUp(saleID string) {
	s.t.Helper()
	var rows, bad int
	err := s.pool.QueryRow(s.t.Context(), `
		SELECT count(*), count(*) FILTER (WHERE remaining + held + sold <> total OR least(remaining, held, sold) < 0 OR seq <> nth)
		FROM (SELECT *, row_number() OVER (ORDER BY seq) AS nth FROM log WHERE sale_id = $1) AS l`, saleID).Scan(&rows, &bad)
	if err != nil || rows == 0 || bad > 0 {
		s.t.Errorf("%d of %d rows of the log are wrong, %v", bad, rows, err)
	}
}

// Buyers who give up, run out of time and fail to pay leave their units to others, until all are sold.
func TestS98NoUnderbooking(t *testing.T) {
	s := setup(t)
	const units = 12
	saleID := s.open(units, s.goods.Stocked(units))
	sold := 0
	for round := 0; sold < units; round++ {
		if round > 20 {
			t.Fatal("it never sells out")
		}
		for i, who := range accounts(units) {
			got := s.book(who, saleID, "", id.New(id.Event))
			if at(got, "data.flashSaleBook.result.kind") != "FlashSaleBooking" {
				break
			}
			booking := at(got, "data.flashSaleBook.result.id")
			switch i % 4 {
			case 0:
				s.pay(who, booking)
				sold++
			case 1:
				s.release(who, booking)
			case 2:
				order := s.paying(who, booking)
				if _, err := s.sales.GiveBack(t.Context(), events.BookingOfOrder{BookingID: booking, OrderID: order}); err != nil {
					t.Fatal(err)
				}
			}
		}
		s.clock.Advance(4 * time.Minute)
		s.sweep()
	}
	s.want(saleID, fmt.Sprintf("SOLD_OUT 0/0/%d", units))
	got := s.book(accounts(1)[0], saleID, "", "key-00000001")
	if at(got, "data.flashSaleBook.result.final") != "true" || at(got, "data.flashSaleBook.result.held") != "0" {
		t.Errorf("%v", got)
	}
	s.everySeqAddsUp(saleID)
}

func (s *shop) sweep() {
	s.t.Helper()
	if err := s.sales.SweepNow(s.t.Context()); err != nil {
		s.t.Error(err)
	}
}

// paying begins to pay for a booking and returns the order.
func (s *shop) paying(who viewer.Viewer, booking string) string {
	s.t.Helper()
	order := id.New(id.Order)
	if _, err := s.sales.Pay(s.t.Context(), events.PayForBookingRequest{BookingID: booking, AccountID: who.AccountID, OrderID: order, Until: s.clock.Now().Add(time.Hour)}); err != nil {
		s.t.Error(err)
	}
	return order
}

func (s *shop) pay(who viewer.Viewer, booking string) {
	s.t.Helper()
	if _, err := s.sales.Confirm(s.t.Context(), events.BookingOfOrder{BookingID: booking, OrderID: s.paying(who, booking)}); err != nil {
		s.t.Error(err)
	}
}

const releaseOne = `mutation ($id: ID!) { flashSaleRelease(input: {bookingId: $id}) { booking { status } userErrors { code field } } }`

func (s *shop) release(who viewer.Viewer, booking string) map[string]any {
	s.t.Helper()
	return s.ask(who, releaseOne, map[string]any{"id": booking})
}

func TestS99AFailedPurchaseFreesTheUnit(t *testing.T) {
	s := setup(t)
	saleID := s.open(1, s.goods.Stocked(1))
	two := accounts(2)
	booking := s.booked(two[0], saleID)
	order := s.paying(two[0], booking)
	if got := s.book(two[1], saleID, "", "key-00000001"); at(got, "data.flashSaleBook.result.final") != "false" || at(got, "data.flashSaleBook.result.retryAfter") == "" {
		t.Errorf("while it is held: %v", got)
	}
	for range 2 { // the saga may ask twice
		if rep, err := s.sales.GiveBack(t.Context(), events.BookingOfOrder{BookingID: booking, OrderID: order}); err != nil || rep.Status != "RELEASED" {
			t.Errorf("%v %v", rep, err)
		}
	}
	s.want(saleID, "OPEN 1/0/0")
	s.booked(two[1], saleID)
}

func TestS101WatchersSeeTheTrueCounts(t *testing.T) {
	s := setup(t)
	saleID := s.open(30, s.goods.Stocked(30))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	updates, err := s.sales.Watch(ctx, saleID)
	if err != nil {
		t.Fatal(err)
	}
	if first := <-updates; first.Remaining() != 30 || first.Status != flashsale.Open {
		t.Errorf("%+v", first)
	}
	s.rush(saleID, accounts(50), func(int) string { return "" })
	s.tellAll()
	last := int64(-1)
	for u := range updates {
		if u.Seq <= last {
			t.Errorf("%d after %d", u.Seq, last)
		}
		if last = u.Seq; u.Remaining() == 0 {
			if u.Held() != 30 || u.Status != flashsale.SoldOut {
				t.Errorf("%+v", u)
			}
			break
		}
	}
}

// tellAll does the relay's work: it tells every event that was recorded.
func (s *shop) tellAll() {
	s.t.Helper()
	rows, err := s.pool.Query(s.t.Context(), `SELECT payload FROM outbox ORDER BY id`)
	if err != nil {
		s.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var e events.FlashSaleChanged
		if err := rows.Scan(&e); err != nil {
			s.t.Fatal(err)
		}
		s.sales.Told(e)
	}
}

// The same account from 100 connections with 100 keys has one booking, and 99 times the answer that it has it.
func TestS109OneBookingPerAccount(t *testing.T) {
	s := setup(t)
	saleID := s.open(100, s.goods.Stocked(100))
	ann := accounts(1)[0]
	same := make([]viewer.Viewer, 100)
	for i := range same {
		same[i] = ann
	}
	if outcomes := s.rush(saleID, same, func(int) string { return "" }); outcomes["FlashSaleBooking"] != 1 || outcomes["FlashSaleAlreadyBooked"] != 99 {
		t.Errorf("%v", outcomes)
	}
	s.want(saleID, "OPEN 99/1/0")
}

func TestS111S125AllotmentLeavesTheStock(t *testing.T) {
	s := setup(t)
	v := s.goods.Stocked(10)
	p := plan(7, v)
	saleID := s.sale(p)
	s.want(saleID, "SCHEDULED 7/0/0")
	if s.goods.Stock(v) != 3 || s.goods.Given(saleID, v) != 7 {
		t.Errorf("%d in stock, %d given", s.goods.Stock(v), s.goods.Given(saleID, v))
	}
	if again := s.sale(p); again != saleID || s.goods.Stock(v) != 3 {
		t.Errorf("the same key made %s too; %d in stock", again, s.goods.Stock(v))
	}
	p["title"] = "Another"
	if got := s.ask(seller, save, map[string]any{"i": p}); at(got, "data.flashSaleSave.userErrors.0.code") != "IDEMPOTENCY_CONFLICT" {
		t.Errorf("%v", got)
	}
	if got := s.ask(seller, save, map[string]any{"i": plan(4, v)}); at(got, "data.flashSaleSave.userErrors.0.code") != "INSUFFICIENT_STOCK" ||
		at(got, "data.flashSaleSave.userErrors.0.field") != "[input offers 0 quantity]" {
		t.Errorf("%v", got)
	}
	if s.goods.Stock(v) != 3 {
		t.Errorf("%d in stock", s.goods.Stock(v))
	}
}

// Two keys of one account, one key twice: what a retry finds.
func TestS116WhatIsAnsweredStays(t *testing.T) {
	s := setup(t)
	saleID := s.open(2, s.goods.Stocked(2))
	ann := accounts(1)[0]
	first := s.book(ann, saleID, "", "key-00000001")
	other := s.beside()
	again := other.book(ann, saleID, "", "key-00000001")
	if a, b := at(first, "data.flashSaleBook.result.id"), at(again, "data.flashSaleBook.result.id"); a == "" || a != b {
		t.Errorf("%q, then %q by another process", a, b)
	}
	s.release(ann, at(first, "data.flashSaleBook.result.id"))
	if got := s.book(ann, saleID, "", "key-00000001"); at(got, "data.flashSaleBook.result.status") != "RELEASED" {
		t.Errorf("the key names it for ever: %v", got)
	}
	if got := s.book(ann, id.New(id.FlashSale), "", "key-00000001"); at(got, "data.flashSaleBook.userErrors.0.code") != "NOT_FOUND" {
		t.Errorf("%v", got)
	}
	s.clock.Advance(-2 * time.Hour)
	second := s.open(1, s.goods.Stocked(1))
	if got := s.book(ann, second, "", "key-00000001"); at(got, "data.flashSaleBook.userErrors.0.code") != "IDEMPOTENCY_CONFLICT" {
		t.Errorf("%v", got)
	}
}

// beside is another process on the same database.
func (s *shop) beside() *shop {
	other := *s
	other.sales = flashsale.New(s.pg, rush.New(s.pg, s.clock, batch.Config{}), s.goods, s.clock).Guarded(s.challenges, s.tokens)
	other.handler = graph.Handler(other.sales, slog.New(slog.NewTextHandler(s.t.Output(), nil)))
	return &other
}

func code(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Code
	}
	return fmt.Sprint(err)
}

func TestS120ABookingHasAllItsFields(t *testing.T) {
	s := setup(t)
	v := s.goods.Stocked(1)
	saleID := s.open(1, v)
	two := accounts(2)
	booking := s.booked(two[0], saleID)
	const one = `query ($id: ID!) { flashSaleBooking(id: $id) { id status createdAt updatedAt expiresAt unitPrice { amount currencyCode } variant { id } account { id } sale { id title } } }`
	for _, who := range []viewer.Viewer{two[0], staff} {
		got := s.ask(who, one, map[string]any{"id": booking})
		want := map[string]string{
			"id": booking, "status": "HELD", "createdAt": "2026-11-27T10:00:00Z", "updatedAt": "2026-11-27T10:00:00Z", "expiresAt": "2026-11-27T10:04:00Z",
			"unitPrice.amount": "9.90", "unitPrice.currencyCode": "USD", "variant.id": v, "account.id": two[0].AccountID, "sale.id": saleID, "sale.title": "Black Friday",
		}
		for field, w := range want {
			if g := at(got, "data.flashSaleBooking."+field); g != w {
				t.Errorf("%s: %q, want %q", field, g, w)
			}
		}
	}
	if got := s.ask(two[1], one, map[string]any{"id": booking}); at(got, "data.flashSaleBooking.id") != "" || got["errors"] != nil {
		t.Errorf("another's booking: %v", got)
	}
	if got := s.ask(guest, one, map[string]any{"id": booking}); at(got, "errors.0.extensions.code") != "UNAUTHENTICATED" {
		t.Errorf("%v", got)
	}
	mine := s.ask(two[0], `query ($id: ID!) { flashSale(id: $id) { myBookings { id } } }`, map[string]any{"id": saleID})
	if at(mine, "data.flashSale.myBookings.0.id") != booking {
		t.Errorf("%v", mine)
	}
}

func TestS121APaidBookingIsBooked(t *testing.T) {
	s := setup(t)
	saleID := s.open(1, s.goods.Stocked(1))
	ann := accounts(1)[0]
	booking := s.booked(ann, saleID)
	q := events.BookingRequest{BookingID: booking, AccountID: ann.AccountID}
	snap, err := s.sales.ForCheckout(t.Context(), q)
	if err != nil || snap.Line.UnitPrice.Amount != 990 || snap.Line.Title != "A lamp" || snap.Line.SellerID != seller.SellerID || len(snap.Problems) > 0 {
		t.Fatalf("%+v %v", snap, err)
	}
	if _, err := s.sales.ForCheckout(t.Context(), events.BookingRequest{BookingID: booking, AccountID: id.New(id.Account)}); code(err) != "NOT_FOUND" {
		t.Errorf("another's: %v", err)
	}
	s.goods.TakeOff(snap.Line.VariantID)
	if off, err := s.sales.ForCheckout(t.Context(), q); err != nil || len(off.Problems) != 1 || off.Problems[0].Code != "NOT_FOR_SALE" {
		t.Errorf("taken off sale: %+v %v", off, err)
	}
	if _, err := s.sales.Pay(t.Context(), events.PayForBookingRequest{BookingID: booking, AccountID: id.New(id.Account), OrderID: id.New(id.Order), Until: s.clock.Now().Add(time.Hour)}); code(err) != "NOT_FOUND" {
		t.Errorf("an order of another: %v", err)
	}
	order := s.paying(ann, booking)
	if _, err := s.sales.Pay(t.Context(), events.PayForBookingRequest{BookingID: booking, AccountID: ann.AccountID, OrderID: id.New(id.Order), Until: s.clock.Now().Add(time.Hour)}); code(err) != "ALREADY_ORDERED" {
		t.Errorf("a second order: %v", err)
	}
	if got := s.release(ann, booking); at(got, "data.flashSaleRelease.userErrors.0.code") != "BEING_PAID" {
		t.Errorf("%v", got)
	}
	for name, end := range map[string]func(context.Context, events.BookingOfOrder) (events.BookingReply, error){"confirms": s.sales.Confirm, "gives back": s.sales.GiveBack, "undoes": s.sales.Undo} {
		if _, err := end(t.Context(), events.BookingOfOrder{BookingID: booking, OrderID: id.New(id.Order)}); err == nil {
			t.Errorf("another order %s it", name)
		}
	}
	s.want(saleID, "SOLD_OUT 0/1/0")
	for range 2 {
		if rep, err := s.sales.Confirm(t.Context(), events.BookingOfOrder{BookingID: booking, OrderID: order}); err != nil || rep.Status != "BOOKED" {
			t.Errorf("%v %v", rep, err)
		}
	}
	s.want(saleID, "SOLD_OUT 0/0/1")
	if _, err := s.sales.GiveBack(t.Context(), events.BookingOfOrder{BookingID: booking, OrderID: order}); code(err) != "HOLD_COMMITTED" {
		t.Errorf("%v", err)
	}
	if got := s.release(ann, booking); at(got, "data.flashSaleRelease.userErrors.0.code") != "BOOKED" {
		t.Errorf("%v", got)
	}
	if _, err := s.sales.ForCheckout(t.Context(), q); code(err) != "ALREADY_ORDERED" {
		t.Errorf("%v", err)
	}
}

func TestS114S122ReleaseGivesTheUnitBack(t *testing.T) {
	s := setup(t)
	saleID := s.open(1, s.goods.Stocked(1))
	two := accounts(2)
	booking := s.booked(two[0], saleID)
	if got := s.release(two[1], booking); at(got, "data.flashSaleRelease.userErrors.0.code") != "NOT_FOUND" {
		t.Errorf("another's: %v", got)
	}
	for range 2 {
		if got := s.release(two[0], booking); at(got, "data.flashSaleRelease.booking.status") != "RELEASED" {
			t.Errorf("%v", got)
		}
	}
	s.want(saleID, "OPEN 1/0/0")
	s.booked(two[0], saleID) // who gave it back may have it again
}

// Three variants, sold by the thousand hands: each is neither over- nor underbooked, and nobody has more than the sale allows.
func TestS141SeveralVariants(t *testing.T) {
	s := setup(t)
	const units, buyers = 8, 90
	variants := []string{s.goods.Stocked(units), s.goods.Stocked(units), s.goods.Stocked(units)}
	p := plan(units, variants...)
	p["limitPerAccount"] = 2
	saleID := s.sale(p)
	s.clock.Advance(time.Hour)
	people := accounts(buyers / 3)
	var rush []viewer.Viewer
	for range 3 {
		rush = append(rush, people...)
	}
	// Everybody asks for each of the three at once, and may have two of them.
	outcomes := s.rush(saleID, rush, func(i int) string { return variants[i/len(people)] })
	if outcomes["FlashSaleBooking"] != 3*units {
		t.Errorf("%v", outcomes)
	}
	s.want(saleID, "SOLD_OUT 0/24/0")
	each := s.ask(guest, `query ($id: ID!) { flashSale(id: $id) { live { offers { variantId remaining held sold } } } }`, map[string]any{"id": saleID})
	for i, v := range variants {
		of := fmt.Sprintf("data.flashSale.live.offers.%d.", i)
		if is := at(each, of+"variantId") + " " + at(each, of+"remaining") + "/" + at(each, of+"held") + "/" + at(each, of+"sold"); is != v+" 0/8/0" {
			t.Errorf("%s, want %s 0/8/0", is, v)
		}
	}
	if got := s.book(accounts(1)[0], saleID, "", "key-00000001"); at(got, "data.flashSaleBook.userErrors.0.field") != "[input variantId]" {
		t.Errorf("which of three: %v", got)
	}
	if got := s.book(accounts(1)[0], saleID, id.New(id.Variant), "key-00000001"); at(got, "data.flashSaleBook.userErrors.0.code") != "NOT_FOUND" {
		t.Errorf("%v", got)
	}
	s.everySeqAddsUp(saleID)
}
