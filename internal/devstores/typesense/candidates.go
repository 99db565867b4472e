package typesense

import (
	"strconv"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
)

// candidate is an indexed word that may stand for a word of the query.
type candidate struct {
	text  string
	cost  int     // edits away, doubled, plus one when the word is longer than what was typed
	terms []*term // by query field; nil where the field does not have it or may not use it
	docs  *roaring.Bitmap
}

// searchTime bounds one search; what has been found by then is the answer.
const searchTime = 5 * time.Second

// Bounds of how many combinations a search tries.
const (
	maxCostCombinations = 100
	maxSuggestions      = 10000
)

// matcher finds the documents of a query and scores them.
type matcher struct {
	r      *request
	x      *index
	byBest bool // candidates are picked by the default sorting field
	text   []*textIndex
	within *roaring.Bitmap // what the filter lets through, less what the query leaves out; nil is everything

	deadline time.Time
	cutOff   bool
	tried    map[string]bool
	cache    map[string][]*candidate
	found    *roaring.Bitmap
	scores   []uint64
	marks    map[string]mark // the words that were searched, for highlighting

	synonymOf int // words of the query that the present variant stands for; 0 outside synonyms
	bonus     int // words by which the present variant is shorter than the longest, so that all count alike
}

// mark says how much of a word a highlight covers.
type mark struct {
	prefix int // letters, when the word was found by its beginning; 0 is all of it
}

func newMatcher(r *request, s *schema, x *index, within *roaring.Bitmap, scores []uint64) *matcher {
	m := &matcher{
		r: r, x: x, byBest: s.DefaultSort != "", within: within, deadline: time.Now().Add(searchTime),
		tried: map[string]bool{}, cache: map[string][]*candidate{}, found: roaring.New(), scores: scores,
		marks: map[string]mark{},
	}
	for _, qf := range r.fields {
		m.text = append(m.text, x.fields[qf.f.Name].text)
	}
	return m
}

func (m *matcher) expired() bool {
	if !m.cutOff && time.Now().After(m.deadline) {
		m.cutOff = true
	}
	return m.cutOff
}

func (m *matcher) count() int { return int(m.found.GetCardinality()) }

// fuzzy searches for all the words, allowing more typos until enough is found. The words dropped from the query raise
// the score of documents that have them.
func (m *matcher) fuzzy(words []queryWord, dropped []string) {
	if len(words) == 0 {
		return
	}
	costs := make([][]int, len(words))
	for i, w := range words {
		for c := 0; c <= m.allowedEdits(w.text); c++ {
			costs[i] = append(costs[i], c)
		}
	}
	extra := m.exactCandidates(dropped)
	for n := 0; n < min(combinations(costs), maxCostCombinations) && !m.expired(); n++ {
		choice := make([]int, len(words)) // which of its costs each word takes; the last word's vary fastest
		for i, q := len(words)-1, n; i >= 0; i-- {
			choice[i], q = q%len(costs[i]), q/len(costs[i])
		}
		lists, hopeless := m.lists(words, costs, choice)
		if hopeless < 0 {
			m.suggest(lists, extra)
		} else { // no word at this cost: forget the cost and begin again
			at := choice[hopeless]
			costs[hopeless] = append(costs[hopeless][:at:at], costs[hopeless][at+1:]...)
			if len(costs[hopeless]) == 0 {
				return
			}
			n = -1
		}
		if !m.r.exhaustive && m.count() >= m.r.typoThreshold {
			return
		}
	}
}

func combinations(costs [][]int) int {
	n := 1
	for _, c := range costs {
		if n *= len(c); n > maxCostCombinations {
			return maxCostCombinations
		}
	}
	return n
}

// lists picks each word's candidates at its chosen cost; hopeless is the first word without any, or -1.
func (m *matcher) lists(words []queryWord, costs [][]int, choice []int) (out [][]*candidate, hopeless int) {
	var before *roaring.Bitmap
	for i, w := range words {
		scope := m.within
		if i > 0 && i == len(words)-1 && before != nil {
			scope = intersection(m.within, before) // the last word has to occur together with the one before
		}
		list := m.candidates(w, costs[i][choice[i]], scope)
		if len(list) == 0 {
			return nil, i
		}
		before = roaring.New()
		for _, c := range list {
			before.Or(c.docs)
		}
		out = append(out, list)
	}
	return out, -1
}

func intersection(a, b *roaring.Bitmap) *roaring.Bitmap {
	if a == nil {
		return b
	}
	return roaring.And(a, b)
}

// allowedEdits is how many typos a word may have by its length.
func (m *matcher) allowedEdits(word string) int {
	digits := 0
	for i := range len(word) {
		if word[i] >= '0' && word[i] <= '9' {
			digits++
		}
	}
	switch {
	case digits == len(word) && !m.r.typosInNumbers, digits > 0 && digits < len(word) && !m.r.typosInCodes:
		return 0
	case len(word) >= m.r.min2Typo:
		return maxEdits
	case len(word) >= m.r.min1Typo:
		return 1
	}
	return 0
}

