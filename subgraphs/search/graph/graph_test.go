package graph_test

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/search"
	"github.com/souk-shop/souk/subgraphs/search/graph"
	"github.com/souk-shop/souk/subgraphs/search/typesense/typesensetest"
)

type shop struct {
	*testing.T
	engine *typesensetest.Engine
	search *search.Search
	told   []events.Searched
}

func setup(t *testing.T) *shop {
	t.Parallel()
	s := &shop{T: t, engine: typesensetest.New(t)}
	s.search = search.New(s.engine.Store(t), func(e events.Searched) { s.told = append(s.told, e) }, clock.System)
	return s
}

// ask answers a query the way the gateway would see it.
func (s *shop) ask(query string, vars map[string]any) string {
	s.Helper()
	body, _ := json.Marshal(map[string]any{"query": query, "variables": vars})
	req := httptest.NewRequestWithContext(viewer.With(s.Context(), viewer.Viewer{}), "POST", "/graphql", strings.NewReader(string(body)))
	req.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	graph.Handler(s.search, s.engine.Log).ServeHTTP(rec, req)
	return rec.Body.String()
}

func (s *shop) want(query string, vars map[string]any, want string) {
	s.Helper()
	if got := s.ask(query, vars); got != strings.ReplaceAll(want, "\n", "") {
		s.Errorf("%s\n got %s\nwant %s", query, got, want)
	}
}

func (s *shop) save(products ...events.ProductSaved) {
	s.Helper()
	news := search.News{}
	for _, p := range products {
		news.Saved(p)
	}
	if err := s.search.Learn(s.Context(), news); err != nil {
		s.Fatal(err)
	}
}

func product(title string, cents ...int64) events.ProductSaved {
	p := events.ProductSaved{
		ProductID: id.New(id.Product), Version: 1, Status: "ACTIVE", SellerID: id.New(id.Seller), Slug: strings.ToLower(title), Title: title, CreatedAt: time.Unix(1, 0),
		Categories: []events.Category{{ID: id.New(id.Category), Slug: "lighting", Name: "Lighting"}},
	}
	for _, c := range cents {
		p.Variants = append(p.Variants, events.Variant{ID: id.New(id.Variant), SKU: id.New(id.Variant), Price: money.Money{Amount: c, Currency: "USD"}})
	}
	return p
}

const card = `{ id slug title brand thumbnail priceRange { min { amount currencyCode } max { amount } } }`

func TestAPageOfCardsIsOneCall(t *testing.T) {
	s := setup(t)
	lamp := product("Lamp", 1990, 2500)
	lamp.Brand, lamp.Thumbnail = "Acme", "https://img.test/lamp.png"
	bulb := product("Bulb", 100)
	bulb.CreatedAt = time.Unix(0, 0)
	s.save(lamp, bulb)
	first := `{"id":"` + lamp.ProductID + `","slug":"lamp","title":"Lamp","brand":"Acme","thumbnail":"https://img.test/lamp.png",
"priceRange":{"min":{"amount":"19.90","currencyCode":"USD"},"max":{"amount":"25.00"}}}`
	second := `{"id":"` + bulb.ProductID + `","slug":"bulb","title":"Bulb","brand":null,"thumbnail":null,"priceRange":{"min":{"amount":"1.00","currencyCode":"USD"},"max":{"amount":"1.00"}}}`
	calls := s.engine.During(func() {
		s.want(`{ products { totalCount nodes `+card+` edges { node `+card+` highlight } pageInfo { hasNextPage hasPreviousPage } facets { key } } }`, nil,
			`{"data":{"products":{"totalCount":2,"nodes":[`+first+`,`+second+`],"edges":[{"node":`+first+`,"highlight":null},{"node":`+second+`,"highlight":null}],
"pageInfo":{"hasNextPage":false,"hasPreviousPage":false},"facets":[{"key":"category"},{"key":"brand"},{"key":"price"},{"key":"inStock"}]}}}`)
	})
	if len(calls) != 1 {
		t.Errorf("%d calls", len(calls))
	}
	s.want(`query ($f: ProductFilter) { products(query: "lmp", filter: $f, sort: PRICE_DESC, first: 1) { edges { highlight } facets { key label buckets { value label count selected } } } }`,
		map[string]any{"f": map[string]any{"price": map[string]any{"min": "19.90"}, "brand": []string{"acme"}, "categorySlug": "lighting"}},
		`{"data":{"products":{"edges":[],"facets":[]}}}`)
	s.want(`query ($f: ProductFilter) { products(query: "lamp", filter: $f, sort: PRICE_DESC, first: 1) { edges { highlight } facets { key label buckets { value label count selected } } } }`,
		map[string]any{"f": map[string]any{"price": map[string]any{"min": "19.90"}, "brand": []string{"acme"}, "categorySlug": "lighting"}},
		`{"data":{"products":{"edges":[{"highlight":"\u003cmark\u003eLamp\u003c/mark\u003e"}],"facets":[
{"key":"category","label":"Category","buckets":[{"value":"lighting","label":"Lighting","count":1,"selected":true}]},
{"key":"brand","label":"Brand","buckets":[{"value":"Acme","label":"Acme","count":1,"selected":true}]},
{"key":"price","label":"Price","buckets":[{"value":"25.00-49.99","label":"25.00 – 49.99 USD","count":1,"selected":false},{"value":"10.00-24.99","label":"10.00 – 24.99 USD","count":1,"selected":false}]},
{"key":"inStock","label":"Availability","buckets":[{"value":"false","label":"Out of stock","count":1,"selected":false}]}]}}}`)
}

