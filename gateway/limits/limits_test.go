package limits

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/wundergraph/graphql-go-tools/v2/pkg/ast"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/astparser"
)

// check does what the engine does with a document before it trusts it.
func check(l Limits, document string) error {
	if err := l.Text(document); err != nil {
		return err
	}
	doc, report := astparser.ParseGraphqlDocumentString(document)
	if report.HasErrors() {
		return report
	}
	for _, n := range doc.RootNodes {
		if n.Kind == ast.NodeKindOperationDefinition {
			return l.Operation(&doc, n.Ref)
		}
	}
	return errors.New("no operation")
}

func nest(open, inner, shut string, n int) string {
	return strings.Repeat(open, n) + inner + strings.Repeat(shut, n)
}

// bomb is fragments each of which spreads the next several times.
func bomb(levels, times int, body string) string {
	var b strings.Builder
	b.WriteString("{ ...f0 }")
	for i := range levels {
		fmt.Fprintf(&b, " fragment f%d on T { %s }", i, strings.Repeat(fmt.Sprintf(body, i+1)+" ", times))
	}
	fmt.Fprintf(&b, " fragment f%d on T { x }", levels)
	return b.String()
}

func many(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format+" ", i)
	}
	return b.String()
}

func TestLimits(t *testing.T) {
	small := Limits{Tokens: 400, Nesting: 20, Depth: 3, Aliases: 2, RootFields: 4, Directives: 4, FieldDirectives: 2, Selections: 30, Repetition: 500, Variables: 2}
	for _, c := range []struct{ name, document, exceeds string }{
		{"as deep as may be", `{ a { b { c } } }`, ""},
		{"too deep", `{ a { b { c { d } } } }`, "levels of fields"},
		{"too deep by a spread", `{ a { ...f } } fragment f on T { b { c { d } } }`, "levels of fields"},
		{"too deep by spreads of spreads", `{ ...f } fragment f on T { a { ...g } } fragment g on T { b { ...h } } fragment h on T { c { d } }`, "levels of fields"},
		{"fragments are no levels", `{ ... { ... on T { ...f } } } fragment f on T { a { ... { b { c } } } }`, ""},
		{"as many aliases as may be", `{ x: a y: b }`, ""},
		{"too many aliases", `{ x: a y: b z: c }`, "aliases"},
		{"too many aliases by spreads", `{ ...f c { ...f } } fragment f on T { x: a y: b }`, "aliases"},
		{"aliases of one fragment below", `{ ...f } fragment f on T { x: a c { y: b { z: d } } }`, "aliases"},
		{"root fields", `{ a b c d }`, ""},
		{"too many root fields", `{ a b c d e }`, "root fields"},
		{"too many by spreads", `{ ...f ... { ...f } a } fragment f on T { b c }`, "root fields"},
		{"fields below are no root fields", `{ a { a b c d e f } }`, ""},
		{"directives", `query @a { a @b @c b @d }`, ""},
		{"too many directives", `query @a { a @b @c b @d @e }`, "directives"},
		{"too many in one place", `{ a @a @b @c }`, "directives in one place"},
		{"too many in one place of a fragment", `{ ...f @a @b @c } fragment f on T { a }`, "directives in one place"},
		{"too many directives by spreads", `{ a { ...f ...f ...f ...f ...f } } fragment f on T { b @a }`, "directives"},
		{"too many selections", "{ a { " + many(30, "f%d") + "} }", "selections"},
		{"too many by spreads", "{ b " + bomb(5, 2, "...f%d")[1:], "root fields"},
		{"too many selections by spreads", "{ a " + bomb(5, 2, "...f%d")[:9] + " }" + bomb(5, 2, "...f%d")[9:], "selections"},
		{"too many tokens", "{ a(x: [" + many(400, "%d") + "]) }", "tokens"},
		{"comments are no way around", strings.Repeat("{", 21), "levels of brackets"},
		{"deep lists", "{ a(x: " + nest("[", "1", "]", 20) + ") }", "levels of brackets"},
		{"deep objects", "{ a(x: " + nest("{x:", "1", "}", 20) + ") }", "levels of brackets"},
		{"deep types", "query ($x: " + nest("[", "I", "]", 20) + ") { a }", "levels of brackets"},
		{"deep inline fragments", nest("{ ... ", "{ a }", "}", 20), "levels of brackets"},
		{"variables", `query ($a: I, $b: I) { a }`, ""},
		{"too many variables", `query ($a: I, $b: I, $c: I) { a }`, "variables"},
		{"repetition", "{ a { " + strings.Repeat("x ", 12) + "} }", ""},
		{"too much repetition", "{ a { " + strings.Repeat("x ", 20) + "} }", "repeated fields' worth of work"},
		{"by spreads", "{ a { ...f ...f ...f ...f ...f ...f ...f ...f } } fragment f on T { x y }", "repeated fields' worth of work"},
		{"below merged fields", "{ " + strings.Repeat("a { x x x x x } ", 4) + "}", "repeated fields' worth of work"},
		{"distinct fields are no repetition", "{ a { " + many(25, "f%d") + "} }", ""},
		{"an unused fragment", `{ a } fragment f on T { b { c { d { e { f } } } } }`, ""},
		{"an unknown fragment", `{ ...nowhere }`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := check(small, c.document)
			var e *Exceeded
			switch {
			case c.exceeds == "" && err != nil:
				t.Errorf("%s: %v", c.document, err)
			case c.exceeds != "" && (!errors.As(err, &e) || e.What != c.exceeds):
				t.Errorf("%s: got %v, want too many %s", c.document, err, c.exceeds)
			}
		})
	}
}

