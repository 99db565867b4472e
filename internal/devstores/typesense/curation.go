package typesense

import (
	"encoding/json"
	"slices"
	"strings"
)

// curationSet is a named list of rules that change what certain queries answer.
type curationSet struct {
	Items []curation `json:"items"`
	Name  string     `json:"name"`
}

// curation is one rule, written as Typesense writes it.
type curation struct {
	Excludes      []curatedDoc    `json:"excludes"`
	FilterBy      string          `json:"filter_by,omitempty"`
	FilterCurated bool            `json:"filter_curated_hits"`
	ID            string          `json:"id"`
	Includes      []curatedDoc    `json:"includes"`
	Metadata      json.RawMessage `json:"metadata,omitempty"`
	RemoveMatched bool            `json:"remove_matched_tokens"`
	ReplaceQuery  string          `json:"replace_query,omitempty"`
	Rule          curationRule    `json:"rule"`
	SortBy        string          `json:"sort_by,omitempty"`
	Stop          bool            `json:"stop_processing"`
}

type curatedDoc struct {
	ID       string `json:"id"`
	Position int    `json:"position,omitempty"`
}

// curationRule says when a curation applies.
type curationRule struct {
	FilterBy string   `json:"filter_by,omitempty"`
	Match    string   `json:"match,omitempty"`
	Query    string   `json:"query,omitempty"`
	Tags     []string `json:"tags,omitempty"`
}

func newCurationSet(name string, body []byte) (curationSet, *apiError) {
	var r struct {
		Items []json.RawMessage `json:"items"`
	}
	s := curationSet{Name: name, Items: []curation{}}
	if err := json.Unmarshal(body, &r); err != nil {
		return s, badJSON(body, err)
	}
	if r.Items == nil {
		return s, badRequest("Missing or invalid 'items' field")
	}
	for _, raw := range r.Items {
		c := curation{Stop: true, Excludes: []curatedDoc{}, Includes: []curatedDoc{}}
		var given map[string]json.RawMessage
		if err := json.Unmarshal(raw, &c); err != nil {
			return s, badJSON(raw, err)
		}
		if err := json.Unmarshal(raw, &given); err != nil {
			return s, badJSON(raw, err)
		}
		if _, ok := given["remove_matched_tokens"]; !ok {
			c.RemoveMatched = c.FilterBy != ""
		}
		if c.ID == "" {
			return s, badRequest("Curation `id` is required.")
		}
		if c.Rule.Query == "" && len(c.Rule.Tags) == 0 && c.Rule.FilterBy == "" {
			return s, badRequest("The `rule` definition must contain either a `tags` or a `query` and `match`.")
		}
		s.Items = append(s.Items, c)
	}
	return s, nil
}

// applies says whether a query is meant, and which of its words the rule took.
func (c curation) applies(r *request, words []string, z tokenizer) (matched []string, ok bool) {
	if len(c.Rule.Tags) > 0 && !slices.ContainsFunc(c.Rule.Tags, func(t string) bool { return slices.Contains(r.curationTags, t) }) {
		return nil, false
	}
	if c.Rule.FilterBy != "" && c.Rule.FilterBy != r.filterBy {
		return nil, false
	}
	if c.Rule.Query == "" {
		return nil, true
	}
	if c.Rule.Query == "*" {
		return nil, strings.TrimSpace(r.q) == "*"
	}
	want := z.words(c.Rule.Query)
	if c.Rule.Match != "contains" {
		return want, slices.Equal(want, words)
	}
	for i := 0; i+len(want) <= len(words); i++ {
		if slices.Equal(words[i:i+len(want)], want) {
			return want, true
		}
	}
	return nil, false
}

// curate applies the rules of a collection's curation sets to a request.
func (m *manifest) curate(s *schema, r *request, t *queryText, z tokenizer) *apiError {
	if !r.curations {
		return nil
	}
	for _, name := range s.CurationSets {
		for _, c := range m.CurationSets[name].Items {
			matched, ok := c.applies(r, texts(t.words), z)
			if !ok {
				continue
			}
			if err := c.apply(s, r, t, matched, z); err != nil {
				return err
			}
			if c.Stop {
				return nil
			}
		}
	}
	return nil
}

func (c curation) apply(s *schema, r *request, t *queryText, matched []string, z tokenizer) (err *apiError) {
	var pins []pin
	for _, in := range c.Includes {
		pins = append(pins, pin{id: in.ID, at: max(in.Position, 1)})
	}
	r.pinned = append(pins, r.pinned...)
	for _, out := range c.Excludes {
		r.hidden = append(r.hidden, out.ID)
	}
	r.filterCurated = r.filterCurated || c.FilterCurated
	if c.FilterBy != "" {
		both := c.FilterBy
		if r.filterBy != "" {
			both = "(" + r.filterBy + ") && (" + c.FilterBy + ")"
		}
		if r.filter, err = parseFilter(s, both); err != nil {
			return err
		}
		r.filterBy = both
	}
	if c.SortBy != "" {
		if r.sort, err = parseSort(s, c.SortBy); err != nil {
			return err
		}
	}
	switch {
	case c.ReplaceQuery != "":
		*t = parseQuery(c.ReplaceQuery, z)
	case c.RemoveMatched:
		t.words = slices.DeleteFunc(slices.Clone(t.words), func(w queryWord) bool { return slices.Contains(matched, w.text) })
		t.settle()
		t.all = len(t.words) == 0 && len(t.phrases) == 0
	}
	return nil
}
