package supergraph

import (
	"slices"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/engine/plan"
)

func allKeys(subgraphs []*subgraph) map[string][]string {
	out := map[string][]string{}
	for _, g := range subgraphs {
		for name, t := range g.types {
			for _, k := range t.keys {
				if !slices.Contains(out[name], k.fields) {
					out[name] = append(out[name], k.fields)
				}
			}
		}
	}
	for _, ks := range out {
		slices.Sort(ks)
	}
	return out
}

// keysOf lists the keys by which a subgraph can name an entity: those it declares; those it does not declare but can
// select from its own fields; and those it can select only below a field that @provides them.
func (s *Supergraph) keysOf(g *subgraph, typeName string) []plan.FederationFieldConfiguration {
	t := g.types[typeName]
	var declared, implicit, conditional []plan.FederationFieldConfiguration
	known := map[string]bool{}
	for _, k := range t.keys {
		known[k.fields] = true
		declared = append(declared, plan.FederationFieldConfiguration{TypeName: typeName, SelectionSet: k.fields, DisableEntityResolver: k.unresolvable})
	}
	for _, fields := range s.keys[typeName] {
		sel, err := selection(fields)
		if err != nil || known[fields] {
			continue
		}
		// An undeclared key is a way out of the subgraph, never a way in: it has no entity resolver.
		k := plan.FederationFieldConfiguration{TypeName: typeName, SelectionSet: fields, DisableEntityResolver: true}
		if g.selects(typeName, sel) {
			implicit = append(implicit, k)
		} else if k.Conditions = s.provided(g, typeName, sel); len(k.Conditions) > 0 {
			conditional = append(conditional, k)
		}
	}
	return slices.Concat(declared, implicit, conditional)
}

// selects tells whether a subgraph can answer the whole selection on a type from fields it resolves itself.
func (g *subgraph) selects(typeName string, sel ast.SelectionSet) bool {
	t := g.types[typeName]
	if t == nil {
		return false
	}
	for _, s := range sel {
		switch s := s.(type) {
		case *ast.Field:
			if s.Name == "__typename" {
				continue
			}
			f, ok := t.field(s.Name)
			if !ok || f.external || len(s.SelectionSet) > 0 && !g.selects(f.Type.Name(), s.SelectionSet) {
				return false
			}
		case *ast.InlineFragment:
			if !g.selects(s.TypeCondition, s.SelectionSet) {
				return false
			}
		}
	}
	return true
}

// provided lists the paths of @provides below which a subgraph returns a key of one external field.
func (s *Supergraph) provided(g *subgraph, typeName string, sel ast.SelectionSet) []plan.KeyCondition {
	if len(sel) != 1 {
		return nil
	}
	f, ok := sel[0].(*ast.Field)
	if !ok || len(f.SelectionSet) > 0 {
		return nil
	}
	w := providesWalk{s: s, g: g, typeName: typeName, fieldName: f.Name}
	for _, p := range g.provides {
		sel, err := selection(p.selection)
		if err != nil {
			continue
		}
		if f, ok := g.types[p.typeName].field(p.fieldName); ok {
			w.walk(f.Type.Name(), sel, []string{p.fieldName}, []plan.FieldCoordinate{{TypeName: p.typeName, FieldName: p.fieldName}})
		}
	}
	return w.found
}

// A providesWalk looks for one field of one type below a field with @provides.
type providesWalk struct {
	s                   *Supergraph
	g                   *subgraph
	typeName, fieldName string
	found               []plan.KeyCondition
}

func (w *providesWalk) walk(parent string, sel ast.SelectionSet, path []string, coordinates []plan.FieldCoordinate) {
	for _, s := range sel {
		switch s := s.(type) {
		case *ast.InlineFragment:
			w.walk(s.TypeCondition, s.SelectionSet, path, coordinates)
		case *ast.Field:
			here := append(slices.Clone(path), s.Name)
			through := append(slices.Clone(coordinates), plan.FieldCoordinate{TypeName: parent, FieldName: s.Name})
			if len(s.SelectionSet) == 0 {
				if s.Name == w.fieldName && w.s.mayBe(parent, w.typeName) {
					w.found = append(w.found, plan.KeyCondition{Coordinates: through, FieldPath: here})
				}
				continue
			}
			if t := w.g.types[parent]; t != nil {
				if f, ok := t.field(s.Name); ok {
					w.walk(f.Type.Name(), s.SelectionSet, here, through)
				}
			}
		}
	}
}

// mayBe tells whether a value of the type parent may be an object of the type typeName.
func (s *Supergraph) mayBe(parent, typeName string) bool {
	if parent == typeName || slices.Contains(s.types[typeName].Interfaces, parent) {
		return true
	}
	u := s.types[parent]
	return u != nil && slices.Contains(u.Types, typeName)
}
