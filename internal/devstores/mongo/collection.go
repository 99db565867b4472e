package mongo

import (
	"slices"
	"strings"
	"sync"

	"github.com/256dpi/lungo/bsonkit"
	"github.com/tidwall/btree"
	"go.mongodb.org/mongo-driver/bson"
)

// namespace names a collection.
type namespace struct{ database, collection string }

func (n namespace) String() string { return n.database + "." + n.collection }

// check refuses names that MongoDB refuses.
func (n namespace) check() error {
	switch {
	case n.database == "" || len(n.database) > 63 || strings.ContainsAny(n.database, "/\\. \"$\x00"):
		return errorf(codeInvalidNamespace, "invalid database name: %q", n.database)
	case n.collection == "" || len(n.String()) > 255 || strings.ContainsAny(n.collection, "$\x00"),
		strings.HasPrefix(n.collection, "."), strings.HasPrefix(n.collection, "system."):
		return errorf(codeInvalidNamespace, "invalid collection name: %q", n.collection)
	}
	return nil
}

// document is one stored document; it never changes, an update puts another in its place.
type document struct {
	seq uint64 // its place in insertion order, kept by updates
	raw bson.Raw
}

// order is the document's place among documents with the same key; pivots come before all of them.
func (d *document) order() uint64 {
	if d == nil {
		return 0
	}
	return d.seq
}

// collection holds the documents of one namespace and their indexes.
type collection struct {
	id uint64 // names its bucket on disk
	ns namespace

	mu      sync.RWMutex // guards everything below
	docs    *btree.BTreeG[*document]
	lastSeq uint64
	indexes []*index // the first is _id_
	needs   fields   // the top-level fields the indexes read
	dropped bool
}

func newCollection(id uint64, ns namespace) *collection {
	byInsertion := func(a, b *document) bool { return a.seq < b.seq }
	c := &collection{id: id, ns: ns, docs: btree.NewBTreeGOptions(byInsertion, btree.Options{NoLocks: true})}
	c.setIndexes([]*index{newIDIndex()})
	return c
}

func (c *collection) setIndexes(indexes []*index) {
	c.indexes, c.needs = indexes, fields{}
	for _, ix := range indexes {
		need := ix.needs()
		if need == nil {
			c.needs = nil
			return
		}
		for name := range need {
			c.needs[name] = true
		}
	}
}

// put stores a document, in place of old when there is one, if every unique index allows it.
func (c *collection) put(d, old *document) error {
	doc, err := decodeFields(d.raw, c.needs)
	if err != nil {
		return err
	}
	added := make([][]string, len(c.indexes))
	for i, ix := range c.indexes {
		if added[i], err = ix.keys(doc); err != nil {
			return err
		}
		if !ix.unique {
			continue
		}
		for _, key := range added[i] {
			if ix.owner(key, d) != nil {
				return c.duplicateKey(ix, doc, key)
			}
		}
	}
	if old != nil {
		if err := c.unindex(old); err != nil {
			return err
		}
	}
	for i, ix := range c.indexes {
		ix.noteArrays(doc)
		for _, key := range added[i] {
			ix.tree.Set(indexEntry{key, d})
		}
	}
	c.docs.Set(d)
	c.lastSeq = max(c.lastSeq, d.seq)
	return nil
}

// remove forgets a document.
func (c *collection) remove(d *document) error {
	if err := c.unindex(d); err != nil {
		return err
	}
	c.docs.Delete(d)
	return nil
}

func (c *collection) unindex(d *document) error {
	doc, err := decodeFields(d.raw, c.needs)
	if err != nil {
		return err
	}
	for _, ix := range c.indexes {
		keys, err := ix.keys(doc)
		if err != nil {
			return err
		}
		for _, key := range keys {
			ix.tree.Delete(indexEntry{key, d})
		}
	}
	return nil
}

// build fills a new index from the documents there are.
func (c *collection) build(ix *index) error {
	need := ix.needs()
	var failed error
	c.docs.Scan(func(d *document) bool {
		var doc bson.D
		if doc, failed = decodeFields(d.raw, need); failed != nil {
			return false
		}
		var keys []string
		if keys, failed = ix.keys(doc); failed != nil {
			return false
		}
		ix.noteArrays(doc)
		for _, key := range keys {
			if ix.unique && ix.owner(key, d) != nil {
				failed = c.duplicateKey(ix, doc, key)
				return false
			}
			ix.tree.Set(indexEntry{key, d})
		}
		return true
	})
	return failed
}

// duplicateKey is MongoDB's refusal of a second document with one unique key.
func (c *collection) duplicateKey(ix *index, doc bson.D, key string) error {
	value := bson.D{}
	tuples, err := ix.tuples(doc)
	if err != nil {
		return err
	}
	for _, tuple := range tuples {
		if ix.key(tuple) != key {
			continue
		}
		for i, col := range ix.columns {
			v := tuple[i]
			if v == bsonkit.Missing {
				v = nil
			}
			value = append(value, bson.E{Key: col.path, Value: v})
		}
		break
	}
	shown, err := bson.MarshalExtJSON(value, false, false)
	if err != nil {
		return err
	}
	return &commandError{
		code:    codeDuplicateKey,
		message: "E11000 duplicate key error collection: " + c.ns.String() + " index: " + ix.name + " dup key: " + string(shown),
		details: bson.D{{Key: "keyPattern", Value: ix.keyPattern()}, {Key: "keyValue", Value: value}},
	}
}

