package typesense

import (
	"math"
	"slices"
	"strconv"

	"github.com/RoaringBitmap/roaring/v2"
)

// How a text match is put together, from the most to the least significant: words of the query found, the score of the
// best field, that field's weight, and how many fields match. The field's score has the words found close together,
// all words found, typos, closeness, whether the field says nothing else, and how early the words stand.
const (
	wordsShift       = 59
	bestShift        = 11
	weightShift      = 3
	heavyWeightShift = 51 // with text_match_type=max_weight the weight stands before the field's score
	maxFieldsMatched = 7
	maxWordsMatched  = 15

	windowShift  = 40
	uniqueShift  = 32
	typoShift    = 24
	nearShift    = 16
	verbatimBit  = 12
	offsetShift  = 4
	maxTypoCost  = 255
	maxDistance  = 100
	maxOffset    = 255
	windowLength = 10
)

// scorer gives documents their text match for one combination of candidates.
type scorer struct {
	m      *matcher
	chosen []*candidate
	extra  []*candidate // words dropped from the query
	cost   int
	fields []scoredField
	pos    [][]int // scratch: positions by word within one element
	most   uint64  // no document can score more
}

// scoredField is what a scorer needs of one query field.
type scoredField struct {
	text   *textIndex
	ids    []uint32        // term ids of chosen and extra words; absent where the field lacks one
	docs   *roaring.Bitmap // that have one of them; looking here first spares most rows from being read
	weight uint64
	array  bool
}

// absent is a term id that no row holds.
const absent = elementEnd - 1

func newScorer(m *matcher, chosen, extra []*candidate, cost int) *scorer {
	s := &scorer{m: m, chosen: chosen, extra: extra, cost: min(cost, maxTypoCost), most: math.MaxUint64}
	all := slices.Concat(chosen, extra)
	for fi, qf := range m.r.fields {
		sf := scoredField{
			text: m.text[fi], ids: make([]uint32, len(all)), weight: uint64(min(qf.weight, maxFieldWeight)), array: qf.f.array,
		}
		var docs []*roaring.Bitmap
		for i, c := range all {
			sf.ids[i] = absent
			if t := c.terms[fi]; t != nil {
				sf.ids[i] = t.id
				docs = append(docs, t.docs)
			}
		}
		if len(docs) > 0 {
			sf.docs = roaring.FastOr(docs...)
			s.fields = append(s.fields, sf)
		}
	}
	s.pos = make([][]int, len(all))
	if n := len(chosen); len(extra) == 0 && m.synonymOf == 0 && m.r.matchType == "max_score" {
		best := s.pack(proximity{words: n, last: -1}, uint64(n), true)
		s.most = s.compose(uint64(n), best, 0, maxFieldWeight, maxFieldsMatched)
	}
	return s
}

// score is a document's text match.
func (s *scorer) score(doc uint32) uint64 {
	var best, sum, weight, fields uint64
	for i := range s.fields {
		f := &s.fields[i]
		if !f.docs.Contains(doc) {
			continue
		}
		score := s.field(f, f.text.row(doc))
		fields++
		sum += score * f.weight
		better := score > best
		if s.m.r.matchType == "max_weight" {
			better = best == 0 // the fields are in order of weight
		}
		if better {
			best, weight = score, f.weight
		}
	}
	words := uint64(len(s.chosen))
	for _, c := range s.extra {
		if c.docs.Contains(doc) {
			words++
		}
	}
	return s.compose(words, best, sum, weight, fields)
}

// compose puts a text match together.
func (s *scorer) compose(words, best, sum, weight, fields uint64) uint64 {
	words += uint64(s.m.bonus)
	words, fields = min(words, maxWordsMatched), min(fields, maxFieldsMatched)
	if !s.m.r.countFields {
		fields = 0
	}
	switch s.m.r.matchType {
	case "max_weight":
		return words<<wordsShift | weight<<heavyWeightShift | best<<weightShift | fields
	case "sum_score":
		return words<<wordsShift | sum<<weightShift | fields
	}
	return words<<wordsShift | best<<bestShift | weight<<weightShift | fields
}

// field scores one field of one document; 0 when no word is in it.
func (s *scorer) field(f *scoredField, row []uint32) (best uint64) {
	switch {
	case len(f.ids) == 1:
		return s.single(row, f.ids[0])
	case !f.array:
		return s.element(row, f.ids)
	}
	for len(row) > 0 {
		element := row
		if i := slices.Index(row, elementEnd); i >= 0 {
			element, row = row[:i], row[i+1:]
		} else {
			row = nil
		}
		best = max(best, s.element(element, f.ids))
	}
	return best
}

