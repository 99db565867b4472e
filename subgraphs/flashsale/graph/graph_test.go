package graph_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/internal/batch"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/once"
	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	"github.com/souk-shop/souk/subgraphs/flashsale/admission"
	"github.com/souk-shop/souk/subgraphs/flashsale/altcha"
	"github.com/souk-shop/souk/subgraphs/flashsale/flashsaletest"
	"github.com/souk-shop/souk/subgraphs/flashsale/graph"
	"github.com/souk-shop/souk/subgraphs/flashsale/postgres"
	"github.com/souk-shop/souk/subgraphs/flashsale/rush"
)

var (
	guest  = viewer.Viewer{}
	seller = viewer.Viewer{AccountID: id.New(id.Account), SellerID: id.New(id.Seller), Scopes: []string{viewer.ScopeSeller}}
	rival  = viewer.Viewer{AccountID: id.New(id.Account), SellerID: id.New(id.Seller), Scopes: []string{viewer.ScopeSeller}}
	staff  = viewer.Viewer{AccountID: id.New(id.Account), Scopes: []string{viewer.ScopeStaff}}
	ten    = time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC) // when sales open
)

// counting is a store that counts what it is asked.
type counting struct {
	flashsale.Store
	mu    sync.Mutex
	asked map[string]int
}

func (c *counting) count(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked[what]++
}

func (c *counting) SalesByID(ctx context.Context, ids []string) ([]flashsale.Sale, error) {
	c.count("SalesByID")
	return c.Store.SalesByID(ctx, ids)
}

func (c *counting) SalesOfVariants(ctx context.Context, ids []string, at time.Time) (map[string]string, error) {
	c.count("SalesOfVariants")
	return c.Store.SalesOfVariants(ctx, ids, at)
}

func (c *counting) BookingsOf(ctx context.Context, account string, ids []string) (map[string][]flashsale.Booking, error) {
	c.count("BookingsOf")
	return c.Store.BookingsOf(ctx, account, ids)
}

func (c *counting) TicketsByID(ctx context.Context, ids []string) ([]flashsale.Ticket, error) {
	c.count("TicketsByID")
	return c.Store.TicketsByID(ctx, ids)
}

type shop struct {
	t       *testing.T
	pool    *pgxpool.Pool
	pg      *postgres.Store
	store   *counting
	sales   *flashsale.FlashSales
	goods   *flashsaletest.Shop
	clock   *clock.Held
	handler http.Handler

	challenges *altcha.Challenger
	tokens     *admission.Tokens
}

var secret = []byte("a secret of thirty-two characters")

func setup(t *testing.T, options ...pgtest.Option) *shop {
	t.Parallel()
	s := &shop{t: t, pool: pgtest.New(t, postgres.Migrations, options...), clock: clock.Hold(ten.Add(-time.Hour)), goods: flashsaletest.NewShop(seller.SellerID)}
	s.pg = postgres.NewStore(s.pool)
	s.store = &counting{Store: s.pg, asked: map[string]int{}}
	desk := rush.New(s.store, s.clock, batch.Config{})
	s.challenges, s.tokens = altcha.New(once.NewMemory(s.clock), secret), admission.New(secret)
	s.sales = flashsale.New(s.store, desk, s.goods, s.clock).Guarded(s.challenges, s.tokens)
	s.handler = graph.Handler(s.sales, slog.New(slog.NewTextHandler(t.Output(), nil)))
	t.Cleanup(func() {
		if err := desk.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if damage, err := s.pg.Audit(context.Background()); !t.Failed() && (err != nil || len(damage) > 0) {
			t.Errorf("the books are wrong: %v %q", err, damage)
		}
	})
	return s
}

// ask sends an operation and returns what "data" and "errors" hold.
func (s *shop) ask(who viewer.Viewer, query string, vars map[string]any) map[string]any {
	s.t.Helper()
	return s.askIn(viewer.With(s.t.Context(), who), query, vars)
}

// askIn sends an operation as the viewer of a context, which may end before the answer.
func (s *shop) askIn(ctx context.Context, query string, vars map[string]any) map[string]any {
	s.t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": vars})
	if err != nil {
		s.t.Fatal(err)
	}
	req := httptest.NewRequestWithContext(ctx, "POST", "/graphql", strings.NewReader(string(body)))
	req.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	s.handler.ServeHTTP(rec, req)
	var answer map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil || rec.Code >= 500 {
		s.t.Errorf("%v: %d %s", err, rec.Code, rec.Body)
	}
	return answer
}

