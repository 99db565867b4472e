package storetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/search"
)

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
	// A word that a title has twice does not make another title a better match, nor does one that quotes a SKU.
	s.tell(product("Plate Power Plate"), product("Power Plate"), product("Fits SM-G930/F"), product("SM-G930/F"))
	s.want(search.Query{Text: "plate power PLATE", First: ref(1)}, "Plate Power Plate")
	s.want(search.Query{Text: "power plate", First: ref(1)}, "Power Plate")
	if got := s.find(search.Query{Text: " sm-g930/f ", First: ref(2)}); !strings.Contains(strings.Join([]string{got.Nodes()[0].Title, got.Nodes()[1].Title}, "|"), "Samsung Galaxy S7") {
		s.Errorf("a SKU comes after %+v", got.Nodes())
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
	// What bears the name comes before what its attributes and its text mention with it, however exactly and often.
	hub := product("Charging Station", attribute("fits", "Samsung Galaxy"))
	hub.Description = "Samsung Galaxy, all of them."
	s.tell(hub, product("Samsung - Tablet of the Galaxy line"))
	if got := s.titles(search.Query{Text: "samsung galaxy"}); strings.Count(got, "|") != 4 || !strings.HasSuffix(got, "|Charging Station") {
		s.Errorf("found %q", got)
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
