package typesense

import (
	"cmp"
	"slices"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"
)

// ranking is a document and its standing.
type ranking struct {
	doc  uint32
	keys keys
}

// best keeps the first n documents of those offered, in a heap whose top is the last of them.
type best struct {
	s    *sorter
	n    int
	heap []ranking
}

// after says whether a stands behind b.
func (b *best) after(x, y *ranking) bool { return b.s.before(y.doc, x.doc, &y.keys, &x.keys) }

func (b *best) offer(r ranking) {
	if len(b.heap) < b.n {
		b.heap = append(b.heap, r)
		for i := len(b.heap) - 1; i > 0; {
			up := (i - 1) / 2
			if !b.after(&b.heap[i], &b.heap[up]) {
				break
			}
			b.heap[i], b.heap[up] = b.heap[up], b.heap[i]
			i = up
		}
		return
	}
	if b.n == 0 || !b.after(&b.heap[0], &r) {
		return
	}
	b.heap[0] = r
	for i := 0; ; {
		last := i
		for _, down := range [2]int{2*i + 1, 2*i + 2} {
			if down < len(b.heap) && b.after(&b.heap[down], &b.heap[last]) {
				last = down
			}
		}
		if last == i {
			return
		}
		b.heap[i], b.heap[last] = b.heap[last], b.heap[i]
		i = last
	}
}

// sorted empties the heap, first things first.
func (b *best) sorted() []ranking {
	slices.SortFunc(b.heap, b.s.compare)
	return b.heap
}

func (s *sorter) compare(a, b ranking) int {
	if a.doc == b.doc {
		return 0
	}
	if s.before(a.doc, b.doc, &a.keys, &b.keys) {
		return -1
	}
	return 1
}

// rank returns the first n documents in order.
func (s *sorter) rank(docs *roaring.Bitmap, n int) []ranking {
	s.level(docs)
	b := best{s: s, n: n}
	each(docs, func(doc uint32) { b.offer(ranking{doc, s.keys(doc)}) })
	return b.sorted()
}

var batches = sync.Pool{New: func() any { return new([2048]uint32) }}

// each visits documents faster than an iterator does.
func each(docs *roaring.Bitmap, visit func(doc uint32)) {
	it := docs.ManyIterator()
	lent := batches.Get().(*[2048]uint32)
	defer batches.Put(lent)
	batch := lent[:]
	for n := it.NextMany(batch); n > 0; n = it.NextMany(batch) {
		for _, doc := range batch[:n] {
			visit(doc)
		}
	}
}

// level reduces text matches to buckets where a sort clause asks for it, so that the clauses behind it decide within.
func (s *sorter) level(docs *roaring.Bitmap) {
	for _, c := range s.clauses {
		if c.by != byTextMatch || c.buckets == 0 && c.bucketSize == 0 || s.scores == nil || docs.IsEmpty() {
			continue
		}
		var all []ranking
		each(docs, func(doc uint32) { all = append(all, ranking{doc, s.keys(doc)}) })
		slices.SortFunc(all, s.compare)
		size := c.bucketSize
		if c.buckets > 0 {
			size = max(1, (len(all)+c.buckets-1)/c.buckets)
		}
		s.levels = make(map[uint32]int64, len(all))
		for i, r := range all {
			s.levels[r.doc] = int64(len(all) - i/size)
		}
	}
}

// group is the documents that agree in the group_by fields.
type group struct {
	key    []any
	number uint32
	found  int
	hits   best
	first  ranking
}

// groups gathers documents into groups, each with its first limit documents, in the order of their first documents;
// of says which group each document went to.
func (s *sorter) groups(r *request, docs *roaring.Bitmap) (out []*group, of map[uint32]uint32) {
	s.level(docs)
	byKey, of := map[string]*group{}, map[uint32]uint32{}
	each(docs, func(doc uint32) {
		label, key := s.groupKey(r, doc)
		g := byKey[label]
		if g == nil {
			g = &group{key: key, number: uint32(len(out)), hits: best{s: s, n: r.groupLimit}}
			byKey[label] = g
			out = append(out, g)
		}
		k := ranking{doc, s.keys(doc)}
		if g.found == 0 || s.compare(k, g.first) < 0 {
			g.first = k
		}
		g.found++
		of[doc] = g.number
		g.hits.offer(k)
	})
	slices.SortFunc(out, func(a, b *group) int { return s.compare(a.first, b.first) })
	return out, of
}

// groupKey is what a document says in the group_by fields, as a map key and as the answer shows it.
func (s *sorter) groupKey(r *request, doc uint32) (label string, key []any) {
	for _, f := range r.groupBy {
		fx := s.x.fields[f.Name].facet
		var values []any
		fx.each(doc, func(ord uint32) {
			v := &fx.values[ord]
			label += v.label + "\x00"
			values = append(values, f.typed(v))
		})
		label += "\x01"
		switch {
		case f.array && values != nil:
			key = append(key, values)
		case len(values) == 1:
			key = append(key, values[0])
		case !r.groupMissing:
			label += "\x02" + s.x.docs[doc].id
		}
	}
	if key == nil {
		key = []any{}
	}
	return label, key
}

// typed is a facet value as JSON shows it outside of facets.
func (f *field) typed(v *facetValue) any {
	switch f.kind {
	case kindBool:
		return v.key == 1
	case kindFloat:
		return f.number(v.key)
	case kindInt32, kindInt64:
		return v.key
	}
	return v.label
}

// inPosition puts pinned documents at their places among the ranked ones.
func inPosition(pins []placed, ranked []ranking) []placed {
	slices.SortStableFunc(pins, func(a, b placed) int { return cmp.Compare(a.at, b.at) })
	out := make([]placed, 0, len(pins)+len(ranked))
	for _, r := range ranked {
		for len(pins) > 0 && pins[0].at <= len(out)+1 {
			out, pins = append(out, pins[0]), pins[1:]
		}
		out = append(out, placed{doc: r.doc})
	}
	return append(out, pins...)
}

// placed is a document of the answer; at is its position when it is pinned.
type placed struct {
	doc uint32
	at  int
}