// at walks into an answer: "data.flashSale.offers.0.quantity", as text.
func at(v any, path string) string {
	for step := range strings.SplitSeq(path, ".") {
		switch is := v.(type) {
		case map[string]any:
			v = is[step]
		case []any:
			var n int
			if _, err := fmt.Sscan(step, &n); err != nil || n >= len(is) {
				return ""
			}
			v = is[n]
		default:
			return ""
		}
	}
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

func accounts(n int) []viewer.Viewer {
	all := make([]viewer.Viewer, n)
	for i := range all {
		all[i] = viewer.Viewer{AccountID: id.New(id.Account)}
	}
	return all
}

// plan is what a seller sends to sell units of some variants.
func plan(units int, variants ...string) map[string]any {
	var offers []map[string]any
	for _, v := range variants {
		offers = append(offers, map[string]any{"variantId": v, "price": map[string]any{"amount": "9.90", "currencyCode": "USD"}, "quantity": units})
	}
	return map[string]any{"title": "Black Friday", "admission": "OPEN_DOOR", "offers": offers, "startsAt": ten, "endsAt": ten.Add(time.Hour), "idempotencyKey": id.New(id.Event)}
}

const save = `mutation ($i: FlashSaleSaveInput!) { flashSaleSave(input: $i) {
	flashSale { id status title limitPerAccount holdSeconds seller { id } offers { quantity limitPerAccount price { amount } variant { id } } live { remaining held sold seq } }
	userErrors { code field message } } }`

// sale sets a sale up and returns its id.
func (s *shop) sale(p map[string]any) string {
	s.t.Helper()
	got := s.ask(seller, save, map[string]any{"i": p})
	saleID := at(got, "data.flashSaleSave.flashSale.id")
	if saleID == "" {
		s.t.Fatalf("%v", got)
	}
	return saleID
}

// open sets a sale up that is open by now.
func (s *shop) open(units int, variants ...string) string {
	s.t.Helper()
	saleID := s.sale(plan(units, variants...))
	s.clock.Advance(ten.Sub(s.clock.Now()))
	return saleID
}

const bookOne = `mutation ($i: FlashSaleBookInput!) { flashSaleBook(input: $i) {
	result { kind: __typename
		... on FlashSaleBooking { id status expiresAt unitPrice { amount } variant { id } account { id } }
		... on FlashSaleSoldOut { held final retryAfter }
		... on FlashSaleAlreadyBooked { booking { id } } }
	live { remaining held sold seq status }
	userErrors { code field message } } }`

func (s *shop) book(who viewer.Viewer, saleID, variant, key string) map[string]any {
	s.t.Helper()
	in := map[string]any{"saleId": saleID, "idempotencyKey": key}
	if variant != "" {
		in["variantId"] = variant
	}
	return s.ask(who, bookOne, map[string]any{"i": in})
}

// booked books and returns the booking's id.
func (s *shop) booked(who viewer.Viewer, saleID string) string {
	s.t.Helper()
	got := s.book(who, saleID, "", id.New(id.Event))
	if at(got, "data.flashSaleBook.result.kind") != "FlashSaleBooking" {
		s.t.Fatalf("%v", got)
	}
	return at(got, "data.flashSaleBook.result.id")
}

// counts is remaining, held and sold of a sale, with its status.
func (s *shop) counts(saleID string) string {
	s.t.Helper()
	got := s.ask(guest, `query ($id: ID!) { flashSale(id: $id) { live { status remaining held sold } } }`, map[string]any{"id": saleID})
	l := "data.flashSale.live."
	return fmt.Sprintf("%s %s/%s/%s", at(got, l+"status"), at(got, l+"remaining"), at(got, l+"held"), at(got, l+"sold"))
}

func (s *shop) want(saleID, counts string) {
	s.t.Helper()
	if got := s.counts(saleID); got != counts {
		s.t.Errorf("%s, want %s", got, counts)
	}
}

func (s *shop) status(bookingID string) string {
	s.t.Helper()
	found, err := s.pg.BookingsByID(s.t.Context(), []string{bookingID})
	if err != nil || len(found) != 1 {
		s.t.Fatalf("%v %v", found, err)
	}
	return string(found[0].Status)
}
