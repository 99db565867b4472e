package mongo

import (
	"slices"
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"github.com/tidwall/btree"
	"go.mongodb.org/mongo-driver/bson"
)

// index keeps a collection's documents in the order of some of their fields.
type index struct {
	name    string
	spec    bson.D // as listIndexes shows it
	columns []column
	unique  bool
	sparse  bool
	partial *filter // nil indexes every document
	tree    *btree.BTreeG[indexEntry]
}

// column is one field of an index or of a sort.
type column struct {
	path       string
	descending bool
	// array is true once a document had an array in this path: bounds and order then hold for elements, not documents.
	array bool
}

type indexEntry struct {
	key string
	doc *document // nil in a pivot, which stands before all entries of its key
}

func entryLess(a, b indexEntry) bool {
	if a.key != b.key {
		return a.key < b.key
	}
	return a.doc.order() < b.doc.order()
}

func newIndexTree() *btree.BTreeG[indexEntry] {
	return btree.NewBTreeGOptions(entryLess, btree.Options{NoLocks: true})
}

// keys are the entries a document has in the index: none, one, or one for each element of an array.
func (ix *index) keys(doc bson.D) ([]string, error) {
	tuples, err := ix.tuples(doc)
	if err != nil {
		return nil, err
	}
	keys := make([]string, len(tuples))
	for i, tuple := range tuples {
		keys[i] = ix.key(tuple)
	}
	if len(keys) > 1 {
		slices.Sort(keys)
		keys = slices.Compact(keys)
	}
	return keys, nil
}

func (ix *index) key(tuple []any) string {
	var key []byte
	for i, c := range ix.columns {
		key = appendKey(key, tuple[i], c.descending)
	}
	return string(key)
}

// tuples are the column values behind the keys.
func (ix *index) tuples(doc bson.D) ([][]any, error) {
	if ix.partial != nil {
		if ok, err := ix.partial.matches(doc); !ok || err != nil {
			return nil, err
		}
	}
	branches := make([]branch, len(ix.columns))
	for i, c := range ix.columns {
		branches[i] = branch{value: doc, rest: c.path}
	}
	tuples, err := expand(branches)
	if err != nil {
		return nil, err
	}
	if ix.sparse {
		tuples = slices.DeleteFunc(tuples, func(tuple []any) bool {
			return !slices.ContainsFunc(tuple, func(v any) bool { return v != bsonkit.Missing })
		})
	}
	return tuples, nil
}

// noteArrays remembers which columns hold arrays.
func (ix *index) noteArrays(doc bson.D) {
	for i := range ix.columns {
		c := &ix.columns[i]
		c.array = c.array || crossesArray(doc, c.path)
	}
}

// owner is the document that holds a key, other than the one asking.
func (ix *index) owner(key string, except *document) *document {
	var holder *document
	ix.tree.Ascend(indexEntry{key: key}, func(e indexEntry) bool {
		if e.key != key {
			return false
		}
		if e.doc.order() != except.order() {
			holder = e.doc
		}
		return holder == nil
	})
	return holder
}

// keyPattern is the index's columns as the client named them.
func (ix *index) keyPattern() bson.D {
	pattern, _ := lookup(ix.spec, "key").(bson.D)
	return pattern
}

// needs are the top-level fields that decide a document's entries.
func (ix *index) needs() fields {
	need := fields{}
	if ix.partial != nil {
		if ix.partial.needs == nil {
			return nil
		}
		for name := range ix.partial.needs {
			need[name] = true
		}
	}
	for _, c := range ix.columns {
		need[head(c.path)] = true
	}
	return need
}

// branch is one column on its way down into a document.
type branch struct {
	value any
	rest  string // what is left of the path, bsonkit.PathEnd at its end
	at    string // where the walk stands, to tell arrays apart
	done  bool
}

// walk goes down until the path ends or meets an array that stands for several values.
func (b *branch) walk() (atArray bool) {
	for !b.done {
		array, isArray := b.value.(bson.A)
		if b.rest == bsonkit.PathEnd {
			return isArray
		}
		segment := bsonkit.PathSegment(b.rest)
		switch {
		case isArray:
			i, numeric := bsonkit.ParseIndex(segment)
			if !numeric || i >= len(array) {
				return true
			}
			b.value = array[i]
		default:
			doc, _ := b.value.(bson.D)
			b.value = field(doc, segment)
		}
		b.rest = bsonkit.ReducePath(b.rest)
		b.at += segment + "."
		if b.value == bsonkit.Missing {
			b.done = true
		}
	}
	return false
}

func field(doc bson.D, key string) any {
	for _, e := range doc {
		if e.Key == key {
			return e.Value
		}
	}
	return bsonkit.Missing
}

// expand walks all columns at once: columns inside the same array go through its elements together, as MongoDB does,
// and two different arrays in one index are refused.
func expand(branches []branch) ([][]any, error) {
	array, at := bson.A(nil), ""
	waiting := make([]bool, len(branches))
	for i := range branches {
		b := &branches[i]
		if waiting[i] = b.walk(); !waiting[i] {
			continue
		}
		if array != nil && b.at != at {
			return nil, errorf(codeCannotIndexParallel, "cannot index parallel arrays [%s] [%s]",
				strings.TrimSuffix(b.at, "."), strings.TrimSuffix(at, "."))
		}
		array, at = b.value.(bson.A), b.at
	}
	if array == nil {
		tuple := make([]any, len(branches))
		for i, b := range branches {
			tuple[i] = b.value
		}
		return [][]any{tuple}, nil
	}
	if len(array) == 0 {
		array = bson.A{bsonkit.Missing}
	}
	var tuples [][]any
	for _, element := range array {
		next := slices.Clone(branches)
		for i := range next {
			if b := &next[i]; waiting[i] {
				b.done = b.rest == bsonkit.PathEnd || element == bsonkit.Missing
				if b.value = element; element == bsonkit.Missing && b.rest == bsonkit.PathEnd {
					b.value = bson.A{}
				}
				b.at += "[]."
			}
		}
		expanded, err := expand(next)
		if err != nil {
			return nil, err
		}
		tuples = append(tuples, expanded...)
	}
	return tuples, nil
}

func crossesArray(doc bson.D, path string) bool {
	b := branch{value: doc, rest: path}
	return b.walk()
}

// sortKey is a document's place in a sort: of an array, the element that comes first counts.
func sortKey(doc bson.D, columns []column) ([]byte, error) {
	var key []byte
	for _, c := range columns {
		start := len(key)
		b := branch{value: doc, rest: c.path}
		if !b.walk() {
			key = appendKey(key, b.value, c.descending)
			continue
		}
		tuples, err := expand([]branch{b})
		if err != nil {
			return nil, err
		}
		first := ""
		for _, tuple := range tuples {
			if candidate := string(appendKey(key[start:start], tuple[0], c.descending)); first == "" || candidate < first {
				first = candidate
			}
		}
		key = append(key[:start], first...)
	}
	return key, nil
}

// newColumns reads a sort or key pattern.
func newColumns(pattern bson.D) ([]column, error) {
	columns := make([]column, len(pattern))
	for i, e := range pattern {
		if err := checkPath(e.Key); err != nil {
			return nil, err
		}
		if _, ok := e.Value.(bson.D); ok {
			return nil, unsupported("sort by %s is", e.Key)
		}
		direction, ok := toInt64(e.Value)
		if !ok || (direction != 1 && direction != -1) {
			return nil, errorf(codeBadValue, "direction of %q must be 1 or -1", e.Key)
		}
		columns[i] = column{path: e.Key, descending: direction < 0}
	}
	return columns, nil
}
