// Package storetest says what the search needs of a store, whatever keeps it.
package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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

func words(s *shop) {
	galaxy := product("Samsung Galaxy S7", brand("Samsung"), in("Electronics", "Phones"), attribute("colour", "anthracite"))
	galaxy.Description = "Waterproof, with a brilliant display."
	galaxy.Variants[0].SKU, galaxy.Variants[0].Title = "SM-G930/F", "64 gigabytes"
	galaxy.Thumbnail = "https://img.test/s7.png"
	s.tell(galaxy, product("Samsung Galaxy S7 Edge", brand("Samsung")), product("Case for the Samsung Galaxy S7", brand("Acme")), product("Kettle"))
	s.want(search.Query{Text: "samsung galaxy s7", First: ref(1)}, "Samsung Galaxy S7")
	for _, text := range []string{"anthracite", "waterproof", "SM-G930/F", "sm-g930/f", "phones", "gigabytes", "brilliant disp", "Samsung waterproof"} {
		s.want(search.Query{Text: text, First: ref(1)}, "Samsung Galaxy S7")
	}
	if got := s.find(search.Query{Text: "galaxy"}).Total; got != 3 {
		s.Errorf("%d of 3 galaxies", got)
	}
	price := money.Money{Amount: 10_000, Currency: "USD"}
	want := search.Card{ID: galaxy.ProductID, Slug: galaxy.Slug, Title: galaxy.Title, Brand: "Samsung", Thumbnail: galaxy.Thumbnail, PriceRange: search.PriceRange{Min: price, Max: price}}
	for _, q := range []search.Query{{Text: "anthracite"}, {Filter: search.Filter{CategorySlug: ref("phones")}}} {
		if diff := cmp.Diff([]search.Card{want}, s.find(q).Nodes()); diff != "" {
			s.Error(diff)
		}
	}
}

func signs(s *shop) {
	s.tell(product("Lamp - White (Large)"), product("Lamp 4.5\" Black"), product("Over-ear Headphones"))
	s.want(search.Query{Text: "Lamp - White (Large)", First: ref(1)}, "Lamp - White (Large)")
	s.want(search.Query{Text: "lamp -black", First: ref(1)}, "Lamp 4.5\" Black")
	s.want(search.Query{Text: `lamp 4.5" black`, First: ref(1)}, "Lamp 4.5\" Black")
	s.want(search.Query{Text: "over ear headphones"}, "Over-ear Headphones")
	s.want(search.Query{Text: "over-ear"}, "Over-ear Headphones")
	for _, text := range []string{"*", "-", `"`, "-*\"`", "???", "🙂"} {
		if got := s.find(search.Query{Text: text, Facets: true}); got.Total != 0 || len(got.Facets) != 0 || got.QueryID == "" {
			s.Errorf("%q: %+v", text, got)
		}
	}
	if got := s.find(search.Query{Text: " \t "}); got.Total != 3 {
		s.Errorf("blanks are no query: %+v", got)
	}
}

func typos(s *shop) {
	s.tell(product("Samsung Galaxy S7"), product("Apple iPhone 7"), product("Kettle"), product("Kindle"))
	s.want(search.Query{Text: "samsng galaxy"}, "Samsung Galaxy S7")
	s.want(search.Query{Text: "smsng glaxy"}, "Samsung Galaxy S7")
	s.want(search.Query{Text: "aple iphnoe"}, "Apple iPhone 7")
	s.want(search.Query{Text: "kettle"}, "Kettle")
	s.want(search.Query{Text: "kett"}, "Kettle")
}

