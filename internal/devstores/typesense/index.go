package typesense

import (
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
)

// fieldIndex is everything the index knows of one field; the parts a field's type does not need are nil.
type fieldIndex struct {
	f       *field
	text    *textIndex
	numbers *numberColumn
	facet   *facetIndex
	sort    *stringColumn
	geo     *geoColumn
}

func newFieldIndex(f *field) *fieldIndex {
	x := &fieldIndex{f: f}
	if !f.Index {
		return x
	}
	switch {
	case f.kind == kindString:
		x.text = newTextIndex()
		if f.Sort {
			x.sort = &stringColumn{}
		}
	case f.kind.numeric():
		x.numbers = &numberColumn{}
	case f.kind == kindGeo:
		x.geo = &geoColumn{}
	}
	if f.Facet {
		x.facet = newFacetIndex()
	}
	return x
}

// serves says whether the index, built for one declaration of a field, does for another.
func (x *fieldIndex) serves(f *field) bool {
	return x.f.Type == f.Type && x.f.Facet == f.Facet && x.f.Index == f.Index && x.f.Sort == f.Sort && x.f.words == f.words
}

// entry is one field's value prepared for the index outside its lock.
type entry struct {
	value
	words words
}

func (f *field) prepare(v value) entry {
	e := entry{value: v}
	if f.kind == kindString && f.Index {
		e.words = make(words, len(v.strs))
		for i, s := range v.strs {
			e.words[i] = f.words.words(s)
		}
	}
	return e
}

func (x *fieldIndex) put(doc uint32, e entry, best int64) {
	if x.text != nil {
		x.text.put(doc, e.words, best)
	}
	if x.numbers != nil {
		x.numbers.put(doc, e.nums, x.f.array)
	}
	if x.facet != nil {
		x.facet.put(x.f, doc, e.value)
	}
	if x.sort != nil {
		s := ""
		if len(e.strs) > 0 {
			s = strings.ToLower(e.strs[0])
		}
		x.sort.put(doc, s)
	}
	if x.geo != nil {
		x.geo.put(doc, e.geo)
	}
}

func (x *fieldIndex) remove(doc uint32) {
	if x.text != nil {
		x.text.remove(doc)
	}
	if x.numbers != nil {
		x.numbers.put(doc, nil, x.f.array)
	}
	if x.facet != nil {
		x.facet.remove(doc)
	}
	if x.sort != nil {
		x.sort.put(doc, "")
	}
	if x.geo != nil {
		x.geo.put(doc, nil)
	}
}

// stored is one document as it was written: its JSON never changes once it is here.
type stored struct {
	id  string
	raw []byte
}

// index holds a collection's documents, numbered in the order of their first arrival.
type index struct {
	byID   map[string]uint32
	docs   []stored
	live   *roaring.Bitmap
	fields map[string]*fieldIndex
	bytes  int64 // of live documents' JSON
}

func newIndex() *index {
	return &index{byID: map[string]uint32{}, live: roaring.New(), fields: map[string]*fieldIndex{}}
}

// adopt brings the fields of the index in line with the schema's, keeping those that stay.
func (x *index) adopt(s *schema) {
	fields := make(map[string]*fieldIndex, len(s.checks))
	for _, f := range s.checks {
		if old := x.fields[f.Name]; old != nil && old.serves(f) {
			fields[f.Name] = old
		} else {
			fields[f.Name] = newFieldIndex(f)
		}
	}
	x.fields = fields
}

// find returns the number of a document by its id.
func (x *index) find(id string) (uint32, bool) {
	doc, ok := x.byID[id]
	return doc, ok
}

// change is a document ready to be put: its values, and the ones it had before when it is already indexed.
type change struct {
	id   string
	raw  []byte
	now  []entry // in the order of the schema's checks
	was  []value // likewise; nil for a new document
	best int64
}

// put adds a document or replaces it in place, touching only the fields that differ.
func (x *index) put(s *schema, c change) {
	doc, known := x.byID[c.id]
	if !known {
		doc = uint32(len(x.docs))
		x.byID[c.id] = doc
		x.docs = append(x.docs, stored{id: c.id})
		x.live.Add(doc)
	}
	x.bytes += int64(len(c.raw) - len(x.docs[doc].raw))
	x.docs[doc].raw = c.raw
	for i, f := range s.checks {
		fx := x.fields[f.Name]
		if known {
			if c.was != nil && c.was[i].equal(c.now[i].value) {
				continue
			}
			fx.remove(doc)
		}
		if !c.now[i].empty() {
			fx.put(doc, c.now[i], c.best)
		}
	}
}

// remove takes a document out; its number is not used again.
func (x *index) remove(id string) {
	doc, ok := x.byID[id]
	if !ok {
		return
	}
	delete(x.byID, id)
	x.live.Remove(doc)
	x.bytes -= int64(len(x.docs[doc].raw))
	x.docs[doc] = stored{}
	for _, fx := range x.fields {
		fx.remove(doc)
	}
}
