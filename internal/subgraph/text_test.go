package subgraph

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/parser"

	"github.com/vektah/gqlparser/v2/ast"
)

// What fails for U+0000 in a text is the caller's to mend, and the error says where the text is.
func TestTextThatNoStoreKeeps(t *testing.T) {
	for name, c := range map[string]struct {
		document  string
		variables map[string]any
		code      string
		path      string
	}{
		"a variable": {
			`mutation($a: In!) { other { id } buy: checkoutComplete(input: $a) { id } }`,
			map[string]any{"a": map[string]any{"quantity": 1, "lines": []any{"fine", map[string]any{"note": "a\x00b"}}}},
			"BAD_USER_INPUT", "buy.input.lines[1].note",
		},
		"of a field below": {
			`query($a: String!) { product { ... on Product { variant(sku: $a) { id } } } }`,
			map[string]any{"a": "\x00"},
			"BAD_USER_INPUT", "product.variant.sku",
		},
		"a literal":    {`{ seller(slug: "\u0000") { id } }`, nil, "BAD_USER_INPUT", ""},
		"another text": {`query($a: String!) { seller(slug: $a) { id } }`, map[string]any{"a": "x"}, "INTERNAL", ""},
	} {
		t.Run(name, func(t *testing.T) {
			doc, err := parser.ParseQuery(&ast.Source{Input: c.document})
			if err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			ctx := graphql.WithOperationContext(context.Background(), &graphql.OperationContext{RawQuery: c.document, Operation: doc.Operations[0], Variables: c.variables})
			got := presenter(slog.New(slog.NewTextHandler(&log, nil)))(ctx, errors.New("SQLSTATE 22021"))
			if got.Extensions["code"] != c.code || got.Path.String() != c.path {
				t.Errorf("got %v at %q, want %s at %q", got.Extensions, got.Path, c.code, c.path)
			}
			if logged := log.Len() > 0; logged != (c.code == "INTERNAL") {
				t.Errorf("logged: %s", &log)
			}
		})
	}
}
