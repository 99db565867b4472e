package search_test

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/page"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/search"
)

// finds answers everything with the same, and notes what it was asked.
type finds struct {
	search.Store
	found search.Found
	asked []search.Request
}

func (f *finds) Find(_ context.Context, r search.Request) (search.Found, error) {
	f.asked = append(f.asked, r)
	return f.found, nil
}

func ref[T any](v T) *T { return &v }

func dec(s string) *decimal.Decimal { return ref(decimal.RequireFromString(s)) }

var held = clock.Hold(time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC))

func TestRefusals(t *testing.T) {
	many := make([]string, 101)
	for name, c := range map[string]struct {
		q    search.Query
		want string
	}{
		"fine":                  {search.Query{Text: strings.Repeat("ß", 256), First: ref(250)}, ""},
		"no page":               {search.Query{First: ref(0)}, "INVALID_FIRST first"},
		"negative page":         {search.Query{First: ref(-1)}, "INVALID_FIRST first"},
		"page too large":        {search.Query{First: ref(251)}, "INVALID_FIRST first"},
		"long query":            {search.Query{Text: strings.Repeat("ß", 257)}, "INVALID_QUERY query"},
		"not a cursor":          {search.Query{After: ref("nonsense")}, "INVALID_CURSOR after"},
		"an empty cursor":       {search.Query{After: ref("")}, "INVALID_CURSOR after"},
		"a cursor of nothing":   {search.Query{After: ref(page.Encode(map[string]int{}))}, "INVALID_CURSOR after"},
		"unknown order":         {search.Query{Sort: "BEST"}, "INVALID_SORT sort"},
		"not a seller":          {search.Query{Filter: search.Filter{SellerID: ref("sel_1")}}, "INVALID_ID filter.sellerId"},
		"negative price":        {search.Query{Filter: search.Filter{Price: &search.PriceFilter{Min: dec("-1")}}}, "INVALID_PRICE filter.price.min"},
		"negative highest":      {search.Query{Filter: search.Filter{Price: &search.PriceFilter{Max: dec("-0.01")}}}, "INVALID_PRICE filter.price.max"},
		"a tenth of a cent":     {search.Query{Filter: search.Filter{Price: &search.PriceFilter{Max: dec("0.001")}}}, "INVALID_AMOUNT filter.price.max"},
		"all the money":         {search.Query{Filter: search.Filter{Price: &search.PriceFilter{Min: dec("99999999999999999999")}}}, "INVALID_AMOUNT filter.price.min"},
		"prices upside down":    {search.Query{Filter: search.Filter{Price: &search.PriceFilter{Min: dec("2"), Max: dec("1")}}}, "INVALID_PRICE filter.price"},
		"one price":             {search.Query{Filter: search.Filter{Price: &search.PriceFilter{Min: dec("2"), Max: dec("2")}}}, ""},
		"six stars":             {search.Query{Filter: search.Filter{MinRating: ref(5.01)}}, "INVALID_RATING filter.minRating"},
		"minus one star":        {search.Query{Filter: search.Filter{MinRating: ref(-0.1)}}, "INVALID_RATING filter.minRating"},
		"101 brands":            {search.Query{Filter: search.Filter{Brand: many}}, "TOO_MANY_VALUES filter"},
		"100 brands":            {search.Query{Filter: search.Filter{Brand: many[1:]}}, ""},
		"101 values in all":     {search.Query{Filter: search.Filter{Brand: many[:50], Attributes: []search.AttributeFilter{{Key: "a", Values: many[:51]}}}}, "TOO_MANY_VALUES filter"},
		"21 attributes":         {search.Query{Filter: search.Filter{Attributes: make([]search.AttributeFilter, 21)}}, "TOO_MANY_VALUES filter.attributes"},
		"an attribute, no idea": {search.Query{Filter: search.Filter{Attributes: []search.AttributeFilter{{Key: "a"}}}}, ""},
	} {
		_, err := search.New(&finds{}, func(events.Searched) {}, held).Find(t.Context(), viewer.Viewer{}, c.q)
		if got := refusal(err); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	for name, c := range map[string]struct {
		prefix string
		first  *int
		want   string
	}{
		"no suggestions":  {"a", ref(0), "INVALID_FIRST first"},
		"26 suggestions":  {"a", ref(26), "INVALID_FIRST first"},
		"a long prefix":   {strings.Repeat("a", 257), nil, "INVALID_QUERY prefix"},
		"nothing to find": {" -* ", nil, ""},
	} {
		if _, err := search.New(&finds{}, nil, held).Suggest(t.Context(), c.prefix, c.first); refusal(err) != c.want {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// refusal is the code of an error and the field it is at.
func refusal(err error) string {
	var f *fault.Error
	if !errors.As(err, &f) {
		return ""
	}
	return f.Code + " " + strings.Join(f.Field, ".")
}

func TestPricesAreInTheViewersCurrency(t *testing.T) {
	for _, c := range []struct {
		currency, price string
		want            int64
		refused         string
	}{{"", "19.99", 1999, ""}, {"JPY", "1999", 1999, ""}, {"JPY", "19.99", 0, "INVALID_AMOUNT filter.price.min"}, {"KWD", "1.999", 1999, ""}, {"XXX", "1", 0, "INVALID_CURRENCY filter.price.min"}} {
		store := &finds{}
		q := search.Query{Filter: search.Filter{Price: &search.PriceFilter{Min: dec(c.price)}}}
		_, err := search.New(store, func(events.Searched) {}, held).Find(t.Context(), viewer.Viewer{Currency: c.currency}, q)
		if refusal(err) != c.refused || err == nil && store.asked[0].MinPrice != c.want {
			t.Errorf("%+v: %v, asked %+v", c, err, store.asked)
		}
	}
	store := &finds{}
	if _, err := search.New(store, func(events.Searched) {}, held).Find(t.Context(), viewer.Viewer{Currency: "x) || ("}, search.Query{Sort: search.PriceAsc}); err != nil || store.asked[0].Currency != "USD" {
		t.Errorf("%v, asked %+v", err, store.asked)
	}
}

// A cursor continues the question it came from, and no other.
func TestCursors(t *testing.T) {
	hit := search.Hit{Card: search.Card{ID: id.New(id.Product)}, Rank: search.Rank{1, 2}}
	store := &finds{found: search.Found{Hits: []search.Hit{hit, hit}, More: true}}
	s := search.New(store, func(events.Searched) {}, held)
	ask := func(who viewer.Viewer, q search.Query) (search.Results, string) {
		t.Helper()
		found, err := s.Find(t.Context(), who, q)
		return found, refusal(err)
	}
	questions := []search.Query{
		{}, {Text: "lamp"}, {Text: "lamps"}, {Sort: search.PriceAsc}, {Filter: search.Filter{Brand: []string{"A"}}}, {Filter: search.Filter{InStock: ref(true)}},
		{Filter: search.Filter{Price: &search.PriceFilter{Min: dec("1")}}}, {Filter: search.Filter{Attributes: []search.AttributeFilter{{Key: "a", Values: []string{"b"}}}}},
	}
	for i, q := range questions {
		found, refused := ask(viewer.Viewer{}, q)
		if refused != "" {
			t.Fatal(refused)
		}
		for j, other := range questions {
			other.After, other.First = found.Info.EndCursor, ref(7)
			if _, refused := ask(viewer.Viewer{}, other); (refused == "") != (i == j) || refused != "" && refused != "INVALID_CURSOR after" {
				t.Errorf("cursor of %+v behind %+v: %q", q, other, refused)
			}
		}
		q.After = found.Info.EndCursor
		if _, refused := ask(viewer.Viewer{Currency: "EUR"}, q); refused == "" {
			t.Errorf("%+v: a cursor holds in another currency", q)
		}
	}
	found, _ := ask(viewer.Viewer{}, search.Query{Text: "lamp"})
	found, _ = ask(viewer.Viewer{}, search.Query{Text: "lamp", After: found.Info.EndCursor})
	if skipped := store.asked[len(store.asked)-1].Skip(); skipped != 2 || !found.Info.HasPreviousPage {
		t.Errorf("the second page of words begins after %d, %+v", skipped, found.Info)
	}
	var deep map[string]any
	if err := page.Decode(found.Info.EndCursor, &deep); err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int]string{9_976: "", 9_977: "TOO_DEEP after", -1: "INVALID_CURSOR after"} {
		deep["n"] = n
		if _, refused := ask(viewer.Viewer{}, search.Query{Text: "lamp", After: ref(page.Encode(deep))}); refused != want {
			t.Errorf("behind %d: %q, want %q", n, refused, want)
		}
	}
}

func TestEverySearchIsTold(t *testing.T) {
	var told []events.Searched
	s := search.New(&finds{found: search.Found{Total: 3}}, func(e events.Searched) { told = append(told, e) }, held)
	found, err := s.Find(t.Context(), viewer.Viewer{AccountID: "acc"}, search.Query{Text: "Lamp -x"})
	if err != nil {
		t.Fatal(err)
	}
	want := []events.Searched{{At: events.At{At: held.Now()}, QueryID: found.QueryID, AccountID: "acc", Query: "Lamp -x", TotalCount: 3}}
	if diff := cmp.Diff(want, told); diff != "" || !id.Is(id.Query, found.QueryID) {
		t.Error(diff, found.QueryID)
	}
}

// However the pieces come, together they say the same.
func TestToldInAnyOrder(t *testing.T) {
	p := events.ProductSaved{ProductID: "p", Version: 1, Status: "ACTIVE", Title: "Old", Variants: []events.Variant{{ID: "v", Price: money.Money{Amount: 1, Currency: "USD"}}}}
	q := p
	q.Version, q.Title = 12, "New"
	draft := p
	draft.Version, draft.Status = 9, "DRAFT"
	pieces := []func(search.News){
		func(n search.News) { n.Saved(p) }, func(n search.News) { n.Saved(q) }, func(n search.News) { n.Saved(draft) },
		func(n search.News) { n.Rated(events.RatingChanged{ProductID: "p", Version: 2, Average: 4}) },
		func(n search.News) { n.Rated(events.RatingChanged{ProductID: "p", Version: 10, Average: 3}) },
		func(n search.News) {
			n.Stocked(events.StockChanged{ProductID: "p", VariantID: "v", Seq: 11, Available: 1})
		},
		func(n search.News) { n.Stocked(events.StockChanged{ProductID: "p", VariantID: "v", Seq: 9}) },
	}
	random := rand.New(rand.NewPCG(1, 1))
	for range 100 {
		random.Shuffle(len(pieces), func(i, j int) { pieces[i], pieces[j] = pieces[j], pieces[i] })
		n := search.News{}
		for _, piece := range pieces {
			piece(n)
		}
		b, _ := json.Marshal(n["p"])
		var told search.Told
		if err := json.Unmarshal(b, &told); err != nil {
			t.Fatal(err)
		}
		if l, ok := told.Listing(); !ok || l.Title != "New" || l.Rating != 3 || !l.InStock {
			t.Fatalf("%+v, %t", l, ok)
		}
	}
	v := search.Versions[int]{2: 0, 10: 1, 9: 2}
	if diff := cmp.Diff([]int64{2, 9}, v.Outdated()); diff != "" || v.Latest() != 1 {
		t.Error(diff, v.Latest())
	}
}

func TestBands(t *testing.T) {
	for _, c := range []struct {
		amount   int64
		currency string
		want     search.Band
	}{
		{0, "USD", search.Band{From: 0, To: 999}}, {999, "USD", search.Band{From: 0, To: 999}}, {1000, "USD", search.Band{From: 1000, To: 2499}},
		{2500, "USD", search.Band{From: 2500, To: 4999}}, {5000, "USD", search.Band{From: 5000, To: 9999}}, {123_456, "USD", search.Band{From: 100_000, To: 249_999}},
		{24, "JPY", search.Band{From: 10, To: 24}}, {24_999, "KWD", search.Band{From: 10_000, To: 24_999}}, {money.Max, "USD", search.Band{From: 1e15, To: 25e14 - 1}},
	} {
		if got := search.BandOf(money.Money{Amount: c.amount, Currency: c.currency}); got != c.want {
			t.Errorf("%d %s: %v, want %v", c.amount, c.currency, got, c.want)
		}
	}
}

// Nobody can choose from a hundred facets, but what was chosen is always there.
func TestFacetsAreBounded(t *testing.T) {
	var tally search.Tally
	for key := range 30 {
		for value := range 30 {
			a := events.Attribute{Key: "k" + string(rune('A'+key)), Label: "K", Value: string(rune('A' + value))}
			tally.Attributes = append(tally.Attributes, search.Count[events.Attribute]{Of: a, N: 100 - key - value})
		}
	}
	q := search.Query{Facets: true, Filter: search.Filter{Attributes: []search.AttributeFilter{{Key: "k^", Values: []string{"^"}}}}}
	found, err := search.New(&finds{found: search.Found{Tally: tally}}, func(events.Searched) {}, held).Find(t.Context(), viewer.Viewer{}, q)
	if err != nil || len(found.Facets) != 12 {
		t.Fatalf("%d facets, %v", len(found.Facets), err)
	}
	chosen := found.Facets[0]
	if last := chosen.Buckets[len(chosen.Buckets)-1]; chosen.Key != "attributes.k^" || len(chosen.Buckets) != 11 || !last.Selected || last.Value != "^" {
		t.Errorf("%+v", chosen)
	}
}