func TestPagesAndTheirSearches(t *testing.T) {
	s := setup(t)
	s.save(product("Lamp one", 1), product("Lamp two", 1), product("Lamp three", 1))
	seen, after := map[string]bool{}, any(nil)
	for range 3 {
		var page struct {
			Data struct {
				Products struct {
					QueryID  string
					Nodes    []struct{ Title string }
					PageInfo struct {
						HasNextPage, HasPreviousPage bool
						EndCursor                    string
					}
				}
			}
		}
		if err := json.Unmarshal([]byte(s.ask(`query ($a: String) { products(query: "lamp", first: 1, after: $a) { queryId nodes { title } pageInfo { hasNextPage hasPreviousPage endCursor } } }`, map[string]any{"a": after})), &page); err != nil {
			t.Fatal(err)
		}
		p := page.Data.Products
		if len(p.Nodes) != 1 || p.PageInfo.HasNextPage != (len(seen) < 2) || p.PageInfo.HasPreviousPage != (len(seen) > 0) {
			t.Fatalf("%+v", p)
		}
		if last := s.told[len(s.told)-1]; last.QueryID != p.QueryID || last.Query != "lamp" || last.TotalCount != 3 {
			t.Errorf("told %+v of %s", last, p.QueryID)
		}
		seen[p.Nodes[0].Title], after = true, p.PageInfo.EndCursor
	}
	if len(seen) != 3 {
		t.Errorf("saw %v", seen)
	}
}

func TestSuggestions(t *testing.T) {
	s := setup(t)
	lamp := product("Light chain", 1990)
	s.save(lamp)
	s.want(`{ searchSuggest(prefix: "ligh") { text product { id slug } category { id } } }`, nil,
		`{"data":{"searchSuggest":[{"text":"Lighting","product":null,"category":{"id":"`+lamp.Categories[0].ID+`"}},
{"text":"Light chain","product":{"id":"`+lamp.ProductID+`","slug":"light chain"},"category":null}]}}`)
}

func TestErrorsSayWhatToDo(t *testing.T) {
	s := setup(t)
	for query, want := range map[string]string{
		`{ products(first: 0) { totalCount } }`:                                 `"extensions":{"code":"INVALID_FIRST","field":["first"]}`,
		`{ products(after: "x") { totalCount } }`:                               `"extensions":{"code":"INVALID_CURSOR","field":["after"]}`,
		`{ products(filter: {minRating: 6}) { totalCount } }`:                   `"extensions":{"code":"INVALID_RATING","field":["filter","minRating"]}`,
		`{ products(filter: {price: {min: "-1"}}) { totalCount } }`:             `"extensions":{"code":"INVALID_PRICE","field":["filter","price","min"]}`,
		`{ products(filter: {price: {min: "2", max: "1"}}) { totalCount } }`:    `"extensions":{"code":"INVALID_PRICE","field":["filter","price"]}`,
		`{ products(filter: {price: {min: "many"}}) { totalCount } }`:           `"BAD_USER_INPUT"`,
		`{ products(filter: {sellerId: "me"}) { totalCount } }`:                 `"extensions":{"code":"INVALID_ID","field":["filter","sellerId"]}`,
		`{ products(query: "` + strings.Repeat("x", 257) + `") { totalCount }}`: `"extensions":{"code":"INVALID_QUERY","field":["query"]}`,
		`{ searchSuggest(prefix: "x", first: 26) { text } }`:                    `"extensions":{"code":"INVALID_FIRST","field":["first"]}`,
	} {
		if got := s.ask(query, nil); !strings.Contains(got, want) || strings.Contains(got, `"totalCount"`) {
			t.Errorf("%s: %s", query, got)
		}
	}
	s.engine.Cut(true)
	down := `{"errors":[{"message":"search is not available right now; try again in a moment","path":["products"],"extensions":{"code":"SEARCH_UNAVAILABLE"}}],`
	if got := s.ask(`{ products { totalCount } }`, nil); !strings.HasPrefix(got, down) {
		t.Error(got)
	}
}

func TestProductsAreReferred(t *testing.T) {
	s := setup(t)
	var reps []any
	for range 24 {
		reps = append(reps, map[string]any{"__typename": "Product", "id": id.New(id.Product)})
	}
	calls := s.engine.During(func() {
		got := s.ask(`query ($r: [_Any!]!) { _entities(representations: $r) { ... on Product { id } } }`, map[string]any{"r": reps})
		if strings.Count(got, `"id":"prod_`) != 24 {
			t.Error(got)
		}
	})
	if len(calls) != 0 {
		t.Errorf("%d calls for what is known", len(calls))
	}
}