func filters(s *shop) {
	a := product("A", brand("Acme"), in("Clothes", "Shirts"), attribute("size", "M"), attribute("fabric", "Cotton"), priced(1999, "USD"))
	b := product("B", brand("Bell & Co"), in("Clothes", "Shirts"), attribute("size", "L"), attribute("fabric", "cotton"), priced(2500, "USD"))
	c := product("C", brand("acme"), in("Clothes"), attribute("size", "5.5"), priced(100_000, "USD"))
	d := product("D", brand("C++"), in("Shirts and more"), attribute("size", "55"))
	d.Variants = append(d.Variants, events.Variant{ID: id.New(id.Variant), SKU: "d2", Price: money.Money{Amount: 500, Currency: "USD"}})
	e := product("E", brand("C"), priced(1999, "EUR"))
	e.SellerID = a.SellerID
	s.tell(a, b, c, d, e, stock(a, 1, 3), stock(b, 1, 0), rated(a, 1, 4.5, 2), rated(b, 1, 4.35, 1), rated(c, 1, 2, 9))
	filter := func(f search.Filter, titles ...string) {
		s.Helper()
		s.wantAll(search.Query{Filter: f}, titles...)
	}
	filter(search.Filter{CategorySlug: ref("clothes")}, "A", "B", "C")
	filter(search.Filter{CategorySlug: ref("shirts")}, "A", "B")
	filter(search.Filter{CategorySlug: ref("nowhere")}, "")
	filter(search.Filter{SellerID: &a.SellerID}, "A", "E")
	filter(search.Filter{Brand: []string{"ACME"}}, "A", "C")
	filter(search.Filter{Brand: []string{"Bell & Co", "C++"}}, "B", "D")
	filter(search.Filter{Brand: []string{"C"}}, "E")
	filter(search.Filter{Brand: []string{}}, "A", "B", "C", "D", "E")
	filter(search.Filter{Attributes: []search.AttributeFilter{{Key: "size", Values: []string{"5.5"}}}}, "C")
	filter(search.Filter{Attributes: []search.AttributeFilter{{Key: "size", Values: []string{"M", "L"}}, {Key: "fabric", Values: []string{"Cotton"}}}}, "A", "B")
	filter(search.Filter{Attributes: []search.AttributeFilter{{Key: "size", Values: []string{"M"}}, {Key: "size", Values: []string{"L"}}}}, "")
	filter(search.Filter{InStock: ref(true)}, "A")
	filter(search.Filter{InStock: ref(false)}, "B", "C", "D", "E")
	filter(search.Filter{MinRating: ref(4.35)}, "A", "B")
	filter(search.Filter{MinRating: ref(4.36)}, "A")
	filter(search.Filter{MinRating: ref(0.0)}, "A", "B", "C", "D", "E")
	filter(search.Filter{Price: &search.PriceFilter{Min: dec("19.99"), Max: dec("25")}}, "A", "B")
	filter(search.Filter{Price: &search.PriceFilter{Max: dec("5")}}, "D")
	filter(search.Filter{Price: &search.PriceFilter{Min: dec("6"), Max: dec("19.98")}}, "") // between D's variants is none of them
	filter(search.Filter{Price: &search.PriceFilter{Min: dec("100.00")}}, "C", "D")
	s.wantAll(search.Query{Text: "c", Filter: search.Filter{CategorySlug: ref("clothes"), Brand: []string{"Acme"}, MinRating: ref(1.0)}}, "A", "C")
}

