package supergraph

import (
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"

	"github.com/souk-shop/souk/schema"
)

// A list counts as one value where nobody says how long it is, and so does everything below it: a document that asks for much would cost
// little. So every list of objects in the shop's graph says it with @listSize, or every field that leads to it does, in sizedFields.
func TestEveryListSaysHowLongItIs(t *testing.T) {
	doc, err := parser.ParseSchema(&ast.Source{Name: "supergraph.graphql", Input: schema.Supergraph})
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]*ast.Definition{}
	var paths []Coordinate // of fields that return objects
	for _, d := range doc.Definitions {
		kinds[d.Name] = d
	}
	prices := readPrices(doc.Definitions)
	for c, p := range prices {
		if of := kinds[p.Returns]; of != nil && of.IsCompositeType() {
			paths = append(paths, c)
		}
	}
	lists := 0
	for _, c := range paths {
		if !prices[c].List {
			continue
		}
		lists++
		if kinds[c.Type].Fields.ForName(c.Field).Directives.ForName("listSize") != nil {
			continue
		}
		sized := false
		for _, to := range paths {
			if prices[to].Returns != c.Type {
				continue
			}
			if sized = prices[to].Sizes(c.Field); !sized {
				break
			}
		}
		if !sized {
			t.Errorf("nobody says how long %s is", c)
		}
	}
	if lists < 50 {
		t.Errorf("%d lists were looked at", lists)
	}
}
