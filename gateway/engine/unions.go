package engine

import (
	"slices"

	"github.com/wundergraph/graphql-go-tools/v2/pkg/ast"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/engine/resolve"

	"github.com/souk-shop/souk/gateway/supergraph"
)

// Subgraphs may disagree about the members of a union. Where several of them could resolve a field of it, the library
// fetches the members that all have in common and makes null of the others. That is right where the planner has a choice.
// It has none where the object around the field comes from one of these subgraphs: that one goes on, and the union has
// there the members that it has for that one.

// settle leaves in an operation, for each field whose union is settled by the subgraph that the field comes from, the
// fragments on members that it has there. They are put behind a fragment on the union itself, which says the same and
// which the library reads as a choice already made. The name returned is that of placeholders to hide, if there are any.
func settle(doc, schema *ast.Document, graph *supergraph.Supergraph) (placeholder string) {
	s := &settler{doc: doc, schema: schema, graph: graph}
	for _, node := range doc.RootNodes {
		if node.Kind != ast.NodeKindOperationDefinition {
			continue
		}
		op := doc.OperationDefinitions[node.Ref]
		root := schema.Index.QueryTypeName
		switch op.OperationType {
		case ast.OperationTypeMutation:
			root = schema.Index.MutationTypeName
		case ast.OperationTypeSubscription:
			root = schema.Index.SubscriptionTypeName
		}
		if on, ok := schema.NodeByName(root); ok && op.HasSelections {
			s.walk(op.SelectionSet, on, nil)
		}
	}
	return s.hidden
}

type settler struct {
	doc, schema *ast.Document
	graph       *supergraph.Supergraph
	hidden      string // the alias of placeholders
}

// walk goes through the selections on an object that comes from one of the places; none means that it may come from any.
func (s *settler) walk(set int, on ast.Node, places []int) {
	for _, sel := range slices.Clone(s.doc.SelectionSets[set].SelectionRefs) {
		switch r := s.doc.Selections[sel]; r.Kind {
		case ast.SelectionKindInlineFragment:
			f := s.doc.InlineFragments[r.Ref]
			narrowed := on
			if n, ok := s.schema.NodeByName(s.doc.InlineFragmentTypeConditionName(r.Ref)); ok {
				narrowed = n
			}
			s.walk(f.SelectionSet, narrowed, places)
		case ast.SelectionKindField:
			f := s.doc.Fields[r.Ref]
			to, ok := s.schema.FieldTypeNode(s.doc.FieldNameBytes(r.Ref), on)
			if !ok || !f.HasSelections {
				continue
			}
			all := s.graph.Places(s.schema.NodeNameString(on), s.doc.FieldNameString(r.Ref))
			here := slices.DeleteFunc(slices.Clone(all), func(p int) bool { return !slices.Contains(places, p) })
			if len(here) == 0 || on.Kind == ast.NodeKindInterfaceTypeDefinition { // its objects may each have another place
				here = all
			}
			if to.Kind == ast.NodeKindUnionTypeDefinition && len(here) < len(all) {
				s.settleUnion(f.SelectionSet, s.schema.NodeNameString(to), here, all)
			}
			s.walk(f.SelectionSet, to, here)
		}
	}
}

// settleUnion settles the selections on a union that comes from here, when it has other members elsewhere.
func (s *settler) settleUnion(set int, union string, here, all []int) {
	members := s.graph.Members(union, here)
	if len(members) == len(s.graph.Members(union, all)) { // those in fewer places include those in all
		return
	}
	var kept, fitting []int
	for _, sel := range s.doc.SelectionSets[set].SelectionRefs {
		r := s.doc.Selections[sel]
		if r.Kind != ast.SelectionKindInlineFragment {
			kept = append(kept, sel)
			continue
		}
		name := s.doc.InlineFragmentTypeConditionNameString(r.Ref)
		if n, ok := s.schema.NodeByNameStr(name); !ok || n.Kind != ast.NodeKindObjectTypeDefinition || slices.Contains(members, name) {
			fitting = append(fitting, sel)
		}
	}
	if len(fitting) > 0 {
		kept = append(kept, s.fragment(union, fitting))
	}
	if len(kept) == 0 {
		kept = append(kept, s.placeholder())
	}
	s.doc.SelectionSets[set].SelectionRefs = kept
}

func (s *settler) fragment(on string, selections []int) int {
	ref := s.doc.AddInlineFragment(ast.InlineFragment{
		TypeCondition: ast.TypeCondition{Type: s.doc.AddNamedType([]byte(on))},
		SelectionSet:  s.doc.AddSelectionSetToDocument(ast.SelectionSet{SelectionRefs: selections}),
		HasSelections: true,
	})
	return s.doc.AddSelectionToDocument(ast.Selection{Kind: ast.SelectionKindInlineFragment, Ref: ref})
}

// placeholder selects a name that the client did not ask for, since the library plans no object without a field.
func (s *settler) placeholder() int {
	for s.hidden == "" || slices.ContainsFunc(s.doc.Fields, func(f ast.Field) bool {
		return f.Alias.IsDefined && s.doc.Input.ByteSliceString(f.Alias.Name) == s.hidden
	}) {
		s.hidden += "_"
	}
	ref := s.doc.AddField(ast.Field{
		Name:  s.doc.Input.AppendInputString("__typename"),
		Alias: ast.Alias{IsDefined: true, Name: s.doc.Input.AppendInputString(s.hidden)},
	}).Ref
	return s.doc.AddSelectionToDocument(ast.Selection{Kind: ast.SelectionKindField, Ref: ref})
}

// hide takes the placeholders out of the shape of an answer.
func hide(n resolve.Node, placeholder string) {
	switch n := n.(type) {
	case *resolve.Array:
		hide(n.Item, placeholder)
	case *resolve.Object:
		n.Fields = slices.DeleteFunc(n.Fields, func(f *resolve.Field) bool { return string(f.Name) == placeholder })
		for _, f := range n.Fields {
			hide(f.Value, placeholder)
		}
	}
}
