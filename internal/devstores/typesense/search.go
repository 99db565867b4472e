package typesense

import (
	"slices"
	"sync"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
)

// row is one hit, taken out of the index so that it can be rendered without its lock.
type row struct {
	doc    uint32
	raw    []byte
	score  uint64
	keys   keys
	pinned bool
	metres map[string]int // by geopoint field that the search sorts by
}

// rowGroup is one group of hits.
type rowGroup struct {
	key   []any
	found int
	rows  []row
}

// found is what a search found.
type found struct {
	collection string
	schema     *schema
	r          *request
	text       queryText
	rows       []row
	groups     []rowGroup
	count      int // hits, or groups of them
	countDocs  int
	outOf      int
	facets     []facetResult
	marks      map[string]mark
	cutOff     bool
	began      time.Time
}

// scorePool lends slices for text matches by document; they are handed back all zero.
var scorePool = sync.Pool{New: func() any { return new([]uint64) }}

func borrowScores(n int) *[]uint64 {
	s := scorePool.Get().(*[]uint64)
	if cap(*s) < n {
		*s = make([]uint64, n+n/4)
	}
	*s = (*s)[:n]
	return s
}

func returnScores(s *[]uint64, docs *roaring.Bitmap) {
	each(docs, func(doc uint32) { (*s)[doc] = 0 })
	scorePool.Put(s)
}

// search answers one search. It holds the collection's lock for reading until all that it needs is taken out.
//
// A search that is to be united with others takes its hits from the first on.
func (c *collection) search(p params, m *manifest, united bool) (*found, *apiError) {
	began := time.Now()
	p, err := m.withPreset(p)
	if err != nil {
		return nil, err
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	f, err := c.evaluate(p, m, united)
	if err != nil {
		return nil, err
	}
	f.began = began
	return f, nil
}

// evaluate runs a search. The caller holds mu for reading.
func (c *collection) evaluate(p params, m *manifest, united bool) (*found, *apiError) {
	s, x := c.schema, c.index
	r, err := parseRequest(s, p)
	if err != nil {
		return nil, err
	}
	r.united = united
	z := tokenizer{}
	if len(r.fields) > 0 {
		z = r.fields[0].f.words
	}
	text := parseQuery(r.q, z)
	if err := m.curate(s, r, &text, z); err != nil {
		return nil, err
	}
	if err := m.dropStopwords(r, &text); err != nil {
		return nil, err
	}
	var filtered *roaring.Bitmap
	if r.filter != nil {
		filtered = r.filter(x)
	}
	pins := pinned(x, r, filtered)

	scores := borrowScores(len(x.docs))
	mt := newMatcher(r, s, x, leaveOut(x, r, text, filtered), *scores)
	defer func() { returnScores(scores, mt.found) }()
	searched := mt.match(text, m.variants(s, r, text, z))
	docs := mt.found

	f := &found{
		collection: s.Name, schema: s, r: r, text: searched, marks: mt.marks, cutOff: mt.cutOff, outOf: len(x.byID),
	}
	sorting := newSorter(x, r.sort, *scores)
	if text.all {
		sorting.scores = nil
	}
	shown := docs
	if len(pins) > 0 {
		only := roaring.New()
		for _, pin := range pins {
			only.Add(pin.doc)
		}
		docs, shown = roaring.AndNot(docs, only), roaring.Or(docs, only)
	}
	f.countDocs = int(shown.GetCardinality())
	count := facetCounter{r: r, x: x, docs: shown, every: text.all && mt.within == nil && len(r.groupBy) == 0}
	if len(r.groupBy) > 0 {
		count.groups = f.group(sorting, shown)
	} else {
		f.page(sorting, docs, pins)
	}
	f.facets = make([]facetResult, 0, len(r.facets))
	for _, fr := range r.facets {
		f.facets = append(f.facets, count.count(fr))
	}
	return f, nil
}

// leaveOut is what a search looks within: what passes the filter, without what the query or the request excludes.
func leaveOut(x *index, r *request, text queryText, filtered *roaring.Bitmap) *roaring.Bitmap {
	var out *roaring.Bitmap
	if len(text.without) > 0 {
		var fields []*textIndex
		for _, qf := range r.fields {
			fields = append(fields, x.fields[qf.f.Name].text)
		}
		out = unwanted(fields, text.without)
	}
	for _, id := range r.hidden {
		if doc, ok := x.find(id); ok {
			if out == nil {
				out = roaring.New()
			}
			out.Add(doc)
		}
	}
	switch {
	case out == nil:
		return filtered
	case filtered == nil:
		return roaring.AndNot(x.live, out)
	}
	return roaring.AndNot(filtered, out)
}

// pinned finds the documents that are put at fixed places.
func pinned(x *index, r *request, filtered *roaring.Bitmap) []placed {
	var out []placed
	for _, p := range r.pinned {
		doc, ok := x.find(p.id)
		if !ok || slices.Contains(r.hidden, p.id) || r.filterCurated && filtered != nil && !filtered.Contains(doc) {
			continue
		}
		if !slices.ContainsFunc(out, func(o placed) bool { return o.doc == doc }) {
			out = append(out, placed{doc: doc, at: p.at})
		}
	}
	return out
}

// page takes the asked hits out of the ranking.
func (f *found) page(s *sorter, docs *roaring.Bitmap, pins []placed) {
	f.count = f.countDocs
	all := inPosition(pins, s.rank(docs, min(f.r.offset+f.r.perPage, f.countDocs)))
	from := min(f.r.offset, len(all))
	if f.r.united {
		from = 0
	}
	for _, at := range all[from:min(f.r.offset+f.r.perPage, len(all))] {
		f.rows = append(f.rows, s.row(f.r, at.doc, at.at > 0))
	}
}

// group takes the asked groups out of the ranking and returns the group of every document.
func (f *found) group(s *sorter, docs *roaring.Bitmap) map[uint32]uint32 {
	groups, of := s.groups(f.r, docs)
	f.count = len(groups)
	from := min(f.r.offset, len(groups))
	for _, g := range groups[from:min(from+f.r.perPage, len(groups))] {
		rg := rowGroup{key: g.key, found: g.found}
		for _, h := range g.hits.sorted() {
			rg.rows = append(rg.rows, s.row(f.r, h.doc, false))
		}
		f.groups = append(f.groups, rg)
	}
	return of
}

func (s *sorter) row(r *request, doc uint32, pinned bool) row {
	out := row{doc: doc, raw: s.x.docs[doc].raw, pinned: pinned, keys: s.keys(doc)}
	if s.scores != nil {
		out.score = s.scores[doc]
	}
	for _, c := range r.sort {
		if c.by == byDistance {
			if out.metres == nil {
				out.metres = map[string]int{}
			}
			out.metres[c.f.Name] = int(s.x.fields[c.f.Name].geo.nearest(doc, c.from))
		}
	}
	return out
}
