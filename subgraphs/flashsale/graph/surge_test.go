package graph_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/souk-shop/souk/internal/batch"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	"github.com/souk-shop/souk/subgraphs/flashsale/graph"
	"github.com/souk-shop/souk/subgraphs/flashsale/rush"
)

// stalled is a store that books when it is told to.
type stalled struct {
	flashsale.Store
	entered, turn chan struct{}
}

func (s stalled) Book(ctx context.Context, saleID string, requests []flashsale.BookRequest, at time.Time) ([]flashsale.BookResult, error) {
	s.entered <- struct{}{}
	<-s.turn
	return s.Store.Book(ctx, saleID, requests, at)
}

// Too many at once are told when to come again, with HTTP 200 and a type; nothing was tried, so the same key books then.
func TestS93OverloadIsTyped(t *testing.T) {
	s := setup(t)
	saleID := s.open(3, s.goods.Stocked(3))
	store := stalled{s.pg, make(chan struct{}, 100), make(chan struct{}, 100)}
	desk := rush.New(store, s.clock, batch.Config{MaxSize: 1, Depth: 1})
	t.Cleanup(func() {
		close(store.turn)
		desk.Close(context.Background())
	})
	full := *s
	full.sales = flashsale.New(store, desk, s.goods, s.clock)
	full.handler = graph.Handler(full.sales, slog.New(slog.NewTextHandler(t.Output(), nil)))

	answers := make(chan map[string]any, 2)
	people := accounts(3)
	for i, who := range people[:2] {
		go func() { answers <- full.book(who, saleID, "", fmt.Sprint("key-0000000", i)) }()
		if i == 0 {
			<-store.entered // one is served …
		}
	}
	for desk.Waiting() == 0 { // … and one waits
		time.Sleep(time.Millisecond)
	}
	const throttled = `mutation ($i: FlashSaleBookInput!) { flashSaleBook(input: $i) {
		result { kind: __typename ... on FlashSaleBooking { id } ... on FlashSaleThrottled { pollAfter } } live { remaining } userErrors { code } } }`
	in := map[string]any{"i": map[string]any{"saleId": saleID, "idempotencyKey": "key-00000002"}}
	got := full.ask(people[2], throttled, in)
	if at(got, "data.flashSaleBook.result.kind") != "FlashSaleThrottled" || at(got, "data.flashSaleBook.result.pollAfter") == "" || got["errors"] != nil || at(got, "data.flashSaleBook.live") != "" {
		t.Errorf("%v", got)
	}
	for range 3 {
		store.turn <- struct{}{}
	}
	for range 2 {
		if a := <-answers; at(a, "data.flashSaleBook.result.kind") != "FlashSaleBooking" {
			t.Errorf("%v", a)
		}
	}
	if again := full.ask(people[2], throttled, in); at(again, "data.flashSaleBook.result.kind") != "FlashSaleBooking" {
		t.Errorf("%v", again)
	}
	s.want(saleID, "SOLD_OUT 0/3/0")
}

// What was answered stands, whichever process is asked next: a booking is there, and none is left when it said so.
func TestS100TheAnswerIsFinal(t *testing.T) {
	s := setup(t)
	saleID := s.open(2, s.goods.Stocked(2))
	for i, who := range accounts(4) {
		key := fmt.Sprint("key-0000000", i)
		first := s.book(who, saleID, "", key)
		for range 2 {
			other := s.beside()
			again := other.book(who, saleID, "", key)
			for _, path := range []string{"result.kind", "result.id", "result.expiresAt", "result.held", "result.final", "live.remaining", "live.held", "live.seq"} {
				if a, b := at(first, "data.flashSaleBook."+path), at(again, "data.flashSaleBook."+path); a != b {
					t.Errorf("%s: %q, then %q by another process", path, a, b)
				}
			}
			if mine := other.ask(who, `query ($id: ID!) { flashSale(id: $id) { myBookings { id status } } }`, map[string]any{"id": saleID}); i < 2 &&
				(at(mine, "data.flashSale.myBookings.0.id") != at(first, "data.flashSaleBook.result.id") || at(mine, "data.flashSale.myBookings.0.status") != "HELD") {
				t.Errorf("%v after %v", mine, first)
			}
		}
	}
	s.want(saleID, "SOLD_OUT 0/2/0")
}

// Processes that know nothing of each other, one, two or four of them, sell the same units to everybody at once, each unit once.
func TestS112S113S139EachUnitOnceHoweverManyServe(t *testing.T) {
	for _, processes := range []int{1, 2, 4} {
		t.Run(fmt.Sprint(processes), func(t *testing.T) { manyServe(t, processes) })
	}
}

func manyServe(t *testing.T, processes int) {
	s := setup(t, pgtest.MaxConns(12))
	const units, buyers = 60, 240
	saleID := s.open(units, s.goods.Stocked(units))
	beside := make([]*shop, processes)
	for i := range beside {
		beside[i] = s.beside()
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	outcomes, bookings := map[string]int{}, map[string]int{}
	for i, who := range accounts(buyers) {
		wg.Go(func() {
			key := id.New(id.Event)
			var got map[string]any
			for _, p := range []*shop{beside[i%processes], beside[(i+1)%processes]} { // and a retry elsewhere
				got = p.book(who, saleID, "", key)
			}
			mu.Lock()
			defer mu.Unlock()
			outcomes[at(got, "data.flashSaleBook.result.kind")]++
			bookings[at(got, "data.flashSaleBook.result.id")]++
		})
	}
	wg.Wait()
	delete(bookings, "")
	if outcomes["FlashSaleBooking"] != units || outcomes["FlashSaleSoldOut"] != buyers-units || len(bookings) != units {
		t.Errorf("%v, %d bookings", outcomes, len(bookings))
	}
	s.want(saleID, fmt.Sprintf("SOLD_OUT 0/%d/0", units))
	s.everySeqAddsUp(saleID)
}

// A unit that comes back elsewhere is found by a process that knew of none, and a booking by who has one, though no lock is taken
// when nothing is left.
func TestSoldOutIsLookedUpEveryTime(t *testing.T) {
	s := setup(t)
	saleID := s.open(1, s.goods.Stocked(1))
	three := accounts(3)
	booking := s.booked(three[0], saleID)
	for range 2 {
		if got := s.book(three[1], saleID, "", "key-00000001"); at(got, "data.flashSaleBook.result.kind") != "FlashSaleSoldOut" || at(got, "data.flashSaleBook.result.final") != "false" {
			t.Errorf("%v", got)
		}
		if got := s.book(three[0], saleID, "", id.New(id.Event)); at(got, "data.flashSaleBook.result.booking.id") != booking {
			t.Errorf("%v", got)
		}
	}
	s.beside().release(three[0], booking)
	s.booked(three[1], saleID)
	if got := s.book(three[2], saleID, "", "key-00000001"); at(got, "data.flashSaleBook.result.kind") != "FlashSaleSoldOut" {
		t.Errorf("%v", got)
	}
	s.want(saleID, "SOLD_OUT 0/1/0")
}

// The answer to a booking is made of what the booking has read: no question is asked again.
func TestABookingAsksTheStoreOnce(t *testing.T) {
	s := setup(t)
	saleID := s.open(1, s.goods.Stocked(1))
	clear(s.store.asked)
	for _, who := range accounts(3) {
		s.book(who, saleID, "", "key-00000001")
	}
	if len(s.store.asked) > 0 {
		t.Errorf("%v", s.store.asked)
	}
}
