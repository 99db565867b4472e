package typesense

// facetValue is one distinct value of a facet field.
type facetValue struct {
	label string
	key   int64  // of a number
	born  uint32 // the document that brought it; of equally frequent values, the latest is shown first
	live  int32  // how many documents have it now
}

// facetIndex numbers the distinct values of one field and knows every document's.
type facetIndex struct {
	values []facetValue
	byText map[string]uint32
	byKey  map[int64]uint32
	one    []uint32   // by document: value + 1, or 0
	many   [][]uint32 // in place of one, for arrays
}

func newFacetIndex() *facetIndex {
	return &facetIndex{byText: map[string]uint32{}, byKey: map[int64]uint32{}}
}

func (x *facetIndex) put(f *field, doc uint32, v value) {
	ords := make([]uint32, 0, len(v.strs)+len(v.nums))
	for _, s := range v.strs {
		ord, known := x.byText[s]
		if !known {
			ord = x.add(facetValue{label: s, born: doc})
			x.byText[s] = ord
		}
		ords = appendNew(ords, ord)
	}
	for _, n := range v.nums {
		ord, known := x.byKey[n]
		if !known {
			ord = x.add(facetValue{label: f.label(n), key: n, born: doc})
			x.byKey[n] = ord
		}
		ords = appendNew(ords, ord)
	}
	for _, ord := range ords {
		if x.values[ord].live++; x.values[ord].live == 1 {
			x.values[ord].born = doc
		}
	}
	if f.array {
		x.many = grown(x.many, doc)
		x.many[doc] = ords
		return
	}
	x.one = grown(x.one, doc)
	if len(ords) > 0 {
		x.one[doc] = ords[0] + 1
	}
}

// appendNew keeps a value that an array repeats from being counted twice.
func appendNew(ords []uint32, ord uint32) []uint32 {
	for _, o := range ords {
		if o == ord {
			return ords
		}
	}
	return append(ords, ord)
}

func (x *facetIndex) add(v facetValue) uint32 {
	x.values = append(x.values, v)
	return uint32(len(x.values) - 1)
}

func (x *facetIndex) remove(doc uint32) {
	x.each(doc, func(ord uint32) { x.values[ord].live-- })
	if int(doc) < len(x.one) {
		x.one[doc] = 0
	}
	if int(doc) < len(x.many) {
		x.many[doc] = nil
	}
}

// each visits the values of a document.
func (x *facetIndex) each(doc uint32, visit func(ord uint32)) {
	if int(doc) < len(x.one) {
		if v := x.one[doc]; v > 0 {
			visit(v - 1)
		}
	}
	if int(doc) < len(x.many) {
		for _, ord := range x.many[doc] {
			visit(ord)
		}
	}
}