// query is what a command asks of a collection.
type query struct {
	filter *filter
	order  []column
	skip   int64
	limit  int64 // 0 is no limit
	hint   any   // an index's name or key pattern
}

// work is what a query cost, for explain.
type work struct {
	plan plan
	keys int // index entries read
	docs int // documents read
}

// find selects documents. The caller holds the lock; the documents stay good without it.
func (c *collection) find(q query) ([]*document, work, error) {
	w := work{}
	if err := c.choosePlan(q, &w.plan); err != nil {
		return nil, w, err
	}
	need := q.filter.needs
	if !w.plan.sorted && need != nil {
		need = fields{}
		for name := range q.filter.needs {
			need[name] = true
		}
		for _, col := range q.order {
			need[head(col.path)] = true
		}
	}
	enough := -1
	if q.limit > 0 && w.plan.sorted {
		enough = int(q.skip + q.limit)
	}
	var (
		found  []*document
		keys   []string
		failed error
	)
	c.scan(&w, func(d *document) bool {
		w.docs++
		if !w.plan.covered || !w.plan.sorted {
			var doc bson.D
			if doc, failed = decodeFields(d.raw, need); failed != nil {
				return false
			}
			var ok bool
			if ok, failed = q.filter.matches(doc); !ok {
				return failed == nil
			}
			if !w.plan.sorted {
				var key []byte
				if key, failed = sortKey(doc, q.order); failed != nil {
					return false
				}
				keys = append(keys, string(key))
			}
		}
		found = append(found, d)
		return len(found) != enough
	})
	if failed != nil {
		return nil, w, failed
	}
	if !w.plan.sorted {
		sortByKeys(found, keys)
	}
	found = found[min(int(q.skip), len(found)):]
	if q.limit > 0 {
		found = found[:min(int(q.limit), len(found))]
	}
	return found, w, nil
}

func (c *collection) choosePlan(q query, p *plan) error {
	indexes := c.indexes
	total := c.docs.Len()
	if q.hint != nil {
		hinted := slices.IndexFunc(indexes, func(ix *index) bool { return ix.named(q.hint) })
		if hinted < 0 {
			return errorf(codeBadValue, "hint provided does not correspond to an existing index")
		}
		indexes = indexes[hinted : hinted+1]
	}
	*p = choose(indexes, total, q.filter, q.order, q.limit)
	return nil
}

// scan reads documents by the plan until visit has enough.
func (c *collection) scan(w *work, visit func(*document) bool) {
	if w.plan.index == nil {
		c.docs.Scan(visit)
		return
	}
	ranges := w.plan.ranges
	if ranges == nil {
		ranges = []keyRange{{}}
	}
	seen := map[*document]bool{}
	repeats := slices.ContainsFunc(w.plan.index.columns, func(c column) bool { return c.array })
	more := true
	step := func(e indexEntry) {
		w.keys++
		if repeats {
			if seen[e.doc] {
				return
			}
			seen[e.doc] = true
		}
		more = visit(e.doc)
	}
	for i := range ranges {
		if w.plan.reverse {
			w.plan.index.descend(ranges[len(ranges)-1-i], func(e indexEntry) bool { step(e); return more })
		} else {
			w.plan.index.ascend(ranges[i], func(e indexEntry) bool { step(e); return more })
		}
		if !more {
			return
		}
	}
}

func (ix *index) ascend(r keyRange, visit func(indexEntry) bool) {
	ix.tree.Ascend(indexEntry{key: r.from}, func(e indexEntry) bool {
		return (r.to == "" || e.key < r.to) && visit(e)
	})
}

func (ix *index) descend(r keyRange, visit func(indexEntry) bool) {
	down := func(e indexEntry) bool { return e.key >= r.from && visit(e) }
	if r.to == "" {
		ix.tree.Reverse(down)
		return
	}
	ix.tree.Descend(indexEntry{key: r.to}, down)
}

func (ix *index) named(hint any) bool {
	switch h := hint.(type) {
	case string:
		return h == ix.name
	case bson.D:
		return same(h, ix.keyPattern())
	}
	return false
}

// sortByKeys puts documents in the order of their keys and leaves equals as they came.
func sortByKeys(docs []*document, keys []string) {
	places := make([]int, len(docs))
	for i := range places {
		places[i] = i
	}
	slices.SortStableFunc(places, func(a, b int) int { return strings.Compare(keys[a], keys[b]) })
	sorted := make([]*document, len(docs))
	for i, place := range places {
		sorted[i] = docs[place]
	}
	copy(docs, sorted)
}
