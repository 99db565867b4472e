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
	fields      int    // that have it
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
			f, to, here, all := s.field(r.Ref, on, places)
			if to.Kind == ast.InvalidNode.Kind {
				continue
			}
			if to.Kind == ast.NodeKindUnionTypeDefinition && len(here) < len(all) {
				s.settleUnion(f.SelectionSet, s.schema.NodeNameString(to), here, all)
			}
			if len(places) < 2 && len(here) > 1 && s.bare(f.SelectionSet, to, here) {
				s.anchorBelow(f.SelectionSet, to, here)
			}
			s.walk(f.SelectionSet, to, here)
		}
	}
}

// field tells where a field of an object that comes from some places goes, and from which of all its places it comes then.
// A field that goes nowhere, since it has no selections, leads to a node of no kind.
func (s *settler) field(ref int, on ast.Node, places []int) (f ast.Field, to ast.Node, here, all []int) {
	f = s.doc.Fields[ref]
	to, ok := s.schema.FieldTypeNode(s.doc.FieldNameBytes(ref), on)
	if !ok || !f.HasSelections {
		return f, ast.InvalidNode, nil, nil
	}
	all = s.graph.Places(s.schema.NodeNameString(on), s.doc.FieldNameString(ref))
	here = slices.DeleteFunc(slices.Clone(all), func(p int) bool { return !slices.Contains(places, p) })
	if len(here) == 0 || on.Kind == ast.NodeKindInterfaceTypeDefinition { // its objects may each have another place
		here = all
	}
	return f, to, here, all
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
		if s.fits(r.Ref, members) {
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

// fits tells whether a fragment can be met among the members of a union.
func (s *settler) fits(fragment int, members []string) bool {
	name := s.doc.InlineFragmentTypeConditionNameString(fragment)
	n, ok := s.schema.NodeByNameStr(name)
	return !ok || n.Kind != ast.NodeKindObjectTypeDefinition || slices.Contains(members, name)
}

func (s *settler) fragment(on string, selections []int) int {
	ref := s.doc.AddInlineFragment(ast.InlineFragment{
		TypeCondition: ast.TypeCondition{Type: s.doc.AddNamedType([]byte(on))},
		SelectionSet:  s.doc.AddSelectionSetToDocument(ast.SelectionSet{SelectionRefs: selections}),
		HasSelections: true,
	})
	return s.doc.AddSelectionToDocument(ast.Selection{Kind: ast.SelectionKindInlineFragment, Ref: ref})
}

// placeholder selects a type's name that the client did not ask for, since the library plans no object without a field.
func (s *settler) placeholder() int { return s.hiddenField("__typename") }

// hiddenField selects a field under a name that nobody else uses.
func (s *settler) hiddenField(name string) int {
	taken := func(f ast.Field) bool {
		return f.Alias.IsDefined && s.doc.Input.ByteSliceString(f.Alias.Name) == s.hidden
	}
	for s.hidden == "" || s.fields == 0 && slices.ContainsFunc(s.doc.Fields, taken) {
		s.hidden += "_"
	}
	s.fields++
	ref := s.doc.AddField(ast.Field{
		Name:  s.doc.Input.AppendInputString(name),
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