func TestCyclesAreRefused(t *testing.T) {
	for _, document := range []string{
		`{ ...f } fragment f on T { ...f }`,
		`{ ...f } fragment f on T { a { ...g } } fragment g on T { b { ... { ...f } } }`,
	} {
		var cycle *CycleError
		if err := check(Limits{}, document); !errors.As(err, &cycle) {
			t.Errorf("%s: got %v", document, err)
		}
	}
}

// hostile documents are as large as a request may be, or their meaning is.
var hostile = map[string]string{
	"deep":                  nest("{a", "", "}", 100_000),
	"fragment bomb":         bomb(1_000, 2, "...f%d"),
	"fragment bomb, nested": bomb(1_000, 2, "a { ...f%d }"),
	"wide fragment bomb":    bomb(40, 90, "...f%d"),
	"aliases":               "{ " + many(10_000, "a%d: x") + "}",
	"a huge list":           "{ a(x: [" + many(300_000, "%d") + "]) }",
	"overlapping fields":    "{ a { " + strings.Repeat("x ", 7_000) + "} }",
	"overlapping objects":   "{ " + strings.Repeat("a { x } ", 2_000) + "}",
	"overlapping fragments": "{ " + strings.Repeat("... on T { x } ", 2_000) + "}",
	"directives":            "{ a " + strings.Repeat("@skip(if: false) ", 2_000) + "}",
	"one long chain":        bomb(2_000, 1, "...f%d"),
	"variables":             "query (" + many(2_500, "$v%d: I") + ") { a }",
}

func TestHostileDocumentsAreRefused(t *testing.T) {
	for name, document := range hostile {
		var e *Exceeded
		if err := check(Limits{}, document); !errors.As(err, &e) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func BenchmarkHostile(b *testing.B) {
	for name, document := range hostile {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				check(Limits{}, document)
			}
		})
	}
}

func FuzzOperation(f *testing.F) {
	for _, document := range hostile {
		if len(document) < 2_000 {
			f.Add(document)
		}
	}
	f.Add(`query Q($a: Int = 1) @x { a: b(c: {d: [1, "e", $a]}) { ...f ... on T @y { g } } } fragment f on T { h { ...i } } fragment i on U { j }`)
	f.Fuzz(func(t *testing.T, document string) {
		err := check(Limits{}, document)
		var e *Exceeded
		if errors.As(err, &e) && e.Most <= 0 {
			t.Errorf("exceeds %+v", e)
		}
	})
}