// candidates are the best indexed words for a query word at exactly this many edits, heaviest field first.
func (m *matcher) candidates(w queryWord, edits int, scope *roaring.Bitmap) []*candidate {
	if scope != m.within {
		return m.lookUp(w, edits, scope)
	}
	key := w.text + " " + strconv.Itoa(edits) + " " + strconv.FormatBool(w.prefix)
	list, known := m.cache[key]
	if !known {
		list = m.lookUp(w, edits, scope)
		m.cache[key] = list
	}
	return list
}

func (m *matcher) lookUp(w queryWord, edits int, scope *roaring.Bitmap) []*candidate {
	seen := map[string]bool{}
	var list []*candidate
	for i, qf := range m.r.fields {
		if edits > qf.typos {
			continue
		}
		for _, t := range m.top(m.text[i].dict, w, edits, w.prefix && qf.prefix, scope, seen) {
			seen[t.text] = true
			longer := w.prefix && len(t.text) > len(w.text)+edits
			list = append(list, m.candidate(t.text, edits, longer))
			m.mark(t.text, w.text, longer && edits == 0)
		}
		if len(list) >= m.r.maxCandidates {
			break
		}
	}
	return list
}

// top picks one field's best words: the very word first, then by rank, as long as a document in scope has them.
func (m *matcher) top(d *dictionary, w queryWord, edits int, prefix bool, scope *roaring.Bitmap, seen map[string]bool) []*term {
	var all, out []*term
	d.like(w.text, edits, prefix, func(t *term) {
		if !seen[t.text] && !t.docs.IsEmpty() {
			all = append(all, t)
		}
	})
	usable := func(t *term) bool { return scope == nil || t.docs.Intersects(scope) }
	if exact := d.exact(w.text); edits == 0 && exact != nil && !seen[w.text] && usable(exact) {
		out = append(out, exact)
	}
	ranked(all, m.byBest)
	for _, t := range all {
		if len(out) >= m.r.maxCandidates {
			break
		}
		if (edits > 0 || t.text != w.text) && usable(t) {
			out = append(out, t)
		}
	}
	return out
}

// candidate looks a word up in every field that may use it.
func (m *matcher) candidate(word string, edits int, longer bool) *candidate {
	c := &candidate{text: word, cost: 2 * edits, terms: make([]*term, len(m.text)), docs: roaring.New()}
	if longer {
		c.cost++
	}
	for i, qf := range m.r.fields {
		if longer && !qf.prefix || edits > qf.typos {
			continue
		}
		if t := m.text[i].dict.exact(word); t != nil {
			c.terms[i] = t
			c.docs.Or(t.docs)
		}
	}
	return c
}

// exactCandidates are the words themselves, as far as they are indexed.
func (m *matcher) exactCandidates(words []string) []*candidate {
	var out []*candidate
	for _, w := range words {
		if c := m.candidate(w, 0, false); !c.docs.IsEmpty() {
			out = append(out, c)
		}
	}
	return out
}

func (m *matcher) mark(word, typed string, longer bool) {
	k := mark{}
	if longer {
		k.prefix = len(typed)
	}
	if old, ok := m.marks[word]; !ok || old.prefix > 0 && (k.prefix == 0 || k.prefix > old.prefix) {
		m.marks[word] = k
	}
}

// suggest scores the documents of every combination of candidates.
func (m *matcher) suggest(lists [][]*candidate, extra []*candidate) {
	chosen := make([]*candidate, len(lists))
	tries := 0
	var pick func(i, cost int, docs *roaring.Bitmap, key string)
	pick = func(i, cost int, docs *roaring.Bitmap, key string) {
		if tries >= maxSuggestions || m.expired() {
			return
		}
		if i == len(lists) {
			if tries++; m.tried[key] {
				return
			}
			m.tried[key] = true
			m.accept(docs, chosen, extra, cost)
			return
		}
		for _, c := range lists[i] {
			next := intersection(docs, c.docs)
			if next.IsEmpty() {
				continue
			}
			chosen[i] = c
			pick(i+1, cost+c.cost, next, key+" "+c.text)
		}
	}
	pick(0, 0, m.within, "")
}

// accept adds a combination's documents, keeping each document's best score.
func (m *matcher) accept(docs *roaring.Bitmap, chosen, extra []*candidate, cost int) {
	sc := newScorer(m, chosen, extra, cost)
	for it := docs.Iterator(); it.HasNext(); {
		doc := it.Next()
		if m.scores[doc] < sc.most {
			m.scores[doc] = max(m.scores[doc], sc.score(doc))
		}
	}
	m.found.Or(docs)
}
