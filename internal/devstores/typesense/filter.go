package typesense

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
)

// filter is a compiled filter_by: given an index, the documents that pass. The caller must not change the answer.
type filter func(x *index) *roaring.Bitmap

// What a filter that cannot be read is refused with.
const (
	errFilterSyntax   = "Could not parse the filter query."
	errFilterParens   = "Could not parse the filter query: unbalanced parentheses."
	errFilterOperands = "Could not parse the filter query: unbalanced `%s` operands."
)

// Bounds of what a filter may ask, in nesting and in length.
const (
	maxFilterDepth  = 100
	maxFilterLength = 1 << 20
)

// parseFilter compiles a filter_by expression; an empty one is a nil filter.
func parseFilter(s *schema, text string) (filter, *apiError) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	if len(text) > maxFilterLength {
		return nil, badRequest("Filter query is too long.")
	}
	p := filterParser{s: s, in: text}
	f, err := p.either(0)
	if err != nil {
		return nil, err
	}
	if p.space(); p.pos < len(p.in) {
		if p.in[p.pos] == ')' {
			return nil, badRequest(errFilterParens)
		}
		return nil, badRequest(errFilterSyntax)
	}
	return f, nil
}

type filterParser struct {
	s   *schema
	in  string
	pos int
}

func (p *filterParser) space() {
	for p.pos < len(p.in) && (p.in[p.pos] == ' ' || p.in[p.pos] == '\n' || p.in[p.pos] == '\t') {
		p.pos++
	}
}

func (p *filterParser) accept(tok string) bool {
	p.space()
	if strings.HasPrefix(p.in[p.pos:], tok) {
		p.pos += len(tok)
		return true
	}
	return false
}

// ended says whether an operator lacks what it should join.
func (p *filterParser) ended() bool {
	p.space()
	return p.pos == len(p.in)
}

// either reads clauses joined by ||.
func (p *filterParser) either(depth int) (filter, *apiError) {
	f, err := p.both(depth)
	for err == nil && p.accept("||") {
		if p.ended() {
			return nil, badRequest(errFilterOperands, "||")
		}
		var g filter
		if g, err = p.both(depth); err == nil {
			f = anyOf(f, g)
		}
	}
	return f, err
}

// both reads clauses joined by &&, which binds tighter.
func (p *filterParser) both(depth int) (filter, *apiError) {
	f, err := p.one(depth)
	for err == nil && p.accept("&&") {
		if p.ended() {
			return nil, badRequest(errFilterOperands, "&&")
		}
		var g filter
		if g, err = p.one(depth); err == nil {
			f = allOf(f, g)
		}
	}
	return f, err
}

func (p *filterParser) one(depth int) (filter, *apiError) {
	if depth > maxFilterDepth {
		return nil, badRequest("`filter_by` has too many operations.")
	}
	if p.accept("(") {
		f, err := p.either(depth + 1)
		if err != nil {
			return nil, err
		}
		if !p.accept(")") {
			return nil, badRequest(errFilterParens)
		}
		return f, nil
	}
	return p.clause()
}

// clause reads field:value.
func (p *filterParser) clause() (filter, *apiError) {
	p.space()
	colon := strings.IndexByte(p.in[p.pos:], ':')
	if colon < 0 {
		return nil, badRequest(errFilterSyntax)
	}
	name := strings.TrimSpace(p.in[p.pos : p.pos+colon])
	if name == "" || strings.ContainsAny(name, "&|()") {
		return nil, badRequest(errFilterSyntax)
	}
	if strings.HasPrefix(name, "$") || strings.HasSuffix(name, "{") {
		return nil, badRequest("Error with filter field `%s`: not supported by the embedded store.", name)
	}
	p.pos += colon + 1
	value, err := p.value()
	if err != nil {
		return nil, err
	}
	if name == "id" {
		return idFilter(value)
	}
	f := p.s.field(name)
	if f == nil {
		return nil, badRequest("Could not find a filter field named `%s` in the schema.", name)
	}
	if !f.Index {
		return nil, badRequest("Cannot filter on non-indexed field `%s`.", name)
	}
	if value == "" {
		return nil, badRequest("Error with filter field `%s`: Filter value cannot be empty.", name)
	}
	switch f.kind {
	case kindString:
		return stringFilter(f, value)
	case kindBool:
		return boolFilter(f, value)
	case kindGeo:
		return geoFilter(f, value)
	default:
		return numberFilter(f, value)
	}
}

