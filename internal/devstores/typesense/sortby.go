package typesense

import (
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
)

// sortBy is what a clause of sort_by orders by.
type sortBy int

const (
	byTextMatch sortBy = iota
	byNumber
	byString
	byEval
	byDistance
	byArrival
	byChance
)

// sortClause is one clause of sort_by.
type sortClause struct {
	by         sortBy
	f          *field
	ascending  bool
	missing    string // "", first or last
	buckets    int    // of a text match: how many levels it is reduced to
	bucketSize int
	evals      []scoredFilter
	from       point
	seed       uint64
}

// scoredFilter gives the documents it passes a score.
type scoredFilter struct {
	filter filter
	score  int64
}

// parseSort reads sort_by; without one, the text match and the default sorting field decide.
func parseSort(s *schema, text string) ([]sortClause, *apiError) {
	parts := splitOutside(text)
	if len(parts) > maxSortFields {
		return nil, refuse(http.StatusUnprocessableEntity, "Only upto %d sort_by fields can be specified.", maxSortFields)
	}
	var out []sortClause
	hasMatch := false
	for _, part := range parts {
		c, err := parseSortClause(s, part)
		if err != nil {
			return nil, err
		}
		hasMatch = hasMatch || c.by == byTextMatch
		out = append(out, c)
	}
	switch {
	case len(parts) == 0:
		out = append(out, sortClause{by: byTextMatch})
		if f := s.field(s.DefaultSort); f != nil && f.kind.numeric() {
			out = append(out, sortClause{by: byNumber, f: f})
		} else if f != nil && f.kind == kindString {
			out = append(out, sortClause{by: byString, f: f})
		}
	case !hasMatch && len(out) < maxSortFields:
		out = append(out, sortClause{by: byTextMatch})
	}
	return out, nil
}

func parseSortClause(s *schema, part string) (c sortClause, err *apiError) {
	expr, order, found := cutLast(part, ":")
	if !found || strings.ContainsAny(order, ")]") {
		if !strings.HasPrefix(part, "_rand(") {
			return c, badRequest("Parameter `sort_by` is malformed.")
		}
		expr, order = part, "desc"
	}
	expr = strings.TrimSpace(expr)
	name, args, hasArgs := strings.Cut(expr, "(")
	args = strings.TrimSpace(strings.TrimSuffix(args, ")"))
	switch strings.ToLower(strings.TrimSpace(order)) {
	case "asc":
		c.ascending = true
	case "desc":
	default:
		return c, badRequest("Order for field` %s` should be either ASC or DESC.", name)
	}
	switch {
	case name == "_text_match":
		c.by = byTextMatch
		return c, c.readBuckets(args, hasArgs)
	case name == "_eval" && hasArgs:
		c.by = byEval
		c.evals, err = parseEvals(s, args)
		return c, err
	case name == "_seq_id":
		c.by = byArrival
		return c, nil
	case name == "_rand" && hasArgs:
		c.by = byChance
		seed, parseErr := strconv.ParseUint(args, 10, 64)
		if args != "" && parseErr != nil {
			return c, badRequest("`_rand()` takes a positive integer.")
		}
		c.seed = seed
		return c, nil
	}
	return c, c.readField(s, name, args, hasArgs)
}

func (c *sortClause) readBuckets(args string, hasArgs bool) *apiError {
	if !hasArgs {
		return nil
	}
	what, n, _ := strings.Cut(args, ":")
	count, err := strconv.Atoi(strings.TrimSpace(n))
	if err != nil || count < 0 {
		return badRequest("Invalid value passed for _text_match `buckets` configuration.")
	}
	switch strings.TrimSpace(what) {
	case "buckets":
		c.buckets = count
	case "bucket_size":
		c.bucketSize = count
	default:
		return badRequest("Invalid sorting parameter passed for _text_match.")
	}
	return nil
}

func (c *sortClause) readField(s *schema, name, args string, hasArgs bool) *apiError {
	f := s.field(name)
	if f == nil || !f.Sort || f.array || !f.Index {
		return notFound("Could not find a field named `%s` in the schema for sorting.", name)
	}
	c.f = f
	switch f.kind {
	case kindGeo:
		c.by = byDistance
		parts := splitNames(args)
		if len(parts) < 2 {
			return badRequest("Bad syntax for sorting field `%s`", name)
		}
		at, ok := floats(parts[:2])
		if !ok {
			return badRequest("Bad syntax for geopoint sorting field `%s`", name)
		}
		c.from = point{at[0], at[1]}
		return nil
	case kindString:
		c.by = byString
	default:
		c.by = byNumber
	}
	if !hasArgs {
		return nil
	}
	what, how, _ := strings.Cut(args, ":")
	how = strings.TrimSpace(how)
	if strings.TrimSpace(what) != "missing_values" || how != "first" && how != "last" && how != "normal" {
		return badRequest("Bad syntax for sorting field `%s`", name)
	}
	if how != "normal" {
		c.missing = how
	}
	return nil
}