// hostile values are values like any others.
func hostile(s *shop) {
	values := []string{
		"`", "``", "` || live:false || x:`", "a]", "[a,b]", "x,y", "*", "a*", ">5", "&& rating:>0", ") || (live:true", "\\", "'; --", "\x00", "a\nb",
		strings.Repeat("x", 5000), "", "   ", "日本語", "attributes.x:=y", "!=a", "..", "\xff",
	}
	var all []any
	all = append(all, product("Bystander", brand("Innocent"), attribute("k", "v")))
	for i, v := range values[:15] {
		all = append(all, product(fmt.Sprint("P", i), brand(v), attribute("k", v)))
	}
	s.tell(all...)
	for i, v := range values {
		for what, f := range map[string]search.Filter{
			"brand":     {Brand: []string{v}},
			"attribute": {Attributes: []search.AttributeFilter{{Key: "k", Values: []string{v}}}},
		} {
			got := s.titles(search.Query{Filter: f, Facets: true})
			if want := fmt.Sprint("P", i); i < 15 && got != want && strings.TrimSpace(v) == v || strings.Contains(got, "Bystander") {
				s.Errorf("%s %q: found %q", what, v, got)
			}
		}
		for _, f := range []search.Filter{{CategorySlug: &v}, {Attributes: []search.AttributeFilter{{Key: v, Values: []string{v}}}}} {
			if got := s.titles(search.Query{Filter: f, Facets: true}); v != "" && got != "" {
				s.Errorf("category or key %q: found %q", v, got)
			}
		}
		if _, err := s.search.Suggest(s.Context(), v[:min(len(v), 256)], nil); err != nil {
			s.Errorf("suggest %q: %v", v, err)
		}
		if _, err := s.search.Find(s.Context(), viewer.Viewer{}, search.Query{Text: v[:min(len(v), 256)]}); err != nil {
			s.Errorf("query %q: %v", v, err)
		}
	}
}

func currencies(s *shop) {
	s.tell(product("dear", priced(5000, "EUR")), product("cheap", priced(1000, "EUR")), product("yen", priced(10, "JPY")))
	euro := viewer.Viewer{Currency: "EUR"}
	for _, c := range []struct {
		sort search.Sort
		want string
	}{{search.PriceAsc, "cheap|dear|yen"}, {search.PriceDesc, "dear|cheap|yen"}} {
		found, err := s.search.Find(s.Context(), euro, search.Query{Sort: c.sort})
		if err != nil {
			s.Fatal(err)
		}
		var got []string
		for _, n := range found.Nodes() {
			got = append(got, n.Title)
		}
		if strings.Join(got, "|") != c.want {
			s.Errorf("%s: %q", c.sort, got)
		}
	}
	found, err := s.search.Find(s.Context(), euro, search.Query{Facets: true, Filter: search.Filter{Price: &search.PriceFilter{Min: dec("10"), Max: dec("24.99")}}})
	if err != nil || len(found.Edges) != 1 || found.Edges[0].Node.Title != "cheap" {
		s.Fatalf("%+v, %v", found, err)
	}
	want := []search.Bucket{
		{Value: "50.00-99.99", Label: "50.00 – 99.99 EUR", Count: 1}, {Value: "10.00-24.99", Label: "10.00 – 24.99 EUR", Count: 1, Selected: true},
	}
	got := facet(found, "price").Buckets
	slices.SortFunc(got, func(a, b search.Bucket) int { return strings.Compare(b.Value, a.Value) })
	if diff := cmp.Diff(want, got); diff != "" {
		s.Error(diff)
	}
}

// story is everything that happens to one product: it ends as an Edge in stock with four stars.
func story() (p events.ProductSaved, told []any) {
	p = product("First name", attribute("old", "gone"))
	first := p
	p.Version, p.Title, p.Attributes = 3, "Last name", nil
	draft := p
	draft.Version, draft.Status = 2, "DRAFT"
	return p, []any{
		first, draft, p, stock(p, 1, 5), stock(p, 2, 0), stock(p, 3, 1), rated(p, 1, 1, 1), rated(p, 2, 2.5, 2), rated(p, 3, 4, 3),
	}
}

// told is how a product stands after its story.
func (s *shop) told(p events.ProductSaved) {
	s.Helper()
	yes, seller := true, p.SellerID
	found := s.find(search.Query{Filter: search.Filter{SellerID: &seller, InStock: &yes, MinRating: ref(4.0)}, Facets: true})
	if len(found.Edges) != 1 || found.Edges[0].Node.Title != "Last name" || facet(found, "attributes.old").Key != "" {
		s.Errorf("%s ends as %+v", p.ProductID, s.find(search.Query{Filter: search.Filter{SellerID: &seller}, Facets: true}))
	}
	if got := s.find(search.Query{Filter: search.Filter{SellerID: &seller, MinRating: ref(4.01)}}).Total; got != 0 {
		s.Errorf("a rating of 4 is above 4.01")
	}
	if got := s.find(search.Query{Text: "gone", Filter: search.Filter{SellerID: &seller}}).Total; got != 0 {
		s.Errorf("an attribute that was taken away is still found")
	}
}