// value reads up to the next operator, minding backticks, brackets and parentheses of its own.
func (p *filterParser) value() (string, *apiError) {
	from, parens, brackets := p.pos, 0, 0
	for ; p.pos < len(p.in); p.pos++ {
		rest := p.in[p.pos:]
		switch c := rest[0]; {
		case c == '`':
			end := strings.IndexByte(rest[1:], '`')
			if end < 0 {
				return "", badRequest(errFilterSyntax)
			}
			p.pos += end + 1
		case c == '(':
			parens++
		case c == ')' && parens == 0 && brackets == 0:
			return strings.TrimSpace(p.in[from:p.pos]), nil
		case c == ')':
			parens--
		case c == '[':
			brackets++
		case c == ']':
			brackets--
		case brackets <= 0 && parens <= 0 && (strings.HasPrefix(rest, "&&") || strings.HasPrefix(rest, "||")):
			return strings.TrimSpace(p.in[from:p.pos]), nil
		}
	}
	if brackets > 0 || parens > 0 {
		return "", badRequest(errFilterSyntax)
	}
	return strings.TrimSpace(p.in[from:]), nil
}

// literal is one value of a clause; quoted ones stand for themselves.
type literal struct {
	text   string
	prefix bool
}

// literals splits [a, `b, c`, d*], or takes a single value.
func literals(value string) []literal {
	inner, isList := strings.CutPrefix(value, "[")
	if isList {
		inner, isList = strings.CutSuffix(inner, "]")
	}
	if !isList {
		return []literal{newLiteral(value)}
	}
	var out []literal
	quoted, from := false, 0
	for i := 0; i <= len(inner); i++ {
		switch {
		case i == len(inner) || inner[i] == ',' && !quoted:
			if v := strings.TrimSpace(inner[from:i]); v != "" {
				out = append(out, newLiteral(v))
			}
			from = i + 1
		case inner[i] == '`':
			quoted = !quoted
		}
	}
	return out
}

func newLiteral(v string) literal {
	text, prefix := strings.CutSuffix(v, "*")
	if len(text) >= 2 && text[0] == '`' && text[len(text)-1] == '`' {
		text = text[1 : len(text)-1]
	}
	return literal{text: strings.ReplaceAll(text, "`", ""), prefix: prefix}
}

// operator takes =, !=, ! off a value that compares as a whole.
func operator(value string) (rest string, exact, not bool) {
	rest, not = strings.CutPrefix(value, "!")
	rest, exact = strings.CutPrefix(rest, "=")
	return strings.TrimSpace(rest), exact, not
}

func anyOf(f, g filter) filter {
	return func(x *index) *roaring.Bitmap { return roaring.Or(f(x), g(x)) }
}

func allOf(f, g filter) filter {
	return func(x *index) *roaring.Bitmap { return roaring.And(f(x), g(x)) }
}

// except turns a filter round: what it does not pass, passes.
func except(not bool, f filter) filter {
	if !not {
		return f
	}
	return func(x *index) *roaring.Bitmap { return roaring.AndNot(x.live, f(x)) }
}

func idFilter(value string) (filter, *apiError) {
	rest, _, not := operator(value)
	ids := literals(rest)
	if len(ids) == 0 || rest == "" {
		return nil, badRequest("Error with filter field `id`: Filter value cannot be empty.")
	}
	return except(not, func(x *index) *roaring.Bitmap {
		out := roaring.New()
		for _, id := range ids {
			if id.prefix && id.text == "" {
				return x.live
			}
			if doc, ok := x.find(id.text); ok {
				out.Add(doc)
			}
		}
		return out
	}), nil
}

func stringFilter(f *field, value string) (filter, *apiError) {
	rest, exact, not := operator(value)
	values := literals(rest)
	if len(values) == 0 || rest == "" {
		return nil, badRequest("Error with filter field `%s`: Filter value cannot be empty.", f.Name)
	}
	return except(not, func(x *index) *roaring.Bitmap {
		text := x.fields[f.Name].text
		out := roaring.New()
		for _, v := range values {
			words := f.words.words(v.text)
			switch {
			case v.prefix && len(words) == 0:
				return x.live
			case v.prefix:
				out.Or(text.beginning(words, exact))
			case exact:
				out.Or(text.phrase(words, true, true))
			default:
				out.Or(text.having(words))
			}
		}
		return out
	}), nil
}

// beginning returns the documents that have all the words, the last as a prefix; leading asks that an element begin
// with them in order.
func (x *textIndex) beginning(words []string, leading bool) *roaring.Bitmap {
	whole, last := words[:len(words)-1], words[len(words)-1]
	out, longer := roaring.New(), map[uint32]bool{}
	x.dict.withPrefix(last, func(t *term) {
		out.Or(t.docs)
		longer[t.id] = true
	})
	if len(whole) > 0 {
		out.And(x.having(whole))
	}
	if !leading {
		return out
	}
	ids := make([]uint32, len(whole))
	for i, w := range whole {
		if t := x.dict.exact(w); t != nil {
			ids[i] = t.id
		}
	}
	kept := roaring.New()
	for it := out.Iterator(); it.HasNext(); {
		doc := it.Next()
		row := x.rows[doc]
		for start := 0; start < len(row); start++ {
			if start > 0 && row[start-1] != elementEnd {
				continue
			}
			at := start + len(ids)
			if at < len(row) && slices.Equal(row[start:at], ids) && longer[row[at]] {
				kept.Add(doc)
				break
			}
		}
	}
	return kept
}

