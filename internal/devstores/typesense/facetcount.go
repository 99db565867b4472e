package typesense

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"
)

// facetCount is one value of a facet and how often it occurs among the results.
type facetCount struct {
	Count       int    `json:"count"`
	Highlighted string `json:"highlighted"`
	Value       string `json:"value"`

	born    uint32
	num     float64
	sortNum float64 // of the sibling field it is ordered by
	sortStr string
}

// facetResult is the answer for one item of facet_by.
type facetResult struct {
	Counts  []facetCount       `json:"counts"`
	Field   string             `json:"field_name"`
	Sampled bool               `json:"sampled"`
	Stats   map[string]float64 `json:"stats"`
}

// tally counts values by ordinal and remembers which ones it has met, so that clearing it is cheap.
type tally struct {
	counts []int32
	met    []uint32
}

var tallies = sync.Pool{New: func() any { return new(tally) }}

func (t *tally) add(ord uint32) {
	if t.counts[ord] == 0 {
		t.met = append(t.met, ord)
	}
	t.counts[ord]++
}

func newTally(values int) *tally {
	t := tallies.Get().(*tally)
	if len(t.counts) < values {
		t.counts = make([]int32, values+values/4)
	}
	return t
}

func (t *tally) release() {
	for _, ord := range t.met {
		t.counts[ord] = 0
	}
	t.met = t.met[:0]
	tallies.Put(t)
}

// facetCounter counts facets over a search's results.
type facetCounter struct {
	r      *request
	x      *index
	docs   *roaring.Bitmap
	every  bool              // the results are simply all documents
	groups map[uint32]uint32 // group by document, when results are grouped: then groups are counted
}

// count answers one item of facet_by.
func (c *facetCounter) count(fr facetRequest) facetResult {
	fx := c.x.fields[fr.f.Name]
	if c.plain(fr) {
		return c.top(fr, fx)
	}
	all := c.tallied(fx)
	res := facetResult{Field: fr.f.Name, Stats: map[string]float64{}}
	var values []facetCount
	if len(fr.ranges) > 0 {
		values = inRanges(all, fr.ranges)
	} else {
		values = c.matching(fx, all)
	}
	slices.SortFunc(values, func(a, b facetCount) int { return cmp.Or(b.Count-a.Count, cmp.Compare(b.born, a.born)) })
	res.Counts = c.order(fr, fx, values)
	summed, total := values, len(values)
	if c.every && !c.r.facetExact && len(fr.ranges) == 0 {
		// Of all documents, Typesense looks at the top values only.
		summed, total = res.Counts, len(res.Counts)
	}
	if fr.f.kind.numeric() && fr.f.kind != kindBool && len(all) > 0 {
		addStats(res.Stats, all, summed)
	}
	res.Stats["total_values"] = float64(total)
	return res
}

// plain tells whether the most frequent values are all that is asked for: then the others need not be written out, nor put in order.
func (c *facetCounter) plain(fr facetRequest) bool {
	numbers := fr.f.kind.numeric() && fr.f.kind != kindBool // are summed up
	queried := c.r.facetQuery != "" && c.r.facetField == fr.f.Name
	return c.groups == nil && len(fr.ranges) == 0 && !numbers && !queried && !fr.byValue && fr.sortField == nil
}

// frequent is a value of a facet as far as its place depends on it.
type frequent struct {
	count     int32
	born, ord uint32
}

func (a frequent) compare(b frequent) int {
	return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(b.born, a.born), cmp.Compare(a.ord, b.ord))
}

// top answers with the most frequent values.
func (c *facetCounter) top(fr facetRequest, fx *fieldIndex) facetResult {
	values := fx.facet.values
	best := leading{most: c.r.maxFacets}
	if c.every {
		for ord := range values {
			if v := &values[ord]; v.live > 0 {
				best.add(frequent{v.live, v.born, uint32(ord)})
			}
		}
	} else {
		t := newTally(len(values))
		defer t.release()
		fx.facet.tally(c.docs, t)
		for _, ord := range t.met {
			best.add(frequent{t.counts[ord], values[ord].born, ord})
		}
	}
	first := best.inOrder()
	shown := make([]facetCount, 0, len(first))
	for _, b := range first {
		shown = append(shown, facetCount{Count: int(b.count), Value: values[b.ord].label, Highlighted: values[b.ord].label})
	}
	byLabel(shown)
	total := best.seen
	if c.every && !c.r.facetExact {
		total = len(shown) // of all documents, Typesense looks at the top values only
	}
	return facetResult{Field: fr.f.Name, Counts: shown, Stats: map[string]float64{"total_values": float64(total)}}
}

// leading keeps the first few of many values.
type leading struct {
	most int
	kept []frequent // twice as many at most, of which the first few were in order when they were last cut
	last *frequent  // of those; what is behind it is not among the first
	seen int
}

func (l *leading) add(v frequent) {
	l.seen++
	if l.last != nil && v.compare(*l.last) > 0 {
		return
	}
	if l.kept = append(l.kept, v); len(l.kept) > 2*l.most {
		if l.kept = l.inOrder(); l.most > 0 {
			last := l.kept[l.most-1]
			l.last = &last
		}
	}
}

