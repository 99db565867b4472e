package nats_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/shopspring/decimal"

	"github.com/souk-shop/souk/clients/nats"
	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/bus"
	"github.com/souk-shop/souk/internal/call"
	"github.com/souk-shop/souk/internal/clock"
	devnats "github.com/souk-shop/souk/internal/devstores/nats"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/catalog"
	"github.com/souk-shop/souk/subgraphs/catalog/feed"
	"github.com/souk-shop/souk/subgraphs/catalog/mongo"
	"github.com/souk-shop/souk/subgraphs/catalog/mongo/mongotest"
	catalognats "github.com/souk-shop/souk/subgraphs/catalog/nats"
)

type shop struct {
	t       *testing.T
	log     *slog.Logger
	nc      *nats.Conn
	clock   *clock.Held
	store   *mongo.Store
	catalog *catalog.Catalog
	ann     viewer.Viewer
	heard   jetstream.MessagesContext
}

func setup(t *testing.T) *shop {
	t.Parallel()
	s := &shop{
		t: t, log: slog.New(slog.NewTextHandler(t.Output(), nil)), clock: clock.Hold(time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)),
		ann: viewer.Viewer{AccountID: id.New(id.Account), SellerID: id.New(id.Seller), Scopes: []string{viewer.ScopeSeller}},
	}
	server, err := devnats.Start(t.Context(), devnats.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Stop() })
	if s.nc, err = nats.Open(t.Context(), server.URL(), "test", s.log); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.nc.Close() })
	if err := outbox.Stream(t.Context(), s.nc.Streams); err != nil {
		t.Fatal(err)
	}
	if s.store, err = mongo.NewStore(t.Context(), mongotest.New(t).Database); err != nil {
		t.Fatal(err)
	}
	s.catalog = s.over(s.store)
	if _, err := s.catalog.EnsureCategory(t.Context(), []string{"Clothes", "Shirts"}); err != nil {
		t.Fatal(err)
	}
	consumer, err := s.nc.Streams.OrderedConsumer(t.Context(), events.Stream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{events.SubjectProductSaved}})
	if err == nil {
		s.heard, err = consumer.Messages()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.heard.Stop)
	return s
}

func (s *shop) over(store catalog.Store) *catalog.Catalog {
	return catalog.New(store, nil, nil, feed.Reader{}, s.clock)
}