func boolFilter(f *field, value string) (filter, *apiError) {
	rest, _, not := operator(value)
	var want []interval
	for _, v := range literals(rest) {
		switch strings.ToLower(v.text) {
		case "true":
			want = append(want, interval{1, 1})
		case "false":
			want = append(want, interval{0, 0})
		default:
			return nil, badRequest("Value of filter field `%s` must be `true` or `false`.", f.Name)
		}
	}
	return except(not, numbersIn(f, want)), nil
}

// numbersIn passes the documents one of whose numbers lies in one of the intervals.
func numbersIn(f *field, in []interval) filter {
	return func(x *index) *roaring.Bitmap {
		col := x.fields[f.Name].numbers
		bits := make([]uint64, max(len(col.one), len(col.many))/64+1)
		for _, i := range in {
			for doc, n := range col.one {
				if n >= i.lo && n <= i.hi {
					bits[doc/64] |= 1 << (doc % 64)
				}
			}
			for doc, nums := range col.many {
				for _, n := range nums {
					if n >= i.lo && n <= i.hi {
						bits[doc/64] |= 1 << (doc % 64)
					}
				}
			}
		}
		return roaring.FromDense(bits, false)
	}
}

// interval is a condition on a number, both ends included.
type interval struct{ lo, hi int64 }

func numberFilter(f *field, value string) (filter, *apiError) {
	not := strings.HasPrefix(value, "!")
	if not {
		value = strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(value, "!"), "="))
	}
	inner := strings.TrimSpace(strings.TrimPrefix(value, "="))
	parts := []string{value}
	if strings.HasPrefix(inner, "[") && strings.HasSuffix(inner, "]") {
		parts = strings.Split(inner[1:len(inner)-1], ",")
	}
	var passes []interval
	for _, part := range parts {
		in, err := numberInterval(f, strings.Trim(strings.TrimSpace(part), "`"))
		if err != nil {
			return nil, err
		}
		passes = append(passes, in)
	}
	return except(not, numbersIn(f, passes)), nil
}

// numberInterval reads 5, =5, >5, >=5, <5, <=5 or 1..5.
func numberInterval(f *field, v string) (interval, *apiError) {
	all := interval{math.MinInt64 + 1, math.MaxInt64} // MinInt64 stands for no number
	if lo, hi, ok := strings.Cut(v, ".."); ok && !strings.ContainsAny(v[:1], "<>=") {
		a, err := numberKey(f, lo)
		if err != nil {
			return all, err
		}
		b, err := numberKey(f, hi)
		return interval{a, b}, err
	}
	for _, op := range []string{"<=", ">=", "<", ">", "="} {
		rest, ok := strings.CutPrefix(v, op)
		if !ok {
			continue
		}
		n, err := numberKey(f, rest)
		if err != nil {
			return all, err
		}
		switch op {
		case "<=":
			return interval{all.lo, n}, nil
		case ">=":
			return interval{n, all.hi}, nil
		case "<":
			return interval{all.lo, max(n-1, all.lo)}, nil
		case ">":
			if n == math.MaxInt64 {
				return interval{1, 0}, nil
			}
			return interval{n + 1, all.hi}, nil
		}
		return interval{n, n}, nil
	}
	if v == "" || strings.IndexByte("0123456789-+.", v[0]) < 0 {
		return all, badRequest("Error with filter field `%s`: Numerical field has an invalid comparator.", f.Name)
	}
	n, err := numberKey(f, v)
	return interval{n, n}, err
}

func numberKey(f *field, text string) (int64, *apiError) {
	text = strings.TrimSpace(text)
	if f.kind == kindFloat {
		x, err := strconv.ParseFloat(text, 32)
		if err != nil && !math.IsInf(x, 0) || math.IsNaN(x) {
			return 0, badRequest("Error with filter field `%s`: Not a float.", f.Name)
		}
		return floatKey(float32(x)), nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || f.kind == kindInt32 && (n < math.MinInt32 || n > math.MaxInt32) {
		return 0, badRequest("Error with filter field `%s`: Not %s.", f.Name, f.kind.noun())
	}
	return max(n, math.MinInt64+1), nil
}
