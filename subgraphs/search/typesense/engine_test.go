package typesense_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/typesense/typesense-go/v4/typesense/api"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/search"
	"github.com/souk-shop/souk/subgraphs/search/typesense"
	"github.com/souk-shop/souk/subgraphs/search/typesense/typesensetest"
)

func lamp(n int) events.ProductSaved {
	return events.ProductSaved{
		ProductID: id.New(id.Product), Version: 1, Status: "ACTIVE", SellerID: id.New(id.Seller), Slug: fmt.Sprint("lamp-", n), Title: fmt.Sprint("Lamp ", n),
		Brand: "Acme", Attributes: []events.Attribute{{Key: "size", Label: "Size", Value: "L"}}, CreatedAt: time.Unix(int64(n), 0),
		Variants: []events.Variant{{ID: id.New(id.Variant), SKU: fmt.Sprint("L", n), Price: money.Money{Amount: 100, Currency: "USD"}}},
	}
}

func lamps(n int) search.News {
	news := search.News{}
	for i := range n {
		p := lamp(i)
		news.Saved(p)
		news.Stocked(events.StockChanged{ProductID: p.ProductID, VariantID: p.Variants[0].ID, Seq: 1, Available: 1})
		news.Rated(events.RatingChanged{ProductID: p.ProductID, Version: 1, Average: 4, Count: 1})
	}
	return news
}

// However much is asked or told, the engine is called a few times.
func TestCallsAreBounded(t *testing.T) {
	t.Parallel()
	e := typesensetest.New(t)
	store := e.Store(t)
	s := search.New(store, func(events.Searched) {}, clock.System)
	count := func(what string, want []string, do func() error) {
		t.Helper()
		got := e.During(func() {
			if err := do(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	merge := "POST /collections/" + e.Alias + "_1/documents/import"
	news := lamps(100)
	count("100 products with stock and ratings", []string{merge, merge}, func() error { return s.Learn(t.Context(), news) })
	count("the same again", []string{merge}, func() error { return s.Learn(t.Context(), news) })
	count("nothing", []string{}, func() error { return s.Learn(t.Context(), search.News{}) })

	search1 := []string{"POST /multi_search"}
	var page search.Results
	for what, q := range map[string]search.Query{
		"a page of 24": {Facets: true}, "words": {Text: "lmap", Facets: true},
		"all filters": {Text: "lamp", Facets: true, Filter: search.Filter{
			CategorySlug: new(string), Brand: []string{"Acme"}, Price: &search.PriceFilter{}, InStock: new(bool), MinRating: new(float64),
			Attributes: []search.AttributeFilter{{Key: "size", Values: []string{"L"}}, {Key: "colour", Values: []string{"red"}}},
		}},
	} {
		count(what, search1, func() (err error) { page, err = s.Find(t.Context(), viewer.Viewer{}, q); return err })
	}
	count("first", search1, func() (err error) { page, err = s.Find(t.Context(), viewer.Viewer{}, search.Query{}); return err })
	count("next", search1, func() (err error) {
		page, err = s.Find(t.Context(), viewer.Viewer{}, search.Query{After: page.Info.EndCursor, Facets: true})
		return err
	})
	if len(page.Edges) != 24 || page.Total != 100 || len(page.Facets) == 0 {
		t.Errorf("%d of %d, %d facets", len(page.Edges), page.Total, len(page.Facets))
	}
	count("suggestions", search1, func() error { _, err := s.Suggest(t.Context(), "la", nil); return err })
}

// While the engine is away customers are told so, and events wait.
func TestEngineIsAway(t *testing.T) {
	t.Parallel()
	e := typesensetest.New(t)
	s := search.New(e.Store(t), func(events.Searched) {}, clock.System)
	e.Cut(true)
	_, find := s.Find(t.Context(), viewer.Viewer{}, search.Query{Text: "lamp"})
	_, suggest := s.Suggest(t.Context(), "lamp", nil)
	for what, err := range map[string]error{"find": find, "suggest": suggest, "learn": s.Learn(t.Context(), lamps(1))} {
		if !errors.Is(err, search.ErrDown) || strings.Contains(err.Error(), "http") {
			t.Errorf("%s: %v", what, err)
		}
	}
	e.Cut(false)
	if err := s.Learn(t.Context(), lamps(1)); err != nil {
		t.Error(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Find(gone, viewer.Viewer{}, search.Query{}); !errors.Is(err, context.Canceled) {
		t.Errorf("who hung up: %v", err)
	}
	if _, err := e.Client.Collection(e.Alias + "_1").Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Find(t.Context(), viewer.Viewer{}, search.Query{}); !errors.Is(err, search.ErrDown) {
		t.Errorf("without a collection: %v", err)
	}
}

// Many processes may start at once; one finds what another was told.
func TestManyStart(t *testing.T) {
	t.Parallel()
	e := typesensetest.New(t)
	stores := make([]*typesense.Store, 8)
	var wg sync.WaitGroup
	for i := range stores {
		wg.Go(func() {
			var err error
			if stores[i], err = typesense.NewStore(t.Context(), e.Client, e.Alias, e.Log); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	if err := stores[0].Tell(t.Context(), lamps(3)); err != nil {
		t.Fatal(err)
	}
	for _, s := range stores {
		if found, err := s.Find(t.Context(), search.Request{First: 10, Currency: "USD"}); err != nil || found.Total != 3 {
			t.Errorf("%+v, %v", found, err)
		}
		if s.Place() != stores[0].Place() {
			t.Errorf("places %s and %s", s.Place(), stores[0].Place())
		}
	}
}

// A new version begins with all that the one before was told.
func TestNewVersionIsFilled(t *testing.T) {
	t.Parallel()
	e := typesensetest.New(t)
	before := e.Alias + "_0"
	if _, err := e.Client.Collections().Create(t.Context(), &api.CollectionSchema{Name: before, Fields: []api.Field{{Name: "name", Type: "string"}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Client.Aliases().Upsert(t.Context(), e.Alias, &api.CollectionAliasSchema{CollectionName: before}); err != nil {
		t.Fatal(err)
	}
	var old []any
	for product, told := range lamps(450) {
		old = append(old, map[string]any{"id": product, "name": "as it was called then", "said": told})
	}
	if _, err := e.Client.Collection(before).Documents().Import(t.Context(), old, &api.ImportDocumentsParams{}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing to do
		found, err := e.Store(t).Find(t.Context(), search.Request{Text: "lamp", First: 1, Currency: "USD", MinRating: 400, InStock: new(bool)})
		if err != nil || found.Total != 0 {
			t.Errorf("out of stock: %+v, %v", found, err)
		}
		if found, err = e.Store(t).Find(t.Context(), search.Request{Text: "lamp", First: 1, Currency: "USD", MinRating: 400}); err != nil || found.Total != 450 {
			t.Errorf("%+v, %v", found, err)
		}
	}
	if now, err := e.Client.Alias(e.Alias).Retrieve(t.Context()); err != nil || now.CollectionName != e.Alias+"_1" {
		t.Errorf("%+v, %v", now, err)
	}
}
