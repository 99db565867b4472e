package nats_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/souk-shop/souk/clients/nats"
	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/natstest"
	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/search"
	searchnats "github.com/souk-shop/souk/subgraphs/search/nats"
	"github.com/souk-shop/souk/subgraphs/search/typesense/typesensetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// learning is a store that says when it has learned something, and when it could not.
type learning struct {
	search.Store
	learned chan search.News
	failed  chan error
}

func (l *learning) Tell(ctx context.Context, news search.News) error {
	err := l.Store.Tell(ctx, news)
	if err != nil {
		select {
		case l.failed <- err:
		default:
		}
		return err
	}
	l.learned <- news
	return nil
}

type shop struct {
	testing.TB
	nc     *nats.Conn
	engine *typesensetest.Engine
	store  *learning
	search *search.Search
}

func setup(t *testing.T) *shop {
	t.Parallel()
	return open(t)
}

func open(t testing.TB) *shop {
	s := &shop{TB: t, nc: natstest.New(t), engine: typesensetest.New(t)}
	s.store = &learning{Store: s.engine.Store(t), learned: make(chan search.News, 1000), failed: make(chan error, 1)}
	s.search = search.New(s.store, func(events.Searched) {}, clock.System)
	return s
}

// run does background work until the returned function is called, at the latest until the test ends.
func (s *shop) run(work func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(s.Context())
	done := make(chan error, 1)
	go func() { done <- work(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			s.Error(err)
		}
	}
	s.Cleanup(stop)
	return stop
}

func (s *shop) publish(told ...any) {
	s.Helper()
	var lot []outbox.Message
	for _, e := range told {
		m := outbox.Message{ID: id.New(id.Event), RecordedAt: time.Now()}
		switch e.(type) {
		case events.ProductSaved:
			m.Subject = events.SubjectProductSaved
		case events.StockChanged, string:
			m.Subject = events.SubjectStockChanged
		case events.RatingChanged:
			m.Subject = events.SubjectRatingChanged
		}
		m.Payload, _ = json.Marshal(e)
		lot = append(lot, m)
	}
	if err := outbox.Publish(s.Context(), s.nc.Streams, lot); err != nil {
		s.Fatal(err)
	}
}

// learned waits until the index knows so many products.
func (s *shop) learned(products int) {
	s.Helper()
	for known := map[string]bool{}; len(known) < products; {
		select {
		case news := <-s.store.learned:
			for product := range news {
				known[product] = true
			}
		case <-time.After(20 * time.Second):
			s.Fatalf("the index knows %d of %d products", len(known), products)
		}
	}
}

func (s *shop) find(q search.Query) []search.Card {
	s.Helper()
	found, err := s.search.Find(s.Context(), viewer.Viewer{}, q)
	if err != nil {
		s.Fatal(err)
	}
	return found.Nodes()
}

func lamp(n int) events.ProductSaved {
	return events.ProductSaved{
		ProductID: id.New(id.Product), Version: 1, Status: "ACTIVE", SellerID: id.New(id.Seller), Slug: fmt.Sprint("lamp-", n), Title: fmt.Sprint("Lamp ", n),
		Variants: []events.Variant{{ID: id.New(id.Variant), SKU: fmt.Sprint("L", n), Price: money.Money{Amount: 100, Currency: "USD"}}},
	}
}