func anyOrder(s *shop) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		p, told := story()
		told = append(told, told...) // everything is told twice
		random.Shuffle(len(told), func(i, j int) { told[i], told[j] = told[j], told[i] })
		for len(told) > 0 {
			n := 1 + random.IntN(len(told))
			s.tell(told[:n]...)
			told = told[n:]
		}
		s.told(p)
	}
}

func race(s *shop) {
	for round := range 15 {
		random := rand.New(rand.NewPCG(3, uint64(round)))
		p, told := story()
		other, more := story()
		told = append(told, more...)
		random.Shuffle(len(told), func(i, j int) { told[i], told[j] = told[j], told[i] })
		var wg sync.WaitGroup
		for batch := range slices.Chunk(told, 3) {
			wg.Go(func() { s.tell(batch...) })
		}
		wg.Wait()
		s.told(p)
		s.told(other)
	}
}

func status(s *shop) {
	p := product("Lamp")
	s.tell(stock(p, 1, 1), rated(p, 1, 5, 1))
	s.want(search.Query{}, "")
	version := func(n int, status string) events.ProductSaved { p.Version, p.Status = n, status; return p }
	for _, c := range []struct {
		e    events.ProductSaved
		want string
	}{
		{version(1, "DRAFT"), ""}, {version(2, "ACTIVE"), "Lamp"}, {version(5, "ARCHIVED"), ""}, {version(4, "ACTIVE"), ""}, {version(2, "ACTIVE"), ""},
		{version(6, "ACTIVE"), "Lamp"},
	} {
		s.tell(c.e)
		s.want(search.Query{Text: "lamp", Filter: search.Filter{InStock: ref(true), MinRating: ref(5.0)}}, c.want)
		s.want(search.Query{}, c.want)
		if all, err := s.search.Suggest(s.Context(), "lamp", nil); err != nil || (len(all) == 1) != (c.want != "") {
			s.Errorf("suggested %v, %v", all, err)
		}
	}
	none := product("Nothing to buy")
	none.Variants = nil
	s.tell(none)
	s.want(search.Query{Text: "nothing"}, "")
}

// through pages through all finds and returns their titles.
func (s *shop) through(q search.Query, between func(page int)) []string {
	s.Helper()
	var seen []string
	for page := 0; ; page++ {
		found := s.find(q)
		for _, n := range found.Nodes() {
			seen = append(seen, n.Title)
		}
		if found.Info.HasPreviousPage != (q.After != nil) {
			s.Errorf("page %d: %+v", page, found.Info)
		}
		if !found.Info.HasNextPage {
			return seen
		}
		if page > 200 {
			s.Fatal("no end")
		}
		q.After = found.Info.EndCursor
		if between != nil {
			between(page)
		}
	}
}

func pages(s *shop) {
	const n = 600
	var all []any
	for i := range n {
		p := product(fmt.Sprint("Lamp number ", i), priced(int64(100+i%3), []string{"USD", "EUR"}[i%7/6]))
		p.CreatedAt = began.Add(time.Duration(i%5) * time.Second)
		all = append(all, p, rated(p, 1, float64(i%4), i%2))
	}
	for lot := range slices.Chunk(all, 200) {
		s.tell(lot...)
	}
	for _, text := range []string{"", "lamp"} {
		for _, sort := range []search.Sort{search.Relevance, search.Newest, search.PriceAsc, search.PriceDesc, search.TopRated} {
			for _, first := range []int{250, 70} {
				seen := s.through(search.Query{Text: text, Sort: sort, First: &first}, nil)
				slices.Sort(seen)
				if len(seen) != n || len(slices.Compact(seen)) != n {
					s.Errorf("%q by %s, %d a page: saw %d, %d of them different", text, sort, first, len(seen), len(slices.Compact(seen)))
				}
			}
		}
	}
	if got := s.find(search.Query{First: ref(1)}).Total; got != n {
		s.Errorf("%d in all", got)
	}
}

