package typesense

import (
	"fmt"
	"strings"

	"github.com/souk-shop/souk/subgraphs/search"
)

// A condition is one clause of a filter, and the facet it is a choice of.
type condition struct{ facet, clause string }

// conditions spells a request's filter. There is no customer's text in it, only numbers and hashes.
func conditions(r search.Request) []condition {
	all := []condition{{"", "live:true"}}
	add := func(facet, format string, args ...any) {
		all = append(all, condition{facet, fmt.Sprintf(format, args...)})
	}
	if r.SellerID != "" {
		add("", "facts:%s", fact("seller", r.SellerID))
	}
	if r.Category != "" {
		add("categories", "facts:%s", fact("category", r.Category))
	}
	if len(r.Brands) > 0 {
		add("brand", "facts:[%s]", strings.Join(each(r.Brands, func(b string) string { return fact("brand", b) }), ","))
	}
	if r.Prices {
		add("price_bands", "currency:%s && prices:[%d..%d]", r.Currency, r.MinPrice, r.MaxPrice)
	}
	if r.MinRating > 0 {
		add("stars", "rating:>=%d", r.MinRating)
	}
	if r.InStock != nil {
		add("in_stock", "in_stock:%t", *r.InStock)
	}
	for _, a := range r.Attributes {
		add("attributes\n"+a.Key, "facts:[%s]", strings.Join(each(a.Values, func(v string) string { return fact("attribute", a.Key, v) }), ","))
	}
	return all
}

// filterBy joins conditions, without those that are choices of one facet.
func filterBy(all []condition, without string) string {
	var clauses []string
	for _, c := range all {
		if without == "" || c.facet != without {
			clauses = append(clauses, c.clause)
		}
	}
	return strings.Join(clauses, " && ")
}

// An order is how a sort is spelled, and which places are behind one in it.
type order struct {
	by     string
	rank   func(document) search.Rank
	behind func(search.Rank, int64) string
}

// orderOf spells a sort. Every order ends in ord, so no two products are equal in it.
func orderOf(r search.Request) order {
	switch r.Sort {
	case search.PriceAsc:
		return byPrice(r.Currency, "price_min", "asc", ">")
	case search.PriceDesc:
		return byPrice(r.Currency, "price_max", "desc", "<")
	case search.TopRated:
		return order{
			by:   "rating:desc,rating_count:desc,ord:desc",
			rank: func(d document) search.Rank { return search.Rank{d.number("rating"), d.number("rating_count")} },
			behind: func(r search.Rank, ord int64) string {
				return fmt.Sprintf("(rating:<%d || (rating:=%[1]d && (rating_count:<%d || (rating_count:=%[2]d && ord:<%d))))", r[0], r[1], ord)
			},
		}
	case search.Relevance:
		return order{
			by:   fmt.Sprintf("_eval(facts:[%s,%s]):desc,_text_match:desc,ord:desc", fact("title", r.Typed), fact("sku", r.Typed)),
			rank: func(document) search.Rank { return search.Rank{} },
		}
	}
	return order{
		by:   "created_at:desc,ord:desc",
		rank: func(d document) search.Rank { return search.Rank{d.number("created_at")} },
		behind: func(r search.Rank, ord int64) string {
			return fmt.Sprintf("(created_at:<%d || (created_at:=%[1]d && ord:<%d))", r[0], ord)
		},
	}
}

// byPrice puts prices in the customer's currency first: what others cost compares to nothing.
func byPrice(currency, field, direction, further string) order {
	return order{
		by: fmt.Sprintf("_eval(currency:%s):desc,%s:%s,ord:%[3]s", currency, field, direction),
		rank: func(d document) search.Rank {
			if d.text("currency") == currency {
				return search.Rank{1, d.number(field)}
			}
			return search.Rank{0, d.number(field)}
		},
		behind: func(r search.Rank, ord int64) string {
			dearer := fmt.Sprintf("(%s:%s%d || (%[1]s:=%[3]d && ord:%[2]s%[4]d))", field, further, r[1], ord)
			if r[0] == 1 {
				return fmt.Sprintf("(currency:!=%s || %s)", currency, dearer)
			}
			return fmt.Sprintf("(currency:!=%s && %s)", currency, dearer)
		},
	}
}
