package typesense

import (
	"math"
	"net/http"
	"strconv"
	"strings"
)

// facetRequest is one item of facet_by.
type facetRequest struct {
	f         *field
	ranges    []facetRange
	ascending bool   // by value or by sortField
	byValue   bool   // order values by themselves rather than by count
	sortField *field // order values by another field of the documents that have them
}

// facetRange counts the numbers from lo up to, but not including, hi under one label.
type facetRange struct {
	label  string
	lo, hi float64
}

// readFacets reads facet_by and facet_query.
func (r *request) readFacets(s *schema, p params) *apiError {
	for _, part := range splitOutside(p["facet_by"]) {
		name, args, hasArgs := strings.Cut(part, "(")
		name = strings.TrimSpace(name)
		fields := s.matching(name)
		if f := s.field(name); f != nil && !f.Facet || len(fields) == 0 {
			return notFound("Could not find a facet field named `%s` in the schema.", name)
		}
		for _, f := range fields {
			if !f.Facet {
				continue
			}
			fr := facetRequest{f: f}
			if hasArgs {
				if err := fr.readArgs(s, strings.TrimSpace(strings.TrimSuffix(args, ")"))); err != nil {
					return err
				}
			}
			r.facets = append(r.facets, fr)
		}
	}
	query := p["facet_query"]
	if query == "" {
		return nil
	}
	name, text, found := strings.Cut(query, ":")
	name = strings.TrimSpace(name)
	switch {
	case !found:
		return badRequest("Facet query must be in the `facet_field: value` format.")
	case len(r.facets) == 0:
		return badRequest("The `facet_query` parameter is supplied without a `facet_by` parameter.")
	}
	for _, fr := range r.facets {
		if fr.f.Name == name {
			r.facetField, r.facetQuery = name, strings.TrimSpace(text)
			if _, given := p["per_page"]; !given && r.facetQuery != "" {
				r.perPage = 0
			}
			return nil
		}
	}
	if f := s.field(name); f == nil || !f.Facet {
		return notFound("Could not find a facet field named `%s` in the schema.", name)
	}
	return badRequest("Facet query refers to a facet field `%s` that is not part of `facet_by` parameter.", name)
}

// readArgs reads what stands in parentheses behind a facet field: a sort order, or ranges.
func (fr *facetRequest) readArgs(s *schema, args string) *apiError {
	for _, arg := range splitOutside(args) {
		name, value, found := strings.Cut(arg, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !found {
			return badRequest("Invalid facet format.")
		}
		if strings.HasPrefix(value, "[") {
			one, ok := parseRange(name, value)
			if !ok || !fr.f.kind.numeric() {
				return badRequest("Error splitting the facet range values.")
			}
			fr.ranges = append(fr.ranges, one)
			continue
		}
		if name != "sort_by" {
			continue
		}
		by, order, _ := cutLast(value, ":")
		fr.ascending = strings.TrimSpace(order) == "asc"
		if by = strings.TrimSpace(by); by == "_alpha" {
			fr.byValue = true
		} else if fr.sortField = s.field(by); fr.sortField == nil || !fr.sortField.Sort {
			return refuse(http.StatusNotFound, "Could not find a field named `%s` in the schema for sorting.", by)
		}
	}
	return nil
}

func parseRange(label, value string) (fr facetRange, ok bool) {
	lo, hi, found := strings.Cut(strings.Trim(value, "[]"), ",")
	fr = facetRange{label: label, lo: math.Inf(-1), hi: math.Inf(1)}
	for text, into := range map[string]*float64{lo: &fr.lo, hi: &fr.hi} {
		if text = strings.TrimSpace(text); text != "" {
			n, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return fr, false
			}
			*into = n
		}
	}
	return fr, found
}

// facetMatcher tells which values of a facet field a facet_query means, and which of their words.
type facetMatcher struct {
	z     tokenizer
	words []string          // of the query; the last may be a prefix
	marks []map[string]mark // per word of the query: the indexed words that match it
}

// newFacetMatcher resolves a facet_query, with typos only when nothing matches as typed.
func newFacetMatcher(fx *fieldIndex, query string, typos int, r *request) *facetMatcher {
	m := &facetMatcher{z: fx.f.words, words: fx.f.words.words(query)}
	limits := &matcher{r: r}
	for i, w := range m.words {
		marks := map[string]mark{}
		for edits := 0; edits <= min(typos, limits.allowedEdits(w)) && len(marks) == 0; edits++ {
			visit := func(word string) {
				k := mark{}
				if edits == 0 && len(word) > len(w) {
					k.prefix = len(w)
				}
				marks[word] = k
			}
			if fx.text == nil {
				visit(w)
				continue
			}
			fx.text.dict.like(w, edits, i == len(m.words)-1, func(t *term) {
				if !t.docs.IsEmpty() {
					visit(t.text)
				}
			})
		}
		m.marks = append(m.marks, marks)
	}
	return m
}

// marked returns the words to highlight in a value; ok is false when the value is not meant.
func (m *facetMatcher) marked(label string) (marks map[string]mark, ok bool) {
	marks = map[string]mark{}
	words := m.z.words(label)
	for _, meant := range m.marks {
		hit := false
		for _, w := range words {
			if k, ok := meant[w]; ok {
				marks[w], hit = k, true
			}
		}
		if !hit {
			return nil, false
		}
	}
	return marks, true
}
