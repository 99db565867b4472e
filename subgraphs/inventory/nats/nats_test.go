package nats_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/clients/nats"
	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/bus"
	"github.com/souk-shop/souk/internal/call"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/natstest"
	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/inventory"
	inventorynats "github.com/souk-shop/souk/subgraphs/inventory/nats"
	"github.com/souk-shop/souk/subgraphs/inventory/postgres"
)

var (
	seller = viewer.Viewer{AccountID: id.New(id.Account), SellerID: id.New(id.Seller), Scopes: []string{viewer.ScopeSeller}}
	staff  = viewer.Viewer{AccountID: id.New(id.Account), Scopes: []string{viewer.ScopeStaff}}
)

type shop struct {
	t         *testing.T
	pool      *pgxpool.Pool
	inv       *inventory.Inventory
	nc        *nats.Conn
	log       *slog.Logger
	carrier   *bus.Bus
	warehouse string
}

func setup(t *testing.T, catalog inventory.Catalog) *shop {
	t.Parallel()
	s := &shop{t: t, pool: pgtest.New(t, postgres.Migrations), nc: natstest.New(t), log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	s.carrier = bus.New(s.nc.Conn, s.log)
	s.inv = inventory.New(postgres.NewStore(s.pool), catalog, clock.System)
	w, err := s.inv.SaveWarehouse(t.Context(), staff, inventory.Warehouse{Code: "BLR-1", Name: "Bangalore", Pincode: "560001", Country: "IN"})
	if err != nil {
		t.Fatal(err)
	}
	s.warehouse = w.ID
	return s
}

// run does background work until the test ends.
func (s *shop) run(work func(context.Context) error) {
	ctx, stop := context.WithCancel(s.t.Context())
	done := make(chan error)
	go func() { done <- work(ctx) }()
	s.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
}

func (s *shop) adjust(variant string, delta int) error {
	_, err := s.inv.Adjust(s.t.Context(), seller, []inventory.Change{{VariantID: variant, WarehouseID: s.warehouse, Delta: delta}}, "", id.New(id.Event))
	return err
}

// asked is a catalogue reached by calls, which knows one variant of the seller's.
func asked(variant, product string) inventory.Catalog {
	return inventorynats.Catalog{By: call.Local(events.VariantsByID.Handle(func(_ context.Context, q events.VariantsRequest) (r events.VariantsReply, _ error) {
		for _, v := range q.IDs {
			if v == variant {
				r.Variants = append(r.Variants, events.VariantInfo{Variant: events.Variant{ID: v, SKU: "sku"}, ProductID: product, SellerID: seller.SellerID})
			}
		}
		return r, nil
	}))}
}

// Everything the other subgraphs ask, as they ask it.
func TestCalls(t *testing.T) {
	v := id.New(id.Variant)
	s := setup(t, asked(v, id.New(id.Product)))
	stop, err := s.carrier.Serve("inventory", "test", inventorynats.Calls(s.inv)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop() })
	if err := s.adjust(v, 3); err != nil {
		t.Fatal(err)
	}
	if err := s.adjust(id.New(id.Variant), 3); !errors.Is(err, inventory.ErrNoVariant) {
		t.Error("goods that the catalogue does not know:", err)
	}
	unknown := id.New(id.Variant)
	available := func(want int) {
		t.Helper()
		r, err := events.Availability.Do(t.Context(), s.carrier, events.AvailabilityRequest{VariantIDs: []string{v, unknown}})
		if n, ok := r.Available[unknown]; err != nil || r.Available[v] != want || n != 0 || !ok {
			t.Errorf("%v, %v; want %d", r, err, want)
		}
	}
	hold := events.HoldRequest{
		IdempotencyKey: "k", OrderID: id.New(id.Order), AccountID: id.New(id.Account),
		Lines: []events.HoldLine{{VariantID: v, Quantity: 2}}, ExpiresAt: time.Now().Add(time.Minute),
	}
	held, err := events.HoldStock.Do(t.Context(), s.carrier, hold)
	if err != nil || held.ReservationID == "" {
		t.Fatal(held, err)
	}
	available(1)
	again, err := events.HoldStock.Do(t.Context(), s.carrier, hold)
	if err != nil || again.ReservationID != held.ReservationID {
		t.Error(again, err)
	}
	hold.IdempotencyKey = "k2"
	short, err := events.HoldStock.Do(t.Context(), s.carrier, hold)
	if err != nil || len(short.Short) != 1 || short.Short[0] != (events.Shortage{VariantID: v, Wanted: 2, Available: 1}) {
		t.Error(short, err)
	}
	hold.Lines[0].Quantity = 0
	var f *fault.Error
	if _, err := events.HoldStock.Do(t.Context(), s.carrier, hold); !errors.As(err, &f) || f.Kind != fault.Invalid {
		t.Error(err)
	}
	of := events.ReservationRequest{ReservationID: held.ReservationID}
	if r, err := events.CommitStock.Do(t.Context(), s.carrier, of); err != nil || r.Status != "COMMITTED" {
		t.Error(r, err)
	}
	if _, err := events.ReleaseStock.Do(t.Context(), s.carrier, of); !errors.Is(err, inventory.ErrHoldCommitted) {
		t.Error(err)
	}
	if _, err := events.CommitStock.Do(t.Context(), s.carrier, events.ReservationRequest{ReservationID: id.New(id.Reservation)}); !errors.Is(err, inventory.ErrNoReservation) {
		t.Error(err)
	}
	available(1)
}