// parseEvals reads filter, or [(filter):3, (filter):2].
func parseEvals(s *schema, args string) ([]scoredFilter, *apiError) {
	inner, isList := strings.CutPrefix(args, "[")
	if !isList {
		f, err := parseFilter(s, args)
		if err == nil && f == nil {
			err = badRequest("The eval expression in sort_by is empty.")
		}
		return []scoredFilter{{f, 1}}, err
	}
	var out []scoredFilter
	for _, part := range splitOutside(strings.TrimSuffix(inner, "]")) {
		expr, score, found := cutLast(part, ":")
		n, parseErr := strconv.ParseInt(strings.TrimSpace(score), 10, 64)
		if !found || parseErr != nil {
			return nil, badRequest("Invalid score for `_eval` expression.")
		}
		f, err := parseFilter(s, expr)
		if err != nil {
			return nil, err
		}
		if f == nil {
			return nil, badRequest("The eval expression in sort_by is empty.")
		}
		out = append(out, scoredFilter{f, n})
	}
	return out, nil
}

// sorter orders documents by a list of clauses.
type sorter struct {
	x       *index
	clauses []sortClause
	evals   [][]evaluated    // by clause
	scores  []uint64         // text match by document; nil when everything matches
	levels  map[uint32]int64 // in place of scores once they are reduced to buckets
}

type evaluated struct {
	docs  *roaring.Bitmap
	score int64
}

// keys are a document's standing for each clause: greater comes first. A string clause is compared by the strings.
type keys [maxSortFields]int64

func newSorter(x *index, clauses []sortClause, scores []uint64) *sorter {
	s := &sorter{x: x, clauses: clauses, scores: scores, evals: make([][]evaluated, len(clauses))}
	for i, c := range clauses {
		for _, e := range c.evals {
			s.evals[i] = append(s.evals[i], evaluated{e.filter(x), e.score})
		}
	}
	return s
}

func (s *sorter) keys(doc uint32) (k keys) {
	for i, c := range s.clauses {
		switch c.by {
		case byTextMatch:
			k[i] = s.directed(c, s.score(doc))
		case byNumber:
			k[i] = s.numberKey(c, doc)
		case byEval:
			k[i] = s.directed(c, s.eval(i, doc))
		case byDistance:
			k[i] = distanceKey(c, s.x.fields[c.f.Name].geo.nearest(doc, c.from))
		case byArrival:
			k[i] = s.directed(c, int64(doc))
		case byChance:
			k[i] = int64(scramble(c.seed, doc) >> 1)
		}
	}
	return k
}

func (s *sorter) score(doc uint32) int64 {
	if level, ok := s.levels[doc]; ok {
		return level
	}
	if s.scores == nil {
		return 0
	}
	return int64(s.scores[doc])
}

func (s *sorter) directed(c sortClause, n int64) int64 {
	if c.ascending {
		return -n
	}
	return n
}

func (s *sorter) numberKey(c sortClause, doc uint32) int64 {
	n := s.x.fields[c.f.Name].numbers.at(doc)
	switch {
	case n == missing && c.missing == "first":
		return math.MaxInt64
	case n == missing:
		return math.MinInt64
	}
	return s.directed(c, n)
}

func (s *sorter) eval(i int, doc uint32) int64 {
	for _, e := range s.evals[i] {
		if e.docs.Contains(doc) {
			return e.score
		}
	}
	return 0
}

func distanceKey(c sortClause, d float64) int64 {
	switch {
	case math.IsInf(d, 1):
		return math.MinInt64
	case c.ascending:
		return -int64(d)
	}
	return int64(d)
}

// scramble is a fixed shuffle of documents for a seed.
func scramble(seed uint64, doc uint32) uint64 {
	z := seed + uint64(doc)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// before says whether document a comes before b; of equals, the one that arrived last does.
func (s *sorter) before(a, b uint32, ka, kb *keys) bool {
	for i := range s.clauses {
		if s.clauses[i].by == byString {
			if c := s.compareStrings(&s.clauses[i], a, b); c != 0 {
				return c < 0
			}
		} else if ka[i] != kb[i] {
			return ka[i] > kb[i]
		}
	}
	return a > b
}

// compareStrings puts documents without the string where missing_values says, or else where the greatest would be.
func (s *sorter) compareStrings(c *sortClause, a, b uint32) int {
	col := s.x.fields[c.f.Name].sort
	va, vb := col.at(a), col.at(b)
	if (va == "") != (vb == "") {
		first := c.missing == "first" || c.missing == "" && !c.ascending
		if (va == "") == first {
			return -1
		}
		return 1
	}
	if c.ascending {
		return strings.Compare(va, vb)
	}
	return strings.Compare(vb, va)
}
