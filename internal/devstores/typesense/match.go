package typesense

import (
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
)

// match finds every document of the query: as typed, with typos, by synonyms, with words joined or split, and at last
// with words dropped. It returns the words as they were searched.
func (m *matcher) match(t queryText, variants []variant) queryText {
	if t.all {
		m.found = m.everything()
		return t
	}
	if len(t.phrases) > 0 {
		m.within = intersection(m.within, m.phrases(t.phrases))
		if len(t.words) == 0 {
			m.phrasesAlone(t.phrases)
			return t
		}
	}
	searched := t
	longest := len(t.words)
	for _, v := range variants {
		longest = max(longest, len(v.words))
	}
	m.bonus = longest - len(t.words)
	m.fuzzy(t.words, nil)
	if m.r.splitJoin == "always" || m.r.splitJoin == "fallback" && m.found.IsEmpty() {
		if words, ok := m.respaced(t.words); ok {
			m.fuzzy(words, nil)
			searched.words = words
		}
	}
	for _, v := range variants {
		m.synonymOf, m.bonus = v.of, longest-len(v.words)
		m.fuzzy(v.words, nil)
	}
	m.synonymOf, m.bonus = 0, longest-len(t.words)
	m.dropping(searched.words)
	m.infix(t)
	return searched
}

func (m *matcher) everything() *roaring.Bitmap {
	if m.within != nil {
		return m.within
	}
	return m.x.live
}

// phrases returns the documents that have each phrase in one of the fields.
func (m *matcher) phrases(phrases [][]string) *roaring.Bitmap {
	var out *roaring.Bitmap
	for _, p := range phrases {
		one := roaring.New()
		for _, x := range m.text {
			one.Or(x.phrase(p, false, false))
		}
		out = intersection(out, one)
		for _, w := range p {
			m.mark(w, w, false)
		}
	}
	return out
}

// phrasesAlone scores documents by the words of the phrases they were found by.
func (m *matcher) phrasesAlone(phrases [][]string) {
	chosen := m.exactCandidates(slices.Concat(phrases...))
	if len(chosen) > 0 && !m.within.IsEmpty() {
		m.accept(m.within, chosen, nil, 0)
	}
}

// dropping searches with fewer and fewer words, from the right and then from the left, until enough is found.
func (m *matcher) dropping(words []queryWord) {
	if len(words) < 2 {
		return
	}
	both := m.r.dropBothSides >= len(words) && len(words) > 1
	fromLeft := m.r.dropFromLeft
	for range 2 {
		for dropped := 1; dropped < len(words); dropped++ {
			if !m.r.exhaustive && !both && m.count() >= m.r.dropThreshold || m.expired() {
				return
			}
			kept, rest := words[:len(words)-dropped], words[len(words)-dropped:]
			if fromLeft {
				kept, rest = words[dropped:], words[:dropped]
			}
			m.fuzzy(kept, texts(rest))
		}
		fromLeft = !fromLeft
	}
}

func texts(words []queryWord) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = w.text
	}
	return out
}

// respaced treats spaces as typos: it joins two neighbours that are one word in the index, or splits a word in two
// that occur together.
func (m *matcher) respaced(words []queryWord) ([]queryWord, bool) {
	for i := 0; i+1 < len(words); i++ {
		joined := words[i].text + words[i+1].text
		if m.known(joined) != nil {
			out := slices.Concat(words[:i], []queryWord{{joined, words[i+1].prefix}}, words[i+2:])
			return out, true
		}
	}
	for i, w := range words {
		for at := 1; at < len(w.text); at++ {
			left, right := m.known(w.text[:at]), m.known(w.text[at:])
			if left != nil && right != nil && left.Intersects(right) {
				halves := []queryWord{{w.text[:at], false}, {w.text[at:], w.prefix}}
				return slices.Concat(words[:i], halves, words[i+1:]), true
			}
		}
	}
	return nil, false
}

// known returns the documents that have a word in a queried field, or nil.
func (m *matcher) known(word string) *roaring.Bitmap {
	if c := m.candidate(word, 0, false); !c.docs.IsEmpty() {
		return c.docs
	}
	return nil
}

// infixScore is the text match of a document found by the middle of a word.
const infixScore = 100

// infix looks for the first word inside longer ones, in the fields that were asked to.
func (m *matcher) infix(t queryText) {
	if len(t.words) == 0 {
		return
	}
	first := t.words[0].text
	for i, qf := range m.r.fields {
		if qf.infix != "always" && (qf.infix != "fallback" || !m.found.IsEmpty()) || !qf.f.Infix {
			continue
		}
		for _, tm := range m.text[i].dict.byID {
			if !strings.Contains(tm.text, first) || tm.docs.IsEmpty() {
				continue
			}
			docs := intersection(m.within, tm.docs)
			m.mark(tm.text, tm.text, false)
			for it := docs.Iterator(); it.HasNext(); {
				doc := it.Next()
				m.scores[doc] = max(m.scores[doc], infixScore)
			}
			m.found.Or(docs)
		}
	}
}

// unwanted returns the documents that have one of the unwanted words or phrases.
func unwanted(text []*textIndex, without [][]string) *roaring.Bitmap {
	out := roaring.New()
	for _, words := range without {
		for _, x := range text {
			out.Or(x.phrase(words, false, false))
		}
	}
	return out
}
