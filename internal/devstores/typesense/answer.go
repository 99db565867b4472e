package typesense

import (
	"encoding/json"
	"slices"
	"time"
)

// hitAnswer is one hit as it is sent.
type hitAnswer struct {
	Collection     string         `json:"collection,omitempty"`
	Curated        bool           `json:"curated,omitempty"`
	Document       map[string]any `json:"document"`
	GeoDistance    map[string]int `json:"geo_distance_meters,omitempty"`
	Highlight      map[string]any `json:"highlight"`
	Highlights     []oldHighlight `json:"highlights"`
	SearchIndex    *int           `json:"search_index,omitempty"`
	TextMatch      *uint64        `json:"text_match,omitempty"`
	TextMatchInfo  *matchInfo     `json:"text_match_info,omitempty"`
	withHighlights bool
}

// MarshalJSON leaves the deprecated highlights out when they are not wanted.
func (h hitAnswer) MarshalJSON() ([]byte, error) {
	type plain hitAnswer
	if h.withHighlights {
		return writeObject(plain(h)), nil
	}
	return writeObject(struct {
		plain
		Highlights *struct{} `json:"highlights,omitempty"`
	}{plain: plain(h)}), nil
}

// groupAnswer is one group of hits as it is sent.
type groupAnswer struct {
	Found    int         `json:"found"`
	GroupKey []any       `json:"group_key"`
	Hits     []hitAnswer `json:"hits"`
}

// hits renders rows.
func (f *found) hits(rows []row) []hitAnswer {
	h := newHighlighter(f.schema, f.r, f.marks)
	out := make([]hitAnswer, 0, len(rows))
	for _, r := range rows {
		out = append(out, f.hit(h, r))
	}
	return out
}

func (f *found) hit(h *highlighter, r row) hitAnswer {
	doc := readFields(r.raw, func(name string) bool {
		return h.marksWithin(name) || leads(f.r.include, name) || leads(f.r.exclude, name)
	})
	a := hitAnswer{Curated: r.pinned, GeoDistance: r.metres, withHighlights: h.old}
	a.Highlight, a.Highlights = h.document(doc)
	a.Document = project(doc, f.r.include, f.r.exclude)
	if !f.text.all && !r.pinned {
		info := f.r.explain(r.score, f.text.original)
		a.TextMatch, a.TextMatchInfo = &r.score, &info
	}
	return a
}

// answer renders a whole result.
func (f *found) answer() map[string]any {
	out := map[string]any{
		"facet_counts": f.facets, "found": f.count, "out_of": f.outOf,
		"request_params": map[string]any{
			"collection_name": f.collection, "first_q": f.text.String(), "per_page": f.r.perPage, "q": f.r.q,
		},
		"search_cutoff": f.cutOff, "search_time_ms": time.Since(f.began).Milliseconds(),
	}
	if f.r.byOffset {
		out["offset"] = f.r.offset
	} else {
		out["page"] = f.r.page
	}
	if len(f.r.groupBy) > 0 {
		groups := make([]groupAnswer, 0, len(f.groups))
		for _, g := range f.groups {
			groups = append(groups, groupAnswer{Found: g.found, GroupKey: g.key, Hits: f.hits(g.rows)})
		}
		out["found_docs"], out["grouped_hits"] = f.countDocs, groups
	} else {
		out["hits"] = f.hits(f.rows)
	}
	for _, name := range []string{"out_of", "search_time_ms", "search_cutoff", "request_params"} {
		if slices.Contains(f.r.exclude, name) {
			delete(out, name)
		}
	}
	return out
}

var _ json.Marshaler = hitAnswer{}
