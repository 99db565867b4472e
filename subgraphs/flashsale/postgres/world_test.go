package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/internal/batch"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	"github.com/souk-shop/souk/subgraphs/flashsale/flashsaletest"
	"github.com/souk-shop/souk/subgraphs/flashsale/postgres"
	"github.com/souk-shop/souk/subgraphs/flashsale/rush"
)

var (
	seller = viewer.Viewer{AccountID: id.New(id.Account), SellerID: id.New(id.Seller), Scopes: []string{viewer.ScopeSeller}}
	ten    = time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)
)

type world struct {
	t     testing.TB
	pool  *pgxpool.Pool
	store *postgres.Store
	goods *flashsaletest.Shop
	sales *flashsale.FlashSales
	clock *clock.Held
}

func setup(t *testing.T) *world {
	t.Parallel()
	return open(t)
}

func open(t testing.TB) *world {
	w := &world{t: t, pool: pgtest.New(t, postgres.Migrations), goods: flashsaletest.NewShop(seller.SellerID), clock: clock.Hold(ten)}
	w.store = postgres.NewStore(w.pool)
	desk := rush.New(w.store, w.clock, batch.Config{})
	w.sales = flashsale.New(w.store, desk, w.goods, w.clock)
	t.Cleanup(func() {
		if err := desk.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return w
}

// plan offers units of variants for an hour from now.
func (w *world) plan(units int, variants ...string) flashsale.Plan {
	p := flashsale.Plan{Title: "A sale", LimitPerAccount: 1, HoldTime: 4 * time.Minute, StartsAt: w.clock.Now(), EndsAt: w.clock.Now().Add(time.Hour)}
	for _, v := range variants {
		p.Offers = append(p.Offers, flashsale.PlannedOffer{VariantID: v, Price: money.Money{Amount: 990, Currency: "USD"}, Quantity: units, LimitPerAccount: 1})
	}
	return p
}

func (w *world) sale(p flashsale.Plan) string {
	w.t.Helper()
	s, err := w.sales.Save(w.t.Context(), seller, p, id.New(id.Event))
	if err != nil {
		w.t.Fatal(err)
	}
	return s.ID
}

func (w *world) found(saleID string) flashsale.Sale {
	w.t.Helper()
	found, err := w.store.SalesByID(w.t.Context(), []string{saleID})
	if err != nil || len(found) != 1 {
		w.t.Fatalf("%v %v", found, err)
	}
	return found[0]
}

func (w *world) booked(saleID string) flashsale.Booking {
	w.t.Helper()
	res, err := w.sales.Book(w.t.Context(), viewer.Viewer{AccountID: id.New(id.Account)}, saleID, "", id.New(id.Event))
	if err != nil || res.Booking == nil {
		w.t.Fatalf("%+v %v", res, err)
	}
	return *res.Booking
}

func (w *world) settle() error {
	return errors.Join(w.sales.SweepNow(w.t.Context()), w.sales.SettleNow(w.t.Context(), w.clock.Now()))
}

// sound checks that the tables tell one story.
func (w *world) sound() {
	w.t.Helper()
	if damage, err := w.store.Audit(w.t.Context()); err != nil || len(damage) > 0 {
		w.t.Errorf("%q %v", damage, err)
	}
}

func code(err error) string {
	var f *fault.Error
	errors.As(err, &f)
	if f == nil {
		return ""
	}
	return f.Code
}
