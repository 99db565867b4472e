package typesense

import (
	"slices"
	"strconv"
	"strings"

	"github.com/typesense/typesense-go/v4/typesense"
	"github.com/typesense/typesense-go/v4/typesense/api"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/subgraphs/search"
)

// A value is how often the engine counted something.
type value struct {
	text string
	n    int
}

// counted returns the values of a facet field.
func (a answer) counted(field string) []value {
	var out []value
	if a.FacetCounts == nil {
		return nil
	}
	for _, f := range *a.FacetCounts {
		if f.FieldName == nil || *f.FieldName != field || f.Counts == nil {
			continue
		}
		for _, c := range *f.Counts {
			if c.Value != nil && c.Count != nil {
				out = append(out, value{*c.Value, *c.Count})
			}
		}
	}
	return out
}

// tally reads the counts: those of a facet that the filter chooses of out of the answer to the query without that choice.
func tally(r search.Request, all answer, chosen []string, others []answer) search.Tally {
	field := func(name string) []value {
		if i := slices.Index(chosen, name); i >= 0 {
			return others[i].counted(name)
		}
		return all.counted(name)
	}
	t := search.Tally{
		Categories: counts(field("categories"), func(s string) (search.Category, bool) { return category(s), true }),
		Brands:     counts(field("brand"), func(s string) (string, bool) { return s, true }),
		Bands:      counts(field("price_bands"), func(s string) (search.Band, bool) { return band(s, r.Currency) }),
		Stars:      counts(field("stars"), func(s string) (int, bool) { n, err := strconv.Atoi(s); return n, err == nil }),
		InStock:    counts(field("in_stock"), func(s string) (bool, bool) { return s == "true", true }),
	}
	asked := func(key string) bool { return slices.Contains(chosen, "attributes\n"+key) }
	t.Attributes = counts(all.counted("attributes"), func(s string) (events.Attribute, bool) {
		a := attribute(s)
		return a, !asked(a.Key)
	})
	for i, facet := range chosen {
		key, ok := strings.CutPrefix(facet, "attributes\n")
		if !ok || slices.Index(chosen, facet) < i { // named twice
			continue
		}
		t.Attributes = append(t.Attributes, counts(others[i].counted("attributes"), func(s string) (events.Attribute, bool) {
			a := attribute(s)
			return a, a.Key == key
		})...)
	}
	return t
}

func counts[T any](values []value, read func(string) (T, bool)) []search.Count[T] {
	var out []search.Count[T]
	for _, v := range values {
		if of, ok := read(v.text); ok {
			out = append(out, search.Count[T]{Of: of, N: v.n})
		}
	}
	return out
}

func band(value, currency string) (b search.Band, ok bool) {
	p := parts(value, 3)
	var err1, err2 error
	b.From, err1 = strconv.ParseInt(p[1], 10, 64)
	b.To, err2 = strconv.ParseInt(p[2], 10, 64)
	return b, p[0] == currency && err1 == nil && err2 == nil
}

// refusal is the error of one query among several.
func refusal(one api.MultiSearchResultItem) error {
	code := 0
	if one.Code != nil {
		code = int(*one.Code)
	}
	return &typesense.HTTPError{Status: code, Body: []byte(*one.Error)}
}
