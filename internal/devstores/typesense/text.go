package typesense

import (
	"math"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// elementEnd stands between the elements of an array in a document's row of terms.
const elementEnd = math.MaxUint32

// textIndex finds documents by the words of one field and knows every document's words in order.
type textIndex struct {
	dict *dictionary
	rows [][]uint32 // by document: term ids in order
}

func newTextIndex() *textIndex { return &textIndex{dict: newDictionary()} }

// words is a field's text split for the index, made before the lock is taken.
type words [][]string

func (x *textIndex) put(doc uint32, text words, best int64) {
	n := len(text) - 1
	for _, element := range text {
		n += len(element)
	}
	row := make([]uint32, 0, max(n, 0))
	for i, element := range text {
		if i > 0 {
			row = append(row, elementEnd)
		}
		for _, w := range element {
			t := x.dict.intern(w)
			t.docs.Add(doc)
			t.best = max(t.best, best)
			row = append(row, t.id)
		}
	}
	x.rows = grown(x.rows, doc)
	x.rows[doc] = row
}

func (x *textIndex) remove(doc uint32) {
	if int(doc) >= len(x.rows) {
		return
	}
	for _, id := range x.rows[doc] {
		if id != elementEnd {
			x.dict.byID[id].docs.Remove(doc)
		}
	}
	x.rows[doc] = nil
}

func (x *textIndex) row(doc uint32) []uint32 {
	if int(doc) >= len(x.rows) {
		return nil
	}
	return x.rows[doc]
}

// having returns the documents that have all of the words somewhere in the field.
func (x *textIndex) having(words []string) *roaring.Bitmap {
	var out *roaring.Bitmap
	for _, w := range words {
		t := x.dict.exact(w)
		if t == nil {
			return roaring.New()
		}
		if out == nil {
			out = t.docs.Clone()
		} else {
			out.And(t.docs)
		}
	}
	if out == nil {
		return roaring.New()
	}
	return out
}

// phrase returns the documents that have the words next to each other; whole asks that an element be nothing else,
// leading that an element begin with them.
func (x *textIndex) phrase(words []string, leading, whole bool) *roaring.Bitmap {
	docs := x.having(words)
	if docs.IsEmpty() || len(words) == 1 && !leading && !whole {
		return docs
	}
	ids := make([]uint32, len(words))
	for i, w := range words {
		ids[i] = x.dict.byText[w].id
	}
	out := roaring.New()
	for it := docs.Iterator(); it.HasNext(); {
		doc := it.Next()
		if hasPhrase(x.rows[doc], ids, leading, whole) {
			out.Add(doc)
		}
	}
	return out
}

func hasPhrase(row, ids []uint32, leading, whole bool) bool {
	for len(row) > 0 {
		element := row
		if i := slices.Index(row, elementEnd); i >= 0 {
			element, row = row[:i], row[i+1:]
		} else {
			row = nil
		}
		switch {
		case whole:
			if slices.Equal(element, ids) {
				return true
			}
		case leading:
			if len(element) >= len(ids) && slices.Equal(element[:len(ids)], ids) {
				return true
			}
		default:
			for i := 0; i+len(ids) <= len(element); i++ {
				if slices.Equal(element[i:i+len(ids)], ids) {
					return true
				}
			}
		}
	}
	return false
}

// grown makes room for a document in a column.
func grown[T any](col []T, doc uint32) []T {
	for int(doc) >= len(col) {
		var zero T
		col = append(col, zero)
	}
	return col
}
