package engine

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/wundergraph/graphql-go-tools/v2/pkg/ast"
)

// conflicts finds two fields of an operation that claim one place in the answer and cannot share it. It comes before
// normalising, where the library would let the first of them win, and knows cases that the library's own rule does not: an
// object beside a scalar, one object asked for with two sets of arguments. The time it takes is linear but for fields of
// one name under several types; the operation is within the limits.
func conflicts(doc, schema *ast.Document, operation int) error {
	op := doc.OperationDefinitions[operation]
	name := schema.Index.QueryTypeName
	switch op.OperationType {
	case ast.OperationTypeMutation:
		name = schema.Index.MutationTypeName
	case ast.OperationTypeSubscription:
		name = schema.Index.SubscriptionTypeName
	}
	root, ok := schema.NodeByName(name)
	if !ok || !op.HasSelections {
		return nil // validation says so
	}
	c := &conflict{doc: doc, schema: schema, fragments: map[string]int{}}
	for _, node := range doc.RootNodes {
		if node.Kind == ast.NodeKindFragmentDefinition {
			c.fragments[doc.FragmentDefinitionNameString(node.Ref)] = node.Ref
		}
	}
	return c.check([]typedSet{{op.SelectionSet, root}})
}

type conflict struct {
	doc, schema *ast.Document
	fragments   map[string]int
}

type typedSet struct {
	ref int
	on  ast.Node
}

type typedField struct {
	ref int
	on  ast.Node
}

// check compares the fields that meet in one object of the answer.
func (c *conflict) check(sets []typedSet) error {
	places := map[string][]typedField{} // for each type, the first field that claims the place
	below := map[string][]typedSet{}
	var order []string
	var gather func(s typedSet) error
	gather = func(s typedSet) error {
		for _, sel := range c.doc.SelectionSets[s.ref].SelectionRefs {
			switch r := c.doc.Selections[sel]; r.Kind {
			case ast.SelectionKindInlineFragment:
				f := c.doc.InlineFragments[r.Ref]
				if !f.HasSelections {
					continue
				}
				on := s.on
				if f.TypeCondition.Type != ast.InvalidRef {
					if n, ok := c.schema.NodeByName(c.doc.InlineFragmentTypeConditionName(r.Ref)); ok {
						on = n
					}
				}
				if err := gather(typedSet{f.SelectionSet, on}); err != nil {
					return err
				}
			case ast.SelectionKindFragmentSpread:
				ref, ok := c.fragments[c.doc.FragmentSpreadNameString(r.Ref)]
				if !ok || !c.doc.FragmentDefinitions[ref].HasSelections {
					continue
				}
				on, ok := c.schema.NodeByName(c.doc.FragmentDefinitionTypeName(ref))
				if !ok {
					continue
				}
				if err := gather(typedSet{c.doc.FragmentDefinitions[ref].SelectionSet, on}); err != nil {
					return err
				}
			case ast.SelectionKindField:
				key := c.doc.FieldAliasOrNameString(r.Ref)
				same := false
				for _, other := range places[key] {
					if !c.agree(r.Ref, other.ref, s.on, other.on) {
						return failure(CodeValidation, fmt.Sprintf("two fields want to be %q in one answer; give one of them an alias", key))
					}
					same = same || other.on == s.on
				}
				if !same {
					if places[key] == nil {
						order = append(order, key)
					}
					places[key] = append(places[key], typedField{r.Ref, s.on})
				}
				if f := c.doc.Fields[r.Ref]; f.HasSelections {
					if d, ok := c.schema.NodeFieldDefinitionByName(s.on, c.doc.FieldNameBytes(r.Ref)); ok {
						below[key] = append(below[key], typedSet{f.SelectionSet, c.schema.FieldDefinitionTypeNode(d)})
					}
				}
			}
		}
		return nil
	}
	for _, s := range sets {
		if err := gather(s); err != nil {
			return err
		}
	}
	for _, key := range order {
		if len(below[key]) > 0 {
			if err := c.check(below[key]); err != nil {
				return err
			}
		}
	}
	return nil
}

// agree tells whether two fields may share a place: they are of one shape and, if one object may have both, are the same.
func (c *conflict) agree(a, b int, onA, onB ast.Node) bool {
	if c.doc.Fields[a].HasSelections != c.doc.Fields[b].HasSelections {
		return false
	}
	if !c.overlap(onA, onB) {
		return true
	}
	return bytes.Equal(c.doc.FieldNameBytes(a), c.doc.FieldNameBytes(b)) && c.sameArguments(c.doc.FieldArguments(a), c.doc.FieldArguments(b))
}

func (c *conflict) sameArguments(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for _, x := range a {
		if !slices.ContainsFunc(b, func(y int) bool { return c.doc.ArgumentsAreEqual(x, y) }) {
			return false
		}
	}
	return true
}

// overlap tells whether one object may be of both types.
func (c *conflict) overlap(a, b ast.Node) bool {
	if a == b {
		return true
	}
	return slices.ContainsFunc(c.objects(a), func(name string) bool { return slices.Contains(c.objects(b), name) })
}

func (c *conflict) objects(n ast.Node) []string {
	var names []string
	switch n.Kind {
	case ast.NodeKindInterfaceTypeDefinition:
		names, _ = c.schema.InterfaceTypeDefinitionImplementedByObjectWithNames(n.Ref)
	case ast.NodeKindUnionTypeDefinition:
		names, _ = c.schema.UnionTypeDefinitionMemberTypeNames(n.Ref)
	default:
		names = []string{c.schema.NodeNameString(n)}
	}
	return names
}
