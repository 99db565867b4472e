package supergraph

import (
	"slices"
	"strings"
)

// Places lists the subgraphs that resolve a field, somewhere in the graph at least, by their number in Services.
func (s *Supergraph) Places(typeName, fieldName string) []int {
	var out []int
	for i, g := range s.subgraphs {
		if t := g.types[typeName]; t != nil {
			if f, ok := t.field(fieldName); ok && (!f.external || g.mayProvide(fieldName)) {
				out = append(out, i)
			}
		}
	}
	return out
}

// mayProvide tells whether a @provides of the subgraph has a field of this name.
func (g *subgraph) mayProvide(fieldName string) bool {
	return slices.ContainsFunc(g.provides, func(p fieldSet) bool {
		return slices.Contains(strings.FieldsFunc(p.selection, func(r rune) bool { return strings.ContainsRune(" \t\r\n,{}", r) }), fieldName)
	})
}

// Members lists the types that a union has in every one of some subgraphs.
func (s *Supergraph) Members(union string, places []int) []string {
	var out []string
	for i, p := range places {
		t := s.subgraphs[p].types[union]
		switch {
		case t == nil:
			return nil
		case i == 0:
			out = slices.Clone(t.members)
		default:
			out = slices.DeleteFunc(out, func(m string) bool { return !slices.Contains(t.members, m) })
		}
	}
	return out
}