// single is the short way for queries of one word.
func (s *scorer) single(row []uint32, id uint32) uint64 {
	at := slices.Index(row, id)
	if at < 0 {
		return 0
	}
	verbatim := false
	if s.cost == 0 && s.m.r.exactFirst {
		for i := at; i < len(row) && !verbatim; i++ {
			verbatim = row[i] == id && (i == 0 || row[i-1] == elementEnd) && (i == len(row)-1 || row[i+1] == elementEnd)
		}
	}
	return s.pack(proximity{words: 1, last: at}, 1, verbatim)
}

// element scores one string against several words.
func (s *scorer) element(element, ids []uint32) uint64 {
	unique := 0
	for i := range s.pos {
		s.pos[i] = s.pos[i][:0]
	}
	for at, id := range element {
		for i, want := range ids {
			if id == want {
				if len(s.pos[i]) == 0 {
					unique++
				}
				s.pos[i] = append(s.pos[i], at)
			}
		}
	}
	switch unique {
	case 0:
		return 0
	case 1:
		i := slices.IndexFunc(s.pos, func(p []int) bool { return len(p) > 0 })
		return s.pack(proximity{words: 1, last: s.pos[i][0]}, 1, false)
	}
	verbatim := s.m.r.exactFirst && slices.Equal(element, ids[:len(s.chosen)])
	return s.pack(closest(s.pos), uint64(unique), verbatim)
}

func (s *scorer) pack(p proximity, unique uint64, verbatim bool) uint64 {
	if of := s.m.synonymOf; of > 0 && int(unique) == len(s.chosen) { // a synonym is worth what it stands for
		p.words, p.distance, unique = of, of-1, uint64(of)
	}
	score := uint64(p.words)<<windowShift | unique<<uniqueShift | uint64(maxTypoCost-s.cost)<<typoShift |
		uint64(maxDistance-min(p.distance, maxDistance))<<nearShift | 1
	if verbatim {
		score |= 1 << verbatimBit
	}
	if s.m.r.positionFirst {
		score |= uint64(maxOffset-min(p.last+1, maxOffset)) << offsetShift
	}
	return score
}

// proximity is how well words stand together: how many within a window, how far apart, and where the last one is.
type proximity struct{ words, distance, last int }

// closest finds the window with the most words and, of those, the shortest way from word to word.
func closest(pos [][]int) proximity {
	best := proximity{}
	for _, starts := range pos {
		for _, start := range starts {
			p := proximity{}
			before := -1
			for _, at := range pos {
				i, _ := slices.BinarySearch(at, start)
				if i == len(at) || at[i] >= start+windowLength {
					continue
				}
				if before >= 0 {
					p.distance += max(at[i]-before, before-at[i])
				}
				before = at[i]
				p.words++
				p.last = max(p.last, at[i])
			}
			if p.words > best.words || p.words == best.words && p.distance < best.distance {
				best = p
			}
		}
	}
	return best
}

// matchInfo explains a text match, as text_match_info does.
type matchInfo struct {
	BestFieldScore   string `json:"best_field_score"`
	BestFieldWeight  uint64 `json:"best_field_weight"`
	FieldsMatched    uint64 `json:"fields_matched"`
	NumTokensDropped int    `json:"num_tokens_dropped"`
	Score            string `json:"score"`
	TokensMatched    uint64 `json:"tokens_matched"`
	TypoPrefixScore  uint64 `json:"typo_prefix_score"`
}

// explain takes a text match apart again.
func (r *request) explain(score uint64, words int) matchInfo {
	best, weight := score>>bestShift&(1<<(wordsShift-bestShift)-1), score>>weightShift&0xff
	if r.matchType == "max_weight" {
		best, weight = score>>weightShift&(1<<(heavyWeightShift-weightShift)-1), score>>heavyWeightShift&0xff
	}
	matched := score >> wordsShift
	return matchInfo{
		BestFieldScore: strconv.FormatUint(best, 10), BestFieldWeight: weight, FieldsMatched: score & maxFieldsMatched,
		NumTokensDropped: max(0, words-int(matched)), Score: strconv.FormatUint(score, 10), TokensMatched: matched,
		TypoPrefixScore: maxTypoCost - best>>typoShift&0xff,
	}
}
