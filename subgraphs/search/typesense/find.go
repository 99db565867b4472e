package typesense

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/typesense/typesense-go/v4/typesense/api"

	"github.com/souk-shop/souk/subgraphs/search"
)

// queried is what words are looked for in, the weightiest first; a number's or a code's neighbour is not meant, so a SKU has
// to be right.
var queried = []struct {
	field         string
	weight, typos int
}{
	{"title", 15, 2}, {"skus", 14, 0}, {"brand", 10, 2}, {"category_names", 8, 2}, {"attribute_texts", 6, 2}, {"variants", 4, 1}, {"description", 2, 1},
}

const (
	shownFields  = "id,slug,title,brand,thumbnail,currency,price_min,price_max,created_at,rating,rating_count"
	hiddenFields = "said,facts,ord,live,skus,prices,price_bands,categories,attributes,stars,in_stock"
	facetFields  = "categories,brand,price_bands,stars,in_stock,attributes"
	mostCounted  = 250 // values of a facet; the attributes of all families share one
)

type query = api.MultiSearchCollectionParameters

// Find asks the engine once: for the page, for the facets, and for each facet that the filter chooses of once more without
// that choice.
func (s *Store) Find(ctx context.Context, r search.Request) (search.Found, error) {
	filter, order := conditions(r), orderOf(r)
	page := s.query(r.Text, filterBy(filter, ""))
	page.SortBy, page.Limit = &order.by, &r.First
	if r.Counted() {
		page.Offset, page.ExcludeFields = ref(r.Skip()), ref(hiddenFields)
	} else {
		page.IncludeFields = ref(shownFields)
	}
	ranked := r.Behind != nil && !r.Counted()
	if ranked {
		page.FilterBy = ref(*page.FilterBy + " && " + order.behind(r.Behind.Rank, ord(r.Behind.ID)))
	}
	asked := []query{page}
	if ranked { // what is behind a place is not all there is
		asked = append(asked, s.count(r.Text, filterBy(filter, "")))
	}
	all := len(asked) - 1
	var chosen []string
	if r.Facets {
		asked[all].FacetBy, asked[all].MaxFacetValues = ref(facetFields), ref(mostCounted)
		for _, c := range filter {
			if c.facet == "" {
				continue
			}
			field, _, _ := strings.Cut(c.facet, "\n")
			other := s.count(r.Text, filterBy(filter, c.facet))
			other.FacetBy, other.MaxFacetValues = &field, ref(mostCounted)
			asked, chosen = append(asked, other), append(chosen, c.facet)
		}
	}
	answers, err := s.ask(ctx, asked)
	if err != nil {
		return search.Found{}, err
	}
	found := search.Found{Hits: s.hits(r, order, answers[0]), Total: answers[all].found()}
	seen := len(found.Hits)
	if r.Counted() {
		seen += r.Skip()
	}
	found.More = answers[0].found() > seen
	if r.Facets {
		found.Tally = tally(r, answers[all], chosen, answers[all+1:])
	}
	return found, nil
}

// query asks for products: what has the words in a weightier field is before what has them in a lighter one, however often.
// Typos are forgiven in words of four letters, two in words of five; of a whole word with two letters missing not more is left.
func (s *Store) query(text, filter string) query {
	q := query{Collection: &s.collection, Q: ref("*"), FilterBy: &filter}
	if text == "" {
		return q
	}
	var fields, weights, typos []string
	for _, f := range queried {
		fields, weights, typos = append(fields, f.field), append(weights, strconv.Itoa(f.weight)), append(typos, strconv.Itoa(f.typos))
	}
	q.Q, q.QueryBy, q.QueryByWeights, q.NumTypos = &text, commas(fields), commas(weights), commas(typos)
	q.TextMatchType = ref("max_weight")
	q.MinLen1typo, q.MinLen2typo = ref(4), ref(5)
	q.EnableTyposForNumericalTokens, q.EnableTyposForAlphaNumericalTokens = ref(false), ref(false)
	q.HighlightFields, q.HighlightStartTag, q.HighlightEndTag = commas(highlighted), &s.mark.open, &s.mark.shut
	return q
}

// count asks how many there are, and of what.
func (s *Store) count(text, filter string) query {
	q := s.query(text, filter)
	q.PerPage, q.HighlightFields = ref(0), ref("none")
	return q
}

// An answer is what the engine found for one query.
type answer api.MultiSearchResultItem

func (a answer) found() int {
	if a.Found == nil {
		return 0
	}
	return *a.Found
}

// ask sends queries in one call; all of them have to be answered.
func (s *Store) ask(ctx context.Context, asked []query) ([]answer, error) {
	ctx, done := context.WithTimeout(ctx, patience)
	defer done()
	perform := func() (*api.MultiSearchResult, error) {
		return s.client.MultiSearch.Perform(ctx, &api.MultiSearchParams{}, api.MultiSearchSearchesParameter{Searches: asked})
	}
	result, err := perform()
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) { // the line was cut in the middle of an answer; asking changes nothing
		result, err = perform()
	}
	if err != nil {
		return nil, s.fail(ctx, "search", err)
	}
	if len(result.Results) != len(asked) {
		return nil, s.fail(ctx, "search", fmt.Errorf("%d answers to %d questions", len(result.Results), len(asked)))
	}
	answers := make([]answer, len(asked))
	for i, one := range result.Results {
		if one.Error != nil {
			return nil, s.fail(ctx, "search", refusal(one))
		}
		answers[i] = answer(one)
	}
	return answers, nil
}

func (s *Store) hits(r search.Request, o order, a answer) []search.Hit {
	if a.Hits == nil {
		return nil
	}
	var out []search.Hit
	for _, h := range *a.Hits {
		if h.Document == nil {
			continue
		}
		d := document(*h.Document)
		hit := search.Hit{Card: d.card(), Rank: o.rank(d)}
		if r.Counted() {
			var marked map[string]any
			if h.Highlight != nil {
				marked = *h.Highlight
			}
			hit.Highlight = ref(s.mark.show(marked, hit.Card.Title))
		}
		out = append(out, hit)
	}
	return out
}
