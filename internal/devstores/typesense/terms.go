package typesense

import (
	"cmp"
	"slices"
	"sort"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
)

// term is one word of a field and the documents it stands in.
type term struct {
	text string
	id   uint32
	docs *roaring.Bitmap
	best int64 // the highest default sorting value among its documents, ever
}

// dictionary holds a field's terms, findable by word, by prefix and by likeness.
type dictionary struct {
	byText map[string]*term
	byID   []*term
	sorted []*term // by text
	fresh  []*term // by text too; merged into sorted when it grows
}

// maxFresh bounds the cost of inserting into the small sorted part.
const maxFresh = 1024

func newDictionary() *dictionary { return &dictionary{byText: map[string]*term{}} }

// intern returns the term of a word, adding it when it is new.
func (d *dictionary) intern(word string) *term {
	if t := d.byText[word]; t != nil {
		return t
	}
	t := &term{text: strings.Clone(word), id: uint32(len(d.byID)), docs: roaring.New()}
	d.byText[t.text] = t
	d.byID = append(d.byID, t)
	at, _ := slices.BinarySearchFunc(d.fresh, t, byText)
	d.fresh = slices.Insert(d.fresh, at, t)
	if len(d.fresh) > maxFresh {
		d.sorted = merged(d.sorted, d.fresh)
		d.fresh = nil
	}
	return t
}

func byText(a, b *term) int { return strings.Compare(a.text, b.text) }

func merged(a, b []*term) []*term {
	out := make([]*term, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0].text < b[0].text {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// exact returns the term of a word when some document has it.
func (d *dictionary) exact(word string) *term {
	if t := d.byText[word]; t != nil && !t.docs.IsEmpty() {
		return t
	}
	return nil
}

// withPrefix visits the terms that begin with p.
func (d *dictionary) withPrefix(p string, visit func(*term)) {
	for _, terms := range [2][]*term{d.sorted, d.fresh} {
		at, _ := slices.BinarySearchFunc(terms, p, func(t *term, p string) int { return strings.Compare(t.text, p) })
		for ; at < len(terms) && strings.HasPrefix(terms[at].text, p); at++ {
			visit(terms[at])
		}
	}
}

// like visits the terms exactly cost edits away from q; with prefix, those of which the nearest beginning is.
func (d *dictionary) like(q string, cost int, prefix bool, visit func(*term)) {
	if cost == 0 {
		if prefix {
			d.withPrefix(q, visit)
		} else if t := d.byText[q]; t != nil {
			visit(t)
		}
		return
	}
	for _, terms := range [2][]*term{d.sorted, d.fresh} {
		w := likeness{q: q, max: cost, prefix: prefix, terms: terms, found: func(t *term, at int) {
			if at == cost {
				visit(t)
			}
		}}
		w.run()
	}
}

// likeness walks sorted terms as a trie: the terms of a range share their first letters and so one row of the
// Damerau-Levenshtein matrix per letter; a range is left as soon as its row cannot come within max.
type likeness struct {
	q      string
	max    int
	prefix bool
	terms  []*term
	found  func(*term, int)
	rows   [][]int
}

func (w *likeness) run() {
	w.row(0)
	for i := range w.rows[0] {
		w.rows[0][i] = i
	}
	w.walk(0, len(w.terms), 0, len(w.q))
}

func (w *likeness) row(depth int) []int {
	for len(w.rows) <= depth {
		w.rows = append(w.rows, make([]int, len(w.q)+1))
	}
	return w.rows[depth]
}

// walk looks at terms[lo:hi], which agree in their first depth letters; best is the smallest cost of such a beginning.
func (w *likeness) walk(lo, hi, depth, best int) {
	above := w.row(depth)
	last := above[len(w.q)]
	best = min(best, last)
	for lo < hi && len(w.terms[lo].text) == depth {
		if at := w.at(best, last); at <= w.max {
			w.found(w.terms[lo], at)
		}
		lo++
	}
	for lo < hi {
		c := w.terms[lo].text[depth]
		end := lo + sort.Search(hi-lo, func(i int) bool { return w.terms[lo+i].text[depth] > c })
		least := min(w.fill(depth+1, w.terms[lo].text), slices.Min(above)+1) // a transposition reaches back one row
		switch {
		case w.prefix && least >= best: // nothing deeper is better, so all of the range costs the same
			if best <= w.max {
				for _, t := range w.terms[lo:end] {
					w.found(t, best)
				}
			}
		case least <= w.max:
			w.walk(lo, end, depth+1, best)
		case w.prefix && best <= w.max:
			for _, t := range w.terms[lo:end] {
				w.found(t, best)
			}
		}
		lo = end
	}
}

func (w *likeness) at(best, last int) int {
	if w.prefix {
		return best
	}
	return last
}

// fill computes the row of the first depth letters of text and returns its smallest entry.
func (w *likeness) fill(depth int, text string) int {
	row, above := w.row(depth), w.rows[depth-1]
	c := text[depth-1]
	row[0] = depth
	least := depth
	for j := 1; j <= len(w.q); j++ {
		v := above[j-1]
		if w.q[j-1] != c {
			v = min(v, above[j], row[j-1]) + 1
			if depth > 1 && j > 1 && w.q[j-2] == c && w.q[j-1] == text[depth-2] {
				v = min(v, w.rows[depth-2][j-2]+1)
			}
		}
		row[j] = v
		least = min(least, v)
	}
	return least
}

// ranked orders candidates the way Typesense picks the top ones: by the default sorting field when there is one, else
// by how many documents have the word.
func ranked(terms []*term, byBest bool) {
	type rank struct {
		t           *term
		best, count int64
	}
	ranks := make([]rank, len(terms))
	for i, t := range terms {
		ranks[i] = rank{t: t, count: int64(t.docs.GetCardinality())}
		if byBest {
			ranks[i].best = t.best
		}
	}
	slices.SortFunc(ranks, func(a, b rank) int {
		return cmp.Or(cmp.Compare(b.best, a.best), cmp.Compare(b.count, a.count), strings.Compare(a.t.text, b.t.text))
	})
	for i, r := range ranks {
		terms[i] = r.t
	}
}
