package prometheus_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/internal/batch"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/internal/telemetry"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	"github.com/souk-shop/souk/subgraphs/flashsale/flashsaletest"
	"github.com/souk-shop/souk/subgraphs/flashsale/postgres"
	"github.com/souk-shop/souk/subgraphs/flashsale/prometheus"
	"github.com/souk-shop/souk/subgraphs/flashsale/rush"
)

var (
	seller = viewer.Viewer{AccountID: id.New(id.Account), SellerID: id.New(id.Seller), Scopes: []string{viewer.ScopeSeller}}
	ten    = time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)
)

// A slow store lets a booking through when it is told to.
type slow struct {
	flashsale.Store
	entered, turn chan struct{}
}

func (s *slow) Book(ctx context.Context, saleID string, requests []flashsale.BookRequest, at time.Time) ([]flashsale.BookResult, error) {
	s.entered <- struct{}{}
	<-s.turn
	return s.Store.Book(ctx, saleID, requests, at)
}

type shop struct {
	t      *testing.T
	store  *slow
	clock  *clock.Held
	goods  *flashsaletest.Shop
	sales  *flashsale.FlashSales
	scrape func() string
}

func setup(t *testing.T) *shop {
	t.Parallel()
	s := &shop{t: t, clock: clock.Hold(ten), goods: flashsaletest.NewShop(seller.SellerID)}
	s.store = &slow{postgres.NewStore(pgtest.New(t, postgres.Migrations)), make(chan struct{}, 100), make(chan struct{}, 100)}
	registry := telemetry.NewRegistry()
	desk := rush.New(s.store, s.clock, batch.Config{Name: "flashsale", Metrics: registry, MaxSize: 1, Depth: 2})
	s.sales = flashsale.New(s.store, desk, s.goods, s.clock)
	if err := prometheus.Watch(s.sales, registry); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := desk.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	s.scrape = func() string {
		w := httptest.NewRecorder()
		telemetry.Metrics(registry).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		return w.Body.String()
	}
	return s
}

func (s *shop) sale(units int, startsAt time.Time) string {
	s.t.Helper()
	sale, err := s.sales.Save(s.t.Context(), seller, flashsale.Plan{
		Title: "A sale", LimitPerAccount: 1, HoldTime: 4 * time.Minute, StartsAt: startsAt, EndsAt: startsAt.Add(time.Hour),
		Offers: []flashsale.PlannedOffer{{VariantID: s.goods.Stocked(units), Price: money.Money{Amount: 990, Currency: "USD"}, Quantity: units, LimitPerAccount: 1}},
	}, id.New(id.Event))
	if err != nil {
		s.t.Fatal(err)
	}
	return sale.ID
}

// book asks elsewhere.
func (s *shop) book(who, saleID string) (done chan flashsale.BookResult) {
	done = make(chan flashsale.BookResult, 1)
	go func() {
		res, _ := s.sales.Book(s.t.Context(), viewer.Viewer{AccountID: who}, saleID, "", id.New(id.Event))
		done <- res
	}()
	return done
}

// shows waits until all of these are shown: some is counted after its answer is out.
func (s *shop) shows(lines ...string) {
	s.t.Helper()
	for _, l := range lines {
		for deadline := time.Now().Add(20 * time.Second); !strings.Contains(s.scrape(), l+"\n"); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				s.t.Fatalf("no %s in\n%s", l, s.scrape())
			}
		}
	}
}

func TestMetrics(t *testing.T) {
	s := setup(t)
	running, coming := s.sale(2, ten), s.sale(5, ten.Add(30*time.Minute))
	ann := id.New(id.Account)
	for range 20 {
		s.store.turn <- struct{}{}
	}
	for _, who := range []string{ann, ann, id.New(id.Account), id.New(id.Account)} {
		<-s.book(who, running)
	}
	<-s.book(ann, coming)
	<-s.book("", running)
	s.shows(
		`flashsale_remaining{sale="`+running+`"} 0`, `flashsale_held{sale="`+running+`"} 2`, `flashsale_sold{sale="`+running+`"} 0`,
		`flashsale_remaining{sale="`+coming+`"} 5`,
		`flashsale_bookings_total 2`, `flashsale_booking_seconds_count 6`, `flashsale_booking_backlog 0`,
		`flashsale_refusals_total{reason="already_booked"} 1`, `flashsale_refusals_total{reason="sold_out"} 1`,
		`flashsale_refusals_total{reason="not_open"} 1`, `flashsale_refusals_total{reason="unauthenticated"} 1`,
		`souk_batch_size_count{batch="flashsale"} 5`,
	)
	if strings.Contains(s.scrape(), "flashsale_waiting{") {
		t.Error("somebody waits, though there is no waiting room")
	}
	s.clock.Advance(time.Hour)
	if all := s.scrape(); strings.Contains(all, running) || !strings.Contains(all, coming) {
		t.Errorf("a sale that is over is shown, or one that runs is not:\n%s", all)
	}
}

// When more ask than are served the backlog rises, for whoever starts more processes; it is gone when they are served.
func TestS119TheBacklogTellsThatMoreAreNeeded(t *testing.T) {
	s := setup(t)
	saleID := s.sale(10, ten)
	var asked []chan flashsale.BookResult
	asked = append(asked, s.book(id.New(id.Account), saleID))
	<-s.store.entered
	for range 2 {
		asked = append(asked, s.book(id.New(id.Account), saleID))
	}
	for !strings.Contains(s.scrape(), "flashsale_booking_backlog 3\n") || !strings.Contains(s.scrape(), `souk_batch_depth{batch="flashsale"} 2`) {
		if t.Context().Err() != nil {
			t.Fatal(s.scrape())
		}
		time.Sleep(time.Millisecond)
	}
	if res := <-s.book(id.New(id.Account), saleID); res.PollAfter == nil || !res.PollAfter.After(time.Now().Add(-time.Minute)) {
		t.Errorf("one more than there is room for got %+v", res)
	}
	s.shows(`flashsale_refusals_total{reason="throttled"} 1`)
	for range asked {
		s.store.turn <- struct{}{}
	}
	for _, a := range asked {
		if res := <-a; res.Booking == nil {
			t.Errorf("%+v", res)
		}
	}
	s.shows(`flashsale_booking_backlog 0`, `flashsale_bookings_total 3`)
}
