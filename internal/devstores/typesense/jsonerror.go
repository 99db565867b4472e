package typesense

import (
	"errors"
	"fmt"
	"strings"
)

// badJSON is the refusal of a body that does not parse, worded as Typesense's JSON library words it.
func badJSON(body []byte, err error) *apiError {
	if errors.Is(err, errNotObject) {
		return badRequest("Bad JSON: not a proper document.")
	}
	if p := (&jsonDoctor{in: body}); !p.healthy() {
		return badRequest("Bad JSON: [json.exception.parse_error.101] %s", p.diagnosis)
	}
	return badRequest("Bad JSON: a value has the wrong type.")
}

const (
	anyValue = "'[', '{', or a literal"
	endOf    = "end of input"
	badToken = "<parse error>"
)

// jsonDoctor finds the first thing wrong with a text and says where it is and what was expected.
type jsonDoctor struct {
	in        []byte
	pos       int // characters read
	from      int // where the last string or number began: what was "last read" begins there
	complaint string
	diagnosis string
}

func (d *jsonDoctor) healthy() bool {
	return d.value(d.next(), 0) && d.expect(d.next(), endOf, "value")
}

// maxDiagnosedDepth stops the search in texts nested deeper than anybody's document.
const maxDiagnosedDepth = 1000

func (d *jsonDoctor) value(tok string, depth int) bool {
	if depth > maxDiagnosedDepth {
		return false
	}
	switch tok {
	case "'{'":
		return d.object(depth)
	case "'['":
		return d.array(depth)
	case "string literal", "number literal", "true literal", "false literal", "null literal":
		return true
	case badToken:
		return d.fail(tok, "", "value")
	default:
		return d.fail(tok, anyValue, "value")
	}
}

func (d *jsonDoctor) object(depth int) bool {
	tok := d.next()
	if tok == "'}'" {
		return true
	}
	for {
		if !d.expect(tok, "string literal", "object key") || !d.expect(d.next(), "':'", "object separator") ||
			!d.value(d.next(), depth+1) {
			return false
		}
		tok = d.next()
		if tok != "','" {
			return d.expect(tok, "'}'", "object")
		}
		tok = d.next()
	}
}

func (d *jsonDoctor) array(depth int) bool {
	tok := d.next()
	if tok == "']'" {
		return true
	}
	for {
		if !d.value(tok, depth+1) {
			return false
		}
		if tok = d.next(); tok != "','" {
			return d.expect(tok, "']'", "array")
		}
		tok = d.next()
	}
}

func (d *jsonDoctor) expect(tok, want, context string) bool {
	return tok == want || d.fail(tok, want, context)
}

func (d *jsonDoctor) fail(tok, want, context string) bool {
	what := "unexpected " + tok
	if tok == badToken {
		what = fmt.Sprintf("%s; last read: '%s'", d.complaint, printable(d.in[d.from:min(d.pos, len(d.in))]))
	}
	if want != "" {
		what += "; expected " + want
	}
	read := d.in[:min(d.pos, len(d.in))]
	line := strings.Count(string(read), "\n")
	column := d.pos - (strings.LastIndexByte(string(read), '\n') + 1)
	d.diagnosis = fmt.Sprintf("parse error at line %d, column %d: syntax error while parsing %s - %s", line+1, column, context, what)
	return false
}

// next reads one token and names it as the library does.
func (d *jsonDoctor) next() string {
	for d.pos < len(d.in) && strings.IndexByte(" \t\n\r", d.in[d.pos]) >= 0 {
		d.pos++
	}
	if d.pos >= len(d.in) {
		d.pos = len(d.in) + 1
		return endOf
	}
	c := d.in[d.pos]
	switch {
	case strings.IndexByte("[]{}:,", c) >= 0:
		d.pos++
		return "'" + string(c) + "'"
	case c == '"':
		return d.text()
	case c == '-' || c >= '0' && c <= '9':
		return d.number()
	case c == 't':
		return d.literal("true")
	case c == 'f':
		return d.literal("false")
	case c == 'n':
		return d.literal("null")
	}
	d.pos++
	return d.broken("invalid literal")
}

func (d *jsonDoctor) broken(complaint string) string {
	d.complaint = complaint
	return badToken
}

func (d *jsonDoctor) literal(word string) string {
	for i := range len(word) {
		d.pos++
		if d.pos > len(d.in) || d.in[d.pos-1] != word[i] {
			return d.broken("invalid literal")
		}
	}
	return word + " literal"
}

func (d *jsonDoctor) text() string {
	d.from = d.pos
	for d.pos++; d.pos < len(d.in); d.pos++ {
		switch c := d.in[d.pos]; {
		case c == '"':
			d.pos++
			return "string literal"
		case c == '\\':
			d.pos++
		case c < ' ':
			d.pos++
			return d.broken(fmt.Sprintf("invalid string: control character U+%04X must be escaped", c))
		}
	}
	d.pos = len(d.in) + 1
	return d.broken("invalid string: missing closing quote")
}

func (d *jsonDoctor) number() string {
	d.from = d.pos
	if d.in[d.pos] == '-' {
		d.pos++
		if d.pos >= len(d.in) || d.in[d.pos] < '0' || d.in[d.pos] > '9' {
			d.pos++
			return d.broken("invalid number; expected digit after '-'")
		}
	}
	if d.in[d.pos] == '0' {
		d.pos++
	} else {
		d.digits()
	}
	if d.pos < len(d.in) && d.in[d.pos] == '.' {
		d.pos++
		if d.digits() == 0 {
			d.pos++
			return d.broken("invalid number; expected digit after '.'")
		}
	}
	if d.pos < len(d.in) && (d.in[d.pos] == 'e' || d.in[d.pos] == 'E') {
		d.pos++
		if d.pos < len(d.in) && (d.in[d.pos] == '+' || d.in[d.pos] == '-') {
			d.pos++
		}
		if d.digits() == 0 {
			d.pos++
			return d.broken("invalid number; expected '+', '-', or digit after exponent")
		}
	}
	return "number literal"
}

func (d *jsonDoctor) digits() (n int) {
	for ; d.pos < len(d.in) && d.in[d.pos] >= '0' && d.in[d.pos] <= '9'; d.pos++ {
		n++
	}
	return n
}

func printable(b []byte) string {
	var out strings.Builder
	for _, c := range b {
		if c < ' ' {
			fmt.Fprintf(&out, "<U+%04X>", c)
		} else {
			out.WriteByte(c)
		}
	}
	return out.String()
}