func (s *shop) save(externalID, title string) catalog.Product {
	s.t.Helper()
	p, err := s.catalog.Save(s.t.Context(), s.ann, catalog.ProductInput{
		ExternalID: externalID, Title: title, Description: "Light.", Brand: "Acme", CategorySlug: "shirts", Status: catalog.Active,
		Attributes: []catalog.AttributeInput{{Key: "fabric_weight", Value: "180", Unit: "g/m²"}},
		ImageURLs:  []string{"https://img.test/1.png"},
		Variants:   []catalog.VariantInput{{SKU: externalID, Price: money.Input{Amount: decimal.RequireFromString("9.90"), CurrencyCode: "USD"}, WeightGrams: 100}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// next waits for an event.
func (s *shop) next() (eventID string, e events.ProductSaved, seq uint64) {
	s.t.Helper()
	m, err := s.heard.Next(jetstream.NextContext(s.t.Context()))
	if err != nil {
		s.t.Fatal(err)
	}
	got, err := outbox.Decode[events.ProductSaved](outbox.Received{Data: m.Data()})
	if err != nil {
		s.t.Fatal(err)
	}
	meta, err := m.Metadata()
	if err != nil {
		s.t.Fatal(err)
	}
	return m.Headers().Get(jetstream.MsgIDHeader), got, meta.Sequence.Stream
}

func (s *shop) tell(c *catalog.Catalog, want int) {
	s.t.Helper()
	if n, err := catalognats.TellLot(s.t.Context(), c, s.nc.Streams); err != nil || n != want {
		s.t.Fatalf("told %d, %v; want %d", n, err, want)
	}
}

func TestWhatIsTold(t *testing.T) {
	s := setup(t)
	p := s.save("a", "Shirt")
	s.save("a", "Shirt") // the same again is no news
	s.tell(s.catalog, 1)
	s.tell(s.catalog, 0)
	_, got, _ := s.next()
	want := events.ProductSaved{
		At: events.At{At: s.clock.Now()}, ProductID: p.ID, Version: 1, Status: "ACTIVE", SellerID: s.ann.SellerID, Slug: "shirt", Title: "Shirt",
		Description: "Light.", Brand: "Acme", Thumbnail: "https://img.test/1.png", CreatedAt: s.clock.Now(),
		Categories: []events.Category{{ID: p.CategoryPath[0], Slug: "clothes", Name: "Clothes"}, {ID: p.CategoryPath[1], Slug: "shirts", Name: "Shirts"}},
		Attributes: []events.Attribute{{Key: "fabric_weight", Label: "Fabric weight", Value: "180", Unit: "g/m²"}},
		Variants:   []events.Variant{{ID: p.Variants[0].ID, SKU: "a", Price: money.Money{Amount: 990, Currency: "USD"}, WeightGrams: 100}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := s.catalog.Archive(t.Context(), s.ann, p.ID); err != nil {
		t.Fatal(err)
	}
	s.tell(s.catalog, 1)
	if _, got, _ := s.next(); got.Status != "ARCHIVED" || got.Version != 2 {
		t.Errorf("%+v", got)
	}
}

// dying is the store of a process that is killed once it has published and before it noted so.
type dying struct{ catalog.Store }

var errKilled = errors.New("killed")

func (dying) Told(context.Context, []catalog.Untold) error { return errKilled }

func TestKilledRelay(t *testing.T) {
	s := setup(t)
	p := s.save("a", "Shirt")
	if _, err := catalognats.TellLot(t.Context(), s.over(dying{s.store}), s.nc.Streams); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	waiting, err := s.store.Untold(t.Context(), 10)
	if err != nil || len(waiting) != 1 {
		t.Fatalf("%v, %v: what was not noted is lost", waiting, err)
	}
	s.tell(s.catalog, 1) // the stream has seen this id and drops it
	p2 := s.save("a", "Other")
	s.tell(s.catalog, 1)
	first, one, seq1 := s.next()
	second, two, seq2 := s.next()
	if one.Version != p.Version || two.Version != p2.Version || first == second || first != waiting[0].Event || seq2 != seq1+1 {
		t.Errorf("%s version %d at %d, %s version %d at %d", first, one.Version, seq1, second, two.Version, seq2)
	}
}

// A change that comes between reading and noting is told too.
type racing struct {
	catalog.Store
	meanwhile func()
}

func (r racing) Told(ctx context.Context, told []catalog.Untold) error {
	r.meanwhile()
	return r.Store.Told(ctx, told)
}

func TestChangeWhileTelling(t *testing.T) {
	s := setup(t)
	s.save("a", "Shirt")
	s.tell(s.over(racing{s.store, func() { s.save("a", "Other") }}), 1)
	s.tell(s.catalog, 1)
	s.next()
	if _, got, _ := s.next(); got.Title != "Other" || got.Version != 2 {
		t.Errorf("%+v", got)
	}
}

// Two relays tell of everything, whoever of them does.
func TestRelays(t *testing.T) {
	s := setup(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	for range 2 {
		go func() { ended <- catalognats.Tell(s.catalog, s.nc.Streams, s.log)(ctx) }()
	}
	const products = 300
	for i := range products {
		s.save(fmt.Sprint("p", i), "Shirt")
	}
	told := map[string]bool{}
	for len(told) < products {
		_, e, _ := s.next()
		told[e.ProductID] = true
	}
	stop()
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestCalls(t *testing.T) {
	s := setup(t)
	b := bus.New(s.nc.Conn, s.log)
	tier := events.SellerInfo{ID: s.ann.SellerID, Tier: "PROFESSIONAL"}
	end, err := b.Serve("test", "", append(catalognats.Calls(s.catalog), events.SellerByID.Handle(func(_ context.Context, r events.SellerRequest) (events.SellerInfo, error) {
		if r.SellerID != s.ann.SellerID {
			return events.SellerInfo{}, fault.New(fault.NotFound, "NOT_FOUND", "no such seller")
		}
		return tier, nil
	}))...)
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	ctx, asks := t.Context(), catalognats.Sellers{By: b}
	for sellerID, want := range map[string]bool{s.ann.SellerID: true, id.New(id.Seller): false} {
		if got, err := asks.Professional(ctx, sellerID); got != want || err != nil {
			t.Errorf("%s: %v, %v", sellerID, got, err)
		}
	}
	tier.Tier = "INDIVIDUAL"
	if got, err := asks.Professional(ctx, s.ann.SellerID); got || err != nil {
		t.Errorf("%v, %v", got, err)
	}

	p := s.save("a", "Shirt")
	s.catalog.Archive(ctx, s.ann, s.save("b", "Gone").ID)
	q := s.save("b", "Gone") // back
	s.catalog.Archive(ctx, s.ann, q.ID)
	reply, err := events.VariantsByID.Do(ctx, b, events.VariantsRequest{IDs: []string{p.Variants[0].ID, q.Variants[0].ID, id.New(id.Variant), "x"}})
	if err != nil {
		t.Fatal(err)
	}
	sale := map[string]bool{}
	for _, v := range reply.Variants {
		sale[v.ID] = v.ForSale
		if v.ID == p.Variants[0].ID && (v.ProductID != p.ID || v.ProductTitle != "Shirt" || v.SellerID != s.ann.SellerID || v.SKU != "a" || v.Price.Amount != 990 || v.WeightGrams != 100) {
			t.Errorf("%+v", v)
		}
	}
	if diff := cmp.Diff(map[string]bool{p.Variants[0].ID: true, q.Variants[0].ID: false}, sale); diff != "" {
		t.Error(diff)
	}
	if _, err := events.VariantsByID.Do(ctx, b, events.VariantsRequest{IDs: make([]string, 501)}); fault.KindOf(err) != fault.Invalid {
		t.Error(err)
	}
	if reply, err := events.VariantsByID.Do(ctx, b, events.VariantsRequest{}); err != nil || len(reply.Variants) != 0 {
		t.Errorf("%v, %v", reply, err)
	}
	end()
	if _, err := asks.Professional(ctx, s.ann.SellerID); !errors.Is(err, call.ErrDown) {
		t.Errorf("with the accounts down: %v", err)
	}
}