// Where places are ranks, what comes and goes moves no other product off its page.
func moving(s *shop) {
	var all []any
	var products []events.ProductSaved
	for i := range 30 {
		p := product(fmt.Sprint("Lamp ", i), priced(int64(100+i/4), "USD"))
		products, all = append(products, p), append(all, p)
	}
	s.tell(all...)
	gone := 0
	seen := s.through(search.Query{Sort: search.PriceAsc, First: ref(5)}, func(page int) {
		archived := products[page] // on an earlier page
		archived.Version, archived.Status = 2, "ARCHIVED"
		s.tell(product(fmt.Sprint("New ", page), priced(1, "USD")), archived)
		gone++
	})
	slices.Sort(seen)
	if len(seen) != 30 || len(slices.Compact(seen)) != 30 {
		s.Errorf("saw %d of 30 while %d went: %q", len(seen), gone, seen)
	}
}

func facet(r search.Results, key string) search.Facet {
	for _, f := range r.Facets {
		if f.Key == key {
			return f
		}
	}
	return search.Facet{}
}

// show writes a facet as "value*count", with a star before those that are selected.
func show(f search.Facet) string {
	var out []string
	for _, b := range f.Buckets {
		one := fmt.Sprintf("%s×%d", b.Value, b.Count)
		if b.Selected {
			one = "*" + one
		}
		out = append(out, one)
	}
	return strings.Join(out, " ")
}

func facets(s *shop) {
	tv := func(title, size string, more ...func(*events.ProductSaved)) events.ProductSaved {
		return product(title, append(more, in("Electronics", "Televisions"), attribute("screen_size", size))...)
	}
	a, b, c := tv("A tv", "55", brand("Sony"), priced(50_000, "USD")), tv("B tv", "65", brand("Sony"), priced(60_000, "USD")), tv("C tv", "55", brand("LG"), priced(1999, "USD"))
	shirt := product("D shirt", in("Clothes"), brand("Acme"), attribute("size", "M"), attribute("fabric", "Cotton"))
	s.tell(a, b, c, shirt, stock(a, 1, 1), rated(a, 1, 4.6, 1), rated(b, 1, 2, 1))
	check := func(q search.Query, key, want string) {
		s.Helper()
		q.Facets = true
		if got := show(facet(s.find(q), key)); got != want {
			s.Errorf("%+v %s: %q, want %q", q, key, got, want)
		}
	}
	check(search.Query{Text: "tv"}, "attributes.screen_size", "55×2 65×1")
	check(search.Query{Text: "tv"}, "attributes.fabric", "")
	check(search.Query{}, "attributes.fabric", "Cotton×1")
	check(search.Query{Text: "tv"}, "brand", "Sony×2 LG×1")
	check(search.Query{Text: "tv"}, "price", "500.00-999.99×2 10.00-24.99×1")
	check(search.Query{Text: "tv"}, "rating", "1×2 2×2 3×1 4×1")
	check(search.Query{Text: "tv"}, "inStock", "false×2 true×1")
	if got := facet(s.find(search.Query{Text: "tv", Facets: true}), "category"); len(got.Buckets) != 2 || got.Buckets[0].Count != 3 || got.Label != "Category" {
		s.Errorf("%+v", got)
	}
	// What is chosen is marked, and what else could be chosen is counted beside it.
	sony := search.Query{Filter: search.Filter{Brand: []string{"sony"}, CategorySlug: ref("televisions")}}
	check(sony, "brand", "*Sony×2 LG×1")
	check(sony, "attributes.screen_size", "65×1 55×1")
	check(search.Query{Filter: search.Filter{Attributes: []search.AttributeFilter{{Key: "screen_size", Values: []string{"65"}}}}}, "attributes.screen_size", "55×2 *65×1")
	check(search.Query{Filter: search.Filter{Attributes: []search.AttributeFilter{{Key: "screen_size", Values: []string{"65"}}}}}, "brand", "Sony×1")
	check(search.Query{Text: "tv", Filter: search.Filter{InStock: ref(true)}}, "inStock", "false×2 *true×1")
	check(search.Query{Text: "tv", Filter: search.Filter{MinRating: ref(4.0)}}, "rating", "1×2 2×2 3×1 *4×1")
	check(search.Query{Text: "tv", Filter: search.Filter{Price: &search.PriceFilter{Min: dec("500"), Max: dec("999.99")}}}, "price", "*500.00-999.99×2 10.00-24.99×1")
	// Every page has the facets of all.
	first := s.find(search.Query{First: ref(1)})
	check(search.Query{First: ref(1), After: first.Info.EndCursor}, "brand", show(facet(s.find(search.Query{Facets: true}), "brand")))
}

