package supergraph

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestKeysOfAnEntity(t *testing.T) {
	for _, c := range []struct {
		folder, subgraph, typeName string
		want                       []string
	}{
		{"provided-keys", "list", "Item", []string{"sku", "ean: a way out, below featured.item.ean"}},
		{"provided-keys", "goods", "Item", []string{"sku", "ean"}},
		{"implicit-keys", "shelf", "Item", []string{"sku maker { code }: a way out"}},
		{"implicit-keys", "goods", "Item", []string{"sku maker { code }"}},
		{"keys", "goods", "Order", []string{"id: a way out"}},
		{"keys", "goods", "Item", []string{"sku shop { code country }", "ean"}},
		{"keys", "prices", "Item", []string{"sku shop { code country }"}},
		{"interface-object", "ratings", "Media", []string{"id"}},
	} {
		s := read(t, c.folder)
		i := slices.IndexFunc(s.subgraphs, func(g *subgraph) bool { return g.name == c.subgraph })
		var got []string
		for _, k := range s.keysOf(s.subgraphs[i], c.typeName) {
			text := k.SelectionSet
			if k.DisableEntityResolver {
				text += ": a way out"
			}
			for _, condition := range k.Conditions {
				text += ", below " + strings.Join(condition.FieldPath, ".")
			}
			got = append(got, text)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s in %s of %s: %q, want %q", c.typeName, c.subgraph, c.folder, got, c.want)
		}
	}
}

func TestInterfaceObjectsAnswerForTheObjectsBehindThem(t *testing.T) {
	s := read(t, "interface-object")
	for i, want := range []string{"lending: [{Media [Book Film]}] []", "media: [] [{Media [Book Film]}]", "ratings: [{Media [Book Film]}] []"} {
		md := s.metadata(s.subgraphs[i])
		if got := fmt.Sprintf("%s: %v %v", s.subgraphs[i].name, md.InterfaceObjects, md.EntityInterfaces); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	md := s.metadata(s.subgraphs[0])
	var requires []string
	for _, r := range md.Requires {
		requires = append(requires, r.TypeName)
	}
	if !slices.Equal(requires, []string{"Book", "Film", "Media"}) {
		t.Errorf("shelf requires title of %v", requires)
	}
}