func (l *leading) inOrder() []frequent {
	slices.SortFunc(l.kept, frequent.compare)
	return l.kept[:min(l.most, len(l.kept))]
}

// tallied counts the values of a field, in no particular order.
func (c *facetCounter) tallied(fx *fieldIndex) []facetCount {
	values := fx.facet.values
	var out []facetCount
	take := func(ord uint32, n int) {
		v := &values[ord]
		fc := facetCount{Count: n, Value: v.label, Highlighted: v.label, born: v.born}
		if fx.f.kind.numeric() {
			fc.num = fx.f.number(v.key)
		}
		out = append(out, fc)
	}
	switch {
	case c.groups != nil:
		in := map[uint32]map[uint32]bool{}
		each(c.docs, func(doc uint32) {
			fx.facet.each(doc, func(ord uint32) {
				if in[ord] == nil {
					in[ord] = map[uint32]bool{}
				}
				in[ord][c.groups[doc]] = true
			})
		})
		for ord, groups := range in {
			take(ord, len(groups))
		}
	case c.every:
		for ord := range values {
			if n := values[ord].live; n > 0 {
				take(uint32(ord), int(n))
			}
		}
	default:
		t := newTally(len(values))
		defer t.release()
		fx.facet.tally(c.docs, t)
		out = make([]facetCount, 0, len(t.met))
		for _, ord := range t.met {
			take(ord, int(t.counts[ord]))
		}
	}
	return out
}

// tally counts the values of some documents.
func (x *facetIndex) tally(docs *roaring.Bitmap, t *tally) {
	each(docs, func(doc uint32) {
		if int(doc) < len(x.one) {
			if v := x.one[doc]; v > 0 {
				t.add(v - 1)
			}
		} else if int(doc) < len(x.many) {
			for _, ord := range x.many[doc] {
				t.add(ord)
			}
		}
	})
}

// matching keeps the values that facet_query means, highlighted.
func (c *facetCounter) matching(fx *fieldIndex, all []facetCount) []facetCount {
	if c.r.facetQuery == "" || c.r.facetField != fx.f.Name {
		return all
	}
	m := newFacetMatcher(fx, c.r.facetQuery, c.r.facetTypos, c.r)
	var out []facetCount
	for _, v := range all {
		if marks, ok := m.marked(v.Value); ok {
			h := &highlighter{highlightRequest: c.r.highlight, marks: marks}
			v.Highlighted, _ = h.whole(v.Value, fx.f.words)
			out = append(out, v)
		}
	}
	return out
}

// order cuts the values to the asked number and puts them in the order of the answer.
func (c *facetCounter) order(fr facetRequest, fx *fieldIndex, values []facetCount) []facetCount {
	direction := -1
	if fr.ascending {
		direction = 1
	}
	switch {
	case fr.byValue:
		values = slices.Clone(values)
		slices.SortStableFunc(values, func(a, b facetCount) int { return direction * strings.Compare(a.Value, b.Value) })
	case fr.sortField != nil:
		values = c.bySibling(values, fx, fr.sortField, direction)
	}
	shown := slices.Clone(values[:min(len(values), c.r.maxFacets)])
	if !fr.byValue && fr.sortField == nil {
		byLabel(shown)
	}
	if shown == nil {
		shown = []facetCount{}
	}
	return shown
}

// byLabel puts equally frequent values in the order in which they are shown.
func byLabel(shown []facetCount) {
	slices.SortStableFunc(shown, func(a, b facetCount) int {
		return cmp.Or(b.Count-a.Count, len(a.Value)-len(b.Value), strings.Compare(b.Value, a.Value))
	})
}

// bySibling orders values by another field of a document that has them.
func (c *facetCounter) bySibling(values []facetCount, fx *fieldIndex, sibling *field, direction int) []facetCount {
	values = slices.Clone(values)
	sx := c.x.fields[sibling.Name]
	for i := range values {
		v := &values[i]
		if sx.numbers != nil {
			v.sortNum = sibling.number(sx.numbers.at(v.born))
		} else if sx.sort != nil {
			v.sortStr = sx.sort.at(v.born)
		}
	}
	slices.SortStableFunc(values, func(a, b facetCount) int {
		return direction * cmp.Or(cmp.Compare(a.sortNum, b.sortNum), strings.Compare(a.sortStr, b.sortStr))
	})
	return values
}

func inRanges(all []facetCount, ranges []facetRange) []facetCount {
	var out []facetCount
	for _, rg := range ranges {
		fc := facetCount{Value: rg.label, Highlighted: rg.label}
		for _, v := range all {
			if v.num >= rg.lo && v.num < rg.hi {
				fc.Count += v.Count
			}
		}
		if fc.Count > 0 {
			out = append(out, fc)
		}
	}
	return out
}

// addStats tells the smallest and the greatest number of all, and sum and average of some.
func addStats(stats map[string]float64, all, summed []facetCount) {
	lo, hi, sum, n := math.Inf(1), math.Inf(-1), 0.0, 0
	for _, v := range all {
		lo, hi = min(lo, v.num), max(hi, v.num)
	}
	for _, v := range summed {
		sum += v.num * float64(v.Count)
		n += v.Count
	}
	stats["min"], stats["max"], stats["sum"] = lo, hi, sum
	if n > 0 {
		stats["avg"] = sum / float64(n)
	}
}