// What is told before and after its product is put together; what nobody can read holds nothing up.
func TestIndexFollowsTheStream(t *testing.T) {
	s := setup(t)
	p, yes := lamp(1), true
	s.publish(events.StockChanged{ProductID: p.ProductID, VariantID: p.Variants[0].ID, Seq: 1, Available: 2}, "not stock", events.StockChanged{ProductID: "", Seq: 1})
	place := s.engine.Alias
	stop := s.run(searchnats.Index(s.search, s.nc.Streams, place, slog.New(slog.DiscardHandler)))
	s.publish(p, events.RatingChanged{ProductID: p.ProductID, Version: 1, Average: 4, Count: 1}, lamp(2))
	s.learned(2)
	stop() // what was begun is finished
	four := 4.0
	if got := s.find(search.Query{Filter: search.Filter{InStock: &yes, MinRating: &four}}); len(got) != 1 || got[0].ID != p.ProductID {
		t.Errorf("%+v", got)
	}
	if got := s.find(search.Query{Text: "lamp"}); len(got) != 2 {
		t.Errorf("%+v", got)
	}
	s.publish(lamp(3))
	s.run(searchnats.Index(s.search, s.nc.Streams, place, slog.New(slog.DiscardHandler))) // goes on where it stopped
	s.learned(1)
	if got := s.find(search.Query{Text: "lamp"}); len(got) != 3 {
		t.Errorf("after a restart: %+v", got)
	}
}

// Events are learned in batches, and while the engine is away they wait.
func TestEventsWaitForTheEngine(t *testing.T) {
	s := setup(t)
	var told []any
	for i := range 300 {
		told = append(told, lamp(i))
	}
	s.publish(told...)
	s.engine.Cut(true)
	calls := s.engine.During(func() {
		s.run(searchnats.Index(s.search, s.nc.Streams, s.engine.Alias, slog.New(slog.DiscardHandler)))
		<-s.store.failed
		s.publish(lamp(301))
		s.engine.Cut(false)
		s.learned(301)
	})
	if len(calls) > 60 {
		t.Errorf("%d calls for 301 products", len(calls))
	}
	found, err := s.search.Find(t.Context(), viewer.Viewer{}, search.Query{Text: "lamp"})
	if err != nil || found.Total != 301 {
		t.Errorf("%d of 301, %v", found.Total, err)
	}
}

// A collection that was lost and made anew hears everything that is in the stream.
func TestAFreshIndexHearsAll(t *testing.T) {
	s := setup(t)
	s.publish(lamp(1), lamp(2))
	for _, place := range []string{"first", "second"} {
		stop := s.run(searchnats.Index(s.search, s.nc.Streams, place, slog.New(slog.DiscardHandler)))
		s.learned(2)
		stop()
	}
}

func TestSearchesAreTold(t *testing.T) {
	s := setup(t)
	a := searchnats.NewAnnouncer(s.nc.Streams, slog.New(slog.DiscardHandler))
	asking := search.New(s.store, a.Searched, clock.System)
	stop := s.run(a.Run)
	want := map[string]bool{}
	for i := range 250 {
		found, err := asking.Find(t.Context(), viewer.Viewer{AccountID: "acc"}, search.Query{Text: fmt.Sprint("lamp ", i)})
		if err != nil {
			t.Fatal(err)
		}
		want[found.QueryID] = true
	}
	stop() // the last ones are told before it ends
	place, err := s.nc.Streams.CreateConsumer(t.Context(), events.Stream, jetstream.ConsumerConfig{FilterSubject: events.SubjectSearched})
	if err != nil {
		t.Fatal(err)
	}
	told, err := place.Fetch(len(want), jetstream.FetchMaxWait(10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	for m := range told.Messages() {
		var e events.Searched
		if err := json.Unmarshal(m.Data(), &e); err != nil || e.AccountID != "acc" {
			t.Errorf("%s: %v", m.Data(), err)
		}
		delete(want, e.QueryID)
	}
	if len(want) != 0 {
		t.Errorf("%d searches were not told", len(want))
	}
}

// Nobody waits for an announcer that cannot tell.
func TestNobodyWaitsToTell(t *testing.T) {
	s := setup(t)
	a := searchnats.NewAnnouncer(s.nc.Streams, slog.New(slog.DiscardHandler))
	for range 5000 { // and it is not even running
		a.Searched(events.Searched{})
	}
	s.nc.Conn.Close()
	stop := s.run(a.Run)
	stop()
}
