package typesense

import (
	"context"
	"strings"

	"github.com/souk-shop/souk/subgraphs/search"
)

// Suggest asks the engine once, for products by title and brand and for categories among the values that are counted.
func (s *Store) Suggest(ctx context.Context, words string, most int) ([]search.Card, []search.Category, error) {
	products := s.query(words, "live:true")
	products.QueryBy, products.QueryByWeights, products.NumTypos = ref("title,brand"), ref("15,1"), ref("2")
	products.SortBy, products.Limit, products.HighlightFields = ref("_text_match:desc,in_stock:desc,ord:desc"), ref(2*most), ref("none")
	products.IncludeFields = ref(shownFields)

	categories := s.count("", "live:true")
	categories.FacetBy, categories.FacetQuery, categories.MaxFacetValues = ref("categories"), ref("categories:"+words), ref(2*most)
	categories.HighlightStartTag, categories.HighlightEndTag = &s.mark.open, &s.mark.shut

	answers, err := s.ask(ctx, []query{products, categories})
	if err != nil {
		return nil, nil, err
	}
	var cards []search.Card
	for _, h := range s.hits(search.Request{}, orderOf(search.Request{}), answers[0]) {
		cards = append(cards, h.Card)
	}
	return cards, s.categories(answers[1], most), nil
}

// categories returns those whose name matched, rather than what else the counted value says.
func (s *Store) categories(a answer, most int) []search.Category {
	var out []search.Category
	if a.FacetCounts == nil {
		return nil
	}
	for _, f := range *a.FacetCounts {
		if f.Counts == nil {
			continue
		}
		for _, c := range *f.Counts {
			if c.Value == nil || c.Highlighted == nil || len(out) == most {
				continue
			}
			if name, _, _ := strings.Cut(*c.Highlighted, "\n"); strings.Contains(name, s.mark.open) {
				out = append(out, category(*c.Value))
			}
		}
	}
	return out
}
