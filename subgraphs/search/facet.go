package search

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/money"
)

// A Facet is something that finds can be narrowed by.
type Facet struct {
	Key     string
	Label   string
	Buckets []Bucket
}

// A Bucket is one value of a facet.
type Bucket struct {
	Value    string
	Label    string
	Count    int
	Selected bool
}

const (
	mostFacets  = 12
	mostBuckets = 10
)

// A Band is a range of prices in minor units, both ends included.
type Band struct{ From, To int64 }

// BandOf returns the band that a price is in: they end at 10, 25, 50, 100, 250, 500, 1000 … of the major unit.
func BandOf(m money.Money) Band {
	one, err := money.FromDecimal(decimal.NewFromInt(1), m.Currency)
	if err != nil {
		one.Amount = 1
	}
	var b Band
	for decade := 10 * one.Amount; ; decade *= 10 {
		for _, end := range []int64{decade, decade * 5 / 2, decade * 5} {
			if m.Amount < end {
				b.To = end - 1
				return b
			}
			b.From = end
		}
	}
}

// facets names what a tally counts, for programs and for people.
func (r Request) facets(t Tally) []Facet {
	all := []Facet{
		{"category", "Category", buckets(t.Categories, r.categoryBucket)},
		{"brand", "Brand", buckets(t.Brands, r.brandBucket)},
		{"price", "Price", buckets(t.Bands, r.priceBucket)},
		{"rating", "Rating", r.ratingBuckets(t.Stars)},
		{"inStock", "Availability", buckets(t.InStock, r.stockBucket)},
	}
	all = slices.DeleteFunc(all, func(f Facet) bool { return len(f.Buckets) == 0 })
	return append(all, r.attributeFacets(t.Attributes, mostFacets-len(all))...)
}

// buckets shows the most frequent counts, and those that the filter asks for however rare.
func buckets[T any](counts []Count[T], show func(T) Bucket) []Bucket {
	var out []Bucket
	for _, c := range counts {
		b := show(c.Of)
		b.Count = c.N
		if len(out) < mostBuckets || b.Selected {
			out = append(out, b)
		}
	}
	return out
}

func (r Request) categoryBucket(c Category) Bucket {
	return Bucket{Value: c.Slug, Label: c.Name, Selected: c.Slug == r.Category}
}

func (r Request) brandBucket(brand string) Bucket {
	return Bucket{Value: brand, Label: brand, Selected: slices.ContainsFunc(r.Brands, func(b string) bool { return Same(b, brand) })}
}

func (r Request) priceBucket(b Band) Bucket {
	from, to := money.Money{Amount: b.From, Currency: r.Currency}, money.Money{Amount: b.To, Currency: r.Currency}
	return Bucket{
		Value: from.Major() + "-" + to.Major(), Label: from.Major() + " – " + to.String(),
		Selected: r.Prices && r.MinPrice == b.From && r.MaxPrice == b.To,
	}
}

func (r Request) stockBucket(in bool) Bucket {
	b := Bucket{Value: strconv.FormatBool(in), Label: "Out of stock", Selected: r.InStock != nil && *r.InStock == in}
	if in {
		b.Label = "In stock"
	}
	return b
}

// ratingBuckets counts as the filter does: everything rated so well or better.
func (r Request) ratingBuckets(stars []Count[int]) []Bucket {
	var out []Bucket
	for least := 1; least <= 4; least++ { // so the most frequent come first
		n := 0
		for _, s := range stars {
			if s.Of >= least {
				n += s.N
			}
		}
		if n > 0 {
			out = append(out, Bucket{Value: strconv.Itoa(least), Label: strconv.Itoa(least) + " and up", Count: n, Selected: r.MinRating == least*100})
		}
	}
	return out
}

// attributeFacets shows the attributes that the filter names, and those that most finds have.
func (r Request) attributeFacets(counts []Count[events.Attribute], most int) []Facet {
	byKey, finds := map[string][]Count[events.Attribute]{}, map[string]int{}
	for _, c := range counts {
		byKey[c.Of.Key] = append(byKey[c.Of.Key], c)
		finds[c.Of.Key] += c.N
	}
	asked := map[string]bool{}
	for _, a := range r.Attributes {
		asked[a.Key] = true
	}
	keys := slices.SortedFunc(maps.Keys(byKey), func(a, b string) int {
		if asked[a] != asked[b] {
			if asked[a] {
				return -1
			}
			return 1
		}
		return cmp.Or(finds[b]-finds[a], strings.Compare(a, b))
	})
	var out []Facet
	for _, key := range keys {
		if len(out) >= most && !asked[key] {
			break
		}
		out = append(out, Facet{"attributes." + key, byKey[key][0].Of.Label, buckets(joined(byKey[key]), r.attributeBucket)})
	}
	return out
}

// joined adds up the counts of one value that products write differently; the most frequent way is shown.
func joined(counts []Count[events.Attribute]) []Count[events.Attribute] {
	at := map[string]int{}
	var out []Count[events.Attribute]
	for _, c := range counts {
		if i, known := at[fold(c.Of.Value)]; known {
			out[i].N += c.N
			continue
		}
		at[fold(c.Of.Value)] = len(out)
		out = append(out, c)
	}
	slices.SortStableFunc(out, func(a, b Count[events.Attribute]) int { return b.N - a.N })
	return out
}

func (r Request) attributeBucket(a events.Attribute) Bucket {
	b := Bucket{Value: a.Value, Label: a.Value}
	if a.Unit != "" {
		b.Label += " " + a.Unit
	}
	for _, f := range r.Attributes {
		b.Selected = b.Selected || f.Key == a.Key && slices.ContainsFunc(f.Values, func(v string) bool { return Same(v, a.Value) })
	}
	return b
}

// Same tells whether two values are one to a filter: letters may be large or small.
func Same(a, b string) bool { return fold(a) == fold(b) }

func fold(s string) string { return strings.ToLower(strings.TrimSpace(s)) }