func suggestions(s *shop) {
	s.tell(
		product("Kettle", in("Kitchen", "Kettles")), product("KETTLE", in("Kitchen", "Kettles")), product("Kettle bell", in("Sports")),
		product("Samsung Galaxy S7", brand("Samsung"), in("Phones")),
	)
	suggest := func(prefix string, first int) string {
		s.Helper()
		all, err := s.search.Suggest(s.Context(), prefix, &first)
		if err != nil {
			s.Fatal(err)
		}
		var out []string
		for _, one := range all {
			if (one.Product == nil) == (one.Category == nil) {
				s.Errorf("%+v", one)
			}
			out = append(out, strings.ToLower(one.Text))
		}
		slices.Sort(out)
		return strings.Join(out, "|")
	}
	for prefix, want := range map[string]string{
		"ket": "kettle|kettle bell|kettles", "ketle": "kettle|kettle bell|kettles", "phon": "phones", "samsng": "samsung galaxy s7", "": "", "*": "", "cat": "",
	} {
		if got := suggest(prefix, 25); got != want {
			s.Errorf("%q: %q, want %q", prefix, got, want)
		}
	}
	if got := suggest("ket", 1); got != "kettle" && got != "kettle bell" {
		s.Errorf("the first suggestion is a product: %q", got)
	}
	all, err := s.search.Suggest(s.Context(), "phones", nil)
	if err != nil || len(all) != 1 || *all[0].Category != (search.Category{ID: "cat_Phones", Slug: "phones", Name: "Phones"}) {
		s.Errorf("%+v, %v", all, err)
	}
}

func highlights(s *shop) {
	bad := product(`Lamp <script>alert(1)</script> & <mark>`)
	s.tell(bad, product("Kettle", attribute("colour", "deep blue")))
	for text, want := range map[string]string{
		"lamp": `<mark>Lamp</mark> &lt;script&gt;alert(1)&lt;/script&gt; &amp; &lt;mark&gt;`,
		"deep": `<mark>deep</mark> blue`,
	} {
		if got := s.find(search.Query{Text: text}).Edges[0].Highlight; got == nil || *got != want {
			s.Errorf("%s: %v", text, *got)
		}
	}
	if got := s.find(search.Query{Text: bad.Variants[0].SKU}).Edges[0].Highlight; got == nil || strings.Contains(*got, "<") {
		s.Errorf("by SKU: %v", got)
	}
	if got := s.find(search.Query{}).Edges[0].Highlight; got != nil {
		s.Errorf("without a query: %v", *got)
	}
}

func ref[T any](v T) *T { return &v }

func dec(s string) *decimal.Decimal { return ref(decimal.RequireFromString(s)) }