// What the catalogue tells of goods is known without asking it, each version once and never an older one.
func TestGoods(t *testing.T) {
	s := setup(t, asked("", ""))
	product, v1, v2 := id.New(id.Product), id.New(id.Variant), id.New(id.Variant)
	tell := func(version int, sku string, variants ...string) {
		t.Helper()
		p := events.ProductSaved{ProductID: product, Version: version, SellerID: seller.SellerID}
		for _, v := range variants {
			p.Variants = append(p.Variants, events.Variant{ID: v, SKU: sku})
		}
		if err := outbox.Record(t.Context(), s.pool, outbox.Event{Subject: events.SubjectProductSaved, Payload: p}); err != nil {
			t.Fatal(err)
		}
		outbox.Wake(s.pool)
	}
	s.run(outbox.Relay(s.pool, s.nc.Streams, s.log))
	s.run(inventorynats.Goods(s.pool, s.nc.Streams, s.log))
	tell(2, "two", v1, v2)
	tell(1, "one", v1)
	last, other := id.New(id.Variant), id.New(id.Product)
	tell(3, "three", v2)
	product = other
	tell(1, "last", last)
	for { // events are handled in order
		found, err := postgres.NewStore(s.pool).ItemsByID(t.Context(), []string{last})
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 1 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	found, err := postgres.NewStore(s.pool).ItemsByID(t.Context(), []string{v1, v2})
	if err != nil || len(found) != 2 {
		t.Fatal(found, err)
	}
	for _, i := range found {
		if want := map[string]string{v1: "two", v2: "three"}[i.VariantID]; i.SKU != want || i.SellerID != seller.SellerID {
			t.Errorf("%+v, want %s", i, want)
		}
	}
	if err := s.adjust(v1, 5); err != nil { // its seller's still, though the product no longer shows it
		t.Error(err)
	}
	if in, err := s.inv.InStock(t.Context(), []string{found[0].ProductID}); err != nil || len(in) != 0 {
		t.Error("a variant that is no longer listed makes its product no more available:", in, err)
	}
	if err := s.adjust(v2, 5); err != nil {
		t.Error(err)
	}
	if in, err := s.inv.InStock(t.Context(), []string{found[0].ProductID}); err != nil || len(in) != 1 {
		t.Error(in, err)
	}
}

// A sale in one process is seen by who watches in another, and what was missed is read.
func TestWatch(t *testing.T) {
	v := id.New(id.Variant)
	s := setup(t, asked(v, id.New(id.Product)))
	elsewhere := inventory.New(postgres.NewStore(s.pool), nil, clock.System)
	s.run(inventorynats.Watch(s.nc.Conn, elsewhere, s.log))
	updates, err := elsewhere.Watch(t.Context(), []string{v})
	if err != nil {
		t.Fatal(err)
	}
	if u := <-updates; u.Seq != 0 || u.Available != 0 {
		t.Errorf("%+v", u)
	}
	if err := s.adjust(v, 3); err != nil { // nobody relays it yet
		t.Fatal(err)
	}
	if err := s.nc.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	if u := <-updates; u.Seq != 1 || u.Available != 3 {
		t.Errorf("missed while away: %+v", u)
	}
	s.run(outbox.Relay(s.pool, s.nc.Streams, s.log))
	if err := s.adjust(v, 4); err != nil {
		t.Fatal(err)
	}
	if u := <-updates; u.Seq != 2 || u.Available != 7 {
		t.Errorf("told: %+v", u)
	}
}

// A hold that nobody ends ends by itself, and those who watch see its units come back.
func TestSweeperNeedsNobody(t *testing.T) {
	v := id.New(id.Variant)
	s := setup(t, asked(v, id.New(id.Product)))
	if err := s.adjust(v, 1); err != nil {
		t.Fatal(err)
	}
	s.run(outbox.Relay(s.pool, s.nc.Streams, s.log))
	s.run(inventorynats.Watch(s.nc.Conn, s.inv, s.log))
	for range 2 { // processes
		s.run(inventorynats.Sweep(s.inv, s.log))
	}
	r, err := s.inv.Hold(t.Context(), events.HoldRequest{
		IdempotencyKey: "k", OrderID: id.New(id.Order), AccountID: id.New(id.Account),
		Lines: []events.HoldLine{{VariantID: v, Quantity: 1}}, ExpiresAt: time.Now().Add(300 * time.Millisecond),
	})
	if err != nil {
		t.Fatal(err)
	}
	updates, err := s.inv.Watch(t.Context(), []string{v})
	if err != nil {
		t.Fatal(err)
	}
	for u := range updates {
		if u.Available == 1 && u.Seq == 3 {
			break
		}
	}
	found, err := s.inv.Reservations(t.Context(), staff, []string{r.ReservationID})
	if err != nil || len(found) != 1 || found[0].Status != inventory.Expired {
		t.Error(found, err)
	}
	if late := found[0].UpdatedAt.Sub(found[0].ExpiresAt); late > time.Second {
		t.Logf("swept %s late", late)
	}
}
