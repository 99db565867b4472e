// Package storetest says what the search needs of a store, whatever keeps it.
package storetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/search"
)

// Run tests stores, each of which must be new and empty.
func Run(t *testing.T, open func(*testing.T) search.Store) {
	for name, test := range map[string]func(*shop){
		"a product is found by all that is said of it": words,
		"signs are taken for nothing but signs":        signs,
		"typos are forgiven":                           typos,
		"filters":                                      filters,
		"hostile values":                               hostile,
		"prices are compared in one currency":          currencies,
		"events in any order":                          anyOrder,
		"many tell at once":                            race,
		"what is not for sale is not found":            status,
		"pages show everything once":                   pages,
		"pages hold while the index changes":           moving,
		"facets":                                       facets,
		"suggestions":                                  suggestions,
		"highlights are safe":                          highlights,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := open(t)
			test(&shop{T: t, store: store, search: search.New(store, func(events.Searched) {}, clock.System)})
		})
	}
}

type shop struct {
	*testing.T
	store  search.Store
	search *search.Search
}

var began = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)

// product returns a phone that others are variations of.
func product(title string, change ...func(*events.ProductSaved)) events.ProductSaved {
	p := events.ProductSaved{
		ProductID: id.New(id.Product), Version: 1, Status: "ACTIVE", SellerID: id.New(id.Seller),
		Slug: strings.ToLower(strings.ReplaceAll(title, " ", "-")), Title: title, CreatedAt: began,
		Variants: []events.Variant{{ID: id.New(id.Variant), SKU: id.New(id.Variant), Price: money.Money{Amount: 10_000, Currency: "USD"}}},
	}
	for _, c := range change {
		c(&p)
	}
	return p
}

func brand(b string) func(*events.ProductSaved) { return func(p *events.ProductSaved) { p.Brand = b } }
func priced(cents int64, currency string) func(*events.ProductSaved) {
	return func(p *events.ProductSaved) { p.Variants[0].Price = money.Money{Amount: cents, Currency: currency} }
}
func attribute(key, value string) func(*events.ProductSaved) {
	return func(p *events.ProductSaved) {
		p.Attributes = append(p.Attributes, events.Attribute{Key: key, Label: strings.ToUpper(key), Value: value})
	}
}
func in(names ...string) func(*events.ProductSaved) {
	return func(p *events.ProductSaved) {
		for _, n := range names {
			p.Categories = append(p.Categories, events.Category{ID: "cat_" + n, Slug: strings.ToLower(n), Name: n})
		}
	}
}

func (s *shop) tell(told ...any) {
	s.Helper()
	news := search.News{}
	for _, e := range told {
		switch e := e.(type) {
		case events.ProductSaved:
			news.Saved(e)
		case events.StockChanged:
			news.Stocked(e)
		case events.RatingChanged:
			news.Rated(e)
		}
	}
	if err := s.search.Learn(s.Context(), news); err != nil {
		s.Fatal(err)
	}
}

func (s *shop) find(q search.Query) search.Results {
	s.Helper()
	found, err := s.search.Find(s.Context(), viewer.Viewer{}, q)
	if err != nil {
		s.Fatalf("%+v: %v", q, err)
	}
	return found
}

// titles lists the finds, in their order.
func (s *shop) titles(q search.Query) string {
	s.Helper()
	var out []string
	for _, c := range s.find(q).Nodes() {
		out = append(out, c.Title)
	}
	return strings.Join(out, "|")
}

func (s *shop) want(q search.Query, titles string) {
	s.Helper()
	if got := s.titles(q); got != titles {
		s.Errorf("%+v: found %q, want %q", q, got, titles)
	}
}

// wantAll is want for finds whose order is nobody's business.
func (s *shop) wantAll(q search.Query, titles ...string) {
	s.Helper()
	got := strings.Split(s.titles(q), "|")
	slices.Sort(got)
	slices.Sort(titles)
	if !slices.Equal(got, titles) {
		s.Errorf("%+v: found %q, want %q", q, got, titles)
	}
}

func stock(p events.ProductSaved, seq int64, available int) events.StockChanged {
	return events.StockChanged{ProductID: p.ProductID, VariantID: p.Variants[0].ID, Seq: seq, Available: available}
}

func rated(p events.ProductSaved, version int64, average float64, count int) events.RatingChanged {
	return events.RatingChanged{ProductID: p.ProductID, Version: version, Average: average, Count: count}
}

func ref[T any](v T) *T { return &v }

func dec(s string) *decimal.Decimal { return ref(decimal.RequireFromString(s)) }
