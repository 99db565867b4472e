package storetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/subgraphs/search"
)

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
