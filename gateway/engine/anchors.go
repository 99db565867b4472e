package engine

import (
	"slices"

	"github.com/wundergraph/graphql-go-tools/v2/pkg/ast"

	"github.com/souk-shop/souk/gateway/supergraph"
)

// Of subgraphs that could all go a way, the library takes one by the fields at the way's end, and names of types do not
// count. A way that ends in nothing else gets an anchor: a field beside the name, hidden from the answer.

// bare tells whether a selection asks for nothing but names of types. Fragments on members of a union that the places do
// not have in common ask for nothing either: what the library would take for the answer's end is no end here.
func (s *settler) bare(set int, on ast.Node, places []int) bool {
	return !slices.ContainsFunc(s.doc.SelectionSets[set].SelectionRefs, func(sel int) bool {
		switch r := s.doc.Selections[sel]; r.Kind {
		case ast.SelectionKindInlineFragment:
			if on.Kind == ast.NodeKindUnionTypeDefinition && !s.fits(r.Ref, s.graph.Members(s.schema.NodeNameString(on), places)) {
				return false
			}
			n, ok := s.schema.NodeByName(s.doc.InlineFragmentTypeConditionName(r.Ref))
			return !ok || !s.bare(s.doc.InlineFragments[r.Ref].SelectionSet, n, places)
		case ast.SelectionKindField:
			f, to, here, _ := s.field(r.Ref, on, places)
			if to.Kind == ast.InvalidNode.Kind {
				return s.doc.FieldNameString(r.Ref) != "__typename"
			}
			return !s.bare(f.SelectionSet, to, here)
		}
		return true
	})
}

// anchorBelow puts an anchor at the end of one way through a bare selection. A selection without ways needs none.
func (s *settler) anchorBelow(set int, on ast.Node, places []int) bool {
	return slices.ContainsFunc(slices.Clone(s.doc.SelectionSets[set].SelectionRefs), func(sel int) bool {
		switch r := s.doc.Selections[sel]; r.Kind {
		case ast.SelectionKindInlineFragment:
			n, ok := s.schema.NodeByName(s.doc.InlineFragmentTypeConditionName(r.Ref))
			return ok && s.anchorBelow(s.doc.InlineFragments[r.Ref].SelectionSet, n, places)
		case ast.SelectionKindField:
			f, to, here, _ := s.field(r.Ref, on, places)
			if to.Kind == ast.InvalidNode.Kind {
				return false
			}
			if s.anchorBelow(f.SelectionSet, to, here) {
				return true
			}
			anchor, ok := s.anchor(to, here)
			if ok {
				refs := &s.doc.SelectionSets[f.SelectionSet].SelectionRefs
				*refs = append(*refs, anchor)
			}
			return ok
		}
		return false
	})
}

// anchor selects a field that one of the places resolves at once; not every type has one.
func (s *settler) anchor(on ast.Node, places []int) (selection int, ok bool) {
	typeName := s.schema.NodeNameString(on)
	if on.Kind == ast.NodeKindUnionTypeDefinition {
		for _, member := range s.graph.Members(typeName, places) {
			if n, ok := s.schema.NodeByNameStr(member); ok {
				if sel, ok := s.anchor(n, places); ok {
					return s.fragment(member, []int{sel}), true
				}
			}
		}
		return 0, false
	}
	for _, ref := range s.schema.NodeFieldDefinitions(on) {
		name := s.schema.FieldDefinitionNameString(ref)
		if s.schema.FieldDefinitionHasArgumentsDefinitions(ref) || !s.leaf(ref) || s.guarded(typeName, name) {
			continue
		}
		if slices.ContainsFunc(s.graph.Places(typeName, name), func(p int) bool { return slices.Contains(places, p) }) {
			return s.hiddenField(name), true
		}
	}
	return 0, false
}

func (s *settler) leaf(field int) bool {
	n, ok := s.schema.NodeByName(s.schema.FieldDefinitionTypeNameBytes(field))
	return ok && (n.Kind == ast.NodeKindScalarTypeDefinition || n.Kind == ast.NodeKindEnumTypeDefinition)
}

func (s *settler) guarded(typeName, field string) bool {
	_, ok := s.graph.Rules()[supergraph.Coordinate{Type: typeName, Field: field}]
	return ok
}
