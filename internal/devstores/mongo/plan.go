package mongo

import (
	"slices"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"
)

// maxRanges bounds how many ranges a plan multiplies several $in lists into.
const maxRanges = 10_000

// plan is how a query reaches its documents.
type plan struct {
	index   *index     // nil reads every document in insertion order
	ranges  []keyRange // in key order, without overlap
	reverse bool
	sorted  bool // documents come in the order asked for
	covered bool // the ranges hold exactly what the filter selects
	points  bool // every range is one whole key
}

// keyRange is a stretch of index keys, to excluded; an empty end is the end of the index.
type keyRange struct{ from, to string }

// choose picks the cheapest way to the documents by a rough count of how many would be read.
func choose(indexes []*index, total int, f *filter, order []column, limit int64) plan {
	known := bounds(f.query)
	best := plan{sorted: len(order) == 0}
	cheapest := float64(total)
	if !best.sorted {
		cheapest *= 2
	}
	for _, ix := range indexes {
		if !ix.holdsAll(f, known) {
			continue
		}
		p, share := ix.plan(known, order)
		cost := share * float64(ix.tree.Len())
		if p.points && ix.unique {
			cost = min(cost, float64(len(p.ranges)))
		}
		switch {
		case !p.sorted:
			cost *= 2
		case limit > 0 && len(order) > 0:
			cost /= 2 // stops early
		}
		if cost < cheapest || (cost == cheapest && best.index == nil && p.ranges != nil) {
			best, cheapest = p, cost
		}
	}
	best.covered = len(f.match) == 0 || (len(f.match) == 1 && best.covers(f.match[0].Key, known))
	return best
}

// covers says whether the only condition there is, on one path and for a value or $in, is answered by the index alone.
func (p plan) covers(path string, known map[string]*bound) bool {
	if !p.points || len(p.index.columns) != 1 || p.index.columns[0].array {
		return false
	}
	return path == p.index.columns[0].path && known[path].only
}

// holdsAll says whether every document the filter selects is certain to be in a sparse or partial index.
func (ix *index) holdsAll(f *filter, known map[string]*bound) bool {
	if ix.sparse {
		return slices.ContainsFunc(ix.columns, func(c column) bool { return known[c.path] != nil && known[c.path].exists })
	}
	return ix.partial == nil || implies(f, known, ix.partial)
}

// implies says whether the filter can select only what the partial filter selects: it repeats each of its conditions,
// or pins the paths they are about to values that satisfy them.
func implies(f *filter, known map[string]*bound, partial *filter) bool {
	for _, e := range partial.query {
		condition := bson.D{e}
		if b := known[e.Key]; b != nil && len(b.equal) > 0 {
			test, err := newFilter(condition)
			if err == nil && !slices.ContainsFunc(b.equal, func(v any) bool {
				var doc bson.D
				_, putErr := bsonkit.Put(&doc, e.Key, v, false)
				ok, matchErr := test.matches(doc)
				return putErr != nil || matchErr != nil || !ok
			}) {
				continue
			}
		}
		repeated := false
		conjuncts(f.query, func(path string, c any) {
			repeated = repeated || same(bson.D{{Key: path, Value: c}}, condition)
		})
		if operators, ok := isOperators(e.Value); ok && len(operators) == 1 && operators[0].Key == "$exists" {
			repeated = repeated || (known[e.Key] != nil && known[e.Key].exists)
		}
		if !repeated {
			return false
		}
	}
	return true
}

// plan turns what is known into ranges of this index, and guesses the share of entries that lie in them.
func (ix *index) plan(known map[string]*bound, order []column) (plan, float64) {
	p := plan{index: ix}
	prefixes := [][]byte{nil}
	share := 1.0
	used, arrays := 0, 0
	single := make([]bool, len(ix.columns)) // columns pinned to one value do not disturb an order
	for i, c := range ix.columns {
		b := known[c.path]
		// Two bounds inside one array may be met by different elements, so only the first is a bound on the entries.
		if b == nil || b.equal == nil || (c.array && arrays > 0) || len(prefixes)*len(b.equal) > maxRanges {
			break
		}
		prefixes = extend(prefixes, b.equal, c.descending)
		single[i] = len(b.equal) == 1
		share *= 0.1
		if len(b.equal) > 1 {
			share *= 2
		}
		if used++; c.array {
			arrays++
		}
	}
	p.points = used == len(ix.columns)
	narrowed := used > 0
	if !p.points {
		c := ix.columns[used]
		if b := known[c.path]; b != nil && b.equal == nil && (b.low != nil || b.high != nil) && (!c.array || arrays == 0) {
			p.ranges = between(prefixes, b, c)
			share *= 0.3
			narrowed = true
		}
	}
	if p.ranges == nil && narrowed {
		p.ranges = make([]keyRange, 0, len(prefixes))
		for _, prefix := range prefixes {
			p.ranges = append(p.ranges, keyRange{string(prefix), after(prefix)})
		}
	}
	p.sorted, p.reverse = ix.orders(order, single)
	return p, share
}

// extend adds each value to each prefix, in key order.
func extend(prefixes [][]byte, values bson.A, descending bool) [][]byte {
	suffixes := make([]string, len(values))
	for i, v := range values {
		suffixes[i] = string(appendKey(nil, v, descending))
	}
	slices.Sort(suffixes)
	suffixes = slices.Compact(suffixes)
	out := make([][]byte, 0, len(prefixes)*len(suffixes))
	for _, prefix := range prefixes {
		for _, suffix := range suffixes {
			out = append(out, append(slices.Clip(prefix), suffix...))
		}
	}
	return out
}

// between is the range of one column behind each prefix. Both ends are included: the filter decides on them.
func between(prefixes [][]byte, b *bound, c column) []keyRange {
	var low, high []byte
	if low = classKeyOf(b.low, b.high); b.low != nil {
		low = appendAscending(nil, b.low)
	}
	if high = classKeyOf(b.high, b.low); b.high != nil {
		high = appendAscending(nil, b.high)
	}
	if c.array && b.low != nil && b.high != nil {
		high = classKey(b.low) // one element may meet one bound and another the other
	}
	if c.descending {
		invert(low)
		invert(high)
		low, high = high, low
	}
	ranges := make([]keyRange, len(prefixes))
	for i, prefix := range prefixes {
		ranges[i] = keyRange{
			from: string(append(slices.Clip(prefix), low...)),
			to:   after(append(slices.Clip(prefix), high...)),
		}
	}
	return ranges
}

func classKeyOf(v, other any) []byte {
	if v == nil {
		v = other
	}
	return classKey(v)
}

// orders says whether the index yields the order asked for, forwards or in reverse.
func (ix *index) orders(order []column, single []bool) (sorted, reverse bool) {
	next, decided := 0, false
	for i, c := range ix.columns {
		if next == len(order) {
			break
		}
		o := order[next]
		switch {
		case c.path != o.path && single[i]:
			continue
		case c.path != o.path || c.array:
			return false, false
		case !single[i]:
			flip := c.descending != o.descending
			if decided && flip != reverse {
				return false, false
			}
			reverse, decided = flip, true
		}
		next++
	}
	return next == len(order), reverse
}
