package limits

import "github.com/wundergraph/graphql-go-tools/v2/pkg/ast"

// repetition adds up what it will cost to merge the equal fields of an operation that is known to have few enough
// selections to be written out.
func (m *measure) repetition(root int) error {
	m.work = 0
	return m.merge([]int{root})
}

// A scope is what comes together in one selection set once fragments are written out: those on one type merge.
type scope struct {
	selections int
	distinct   map[string][]int // response name → the selection sets below
}

// merge measures the selection sets that stand for one object, then those of each of its fields.
func (m *measure) merge(sets []int) error {
	scopes := map[string]*scope{}
	var gather func(ref int, typ string)
	gather = func(ref int, typ string) {
		s := scopes[typ]
		if s == nil {
			s = &scope{distinct: map[string][]int{}}
			scopes[typ] = s
		}
		for _, sel := range m.doc.SelectionSets[ref].SelectionRefs {
			s.selections++
			switch r := m.doc.Selections[sel]; r.Kind {
			case ast.SelectionKindField:
				name, below := m.doc.FieldAliasOrNameString(r.Ref), s.distinct[m.doc.FieldAliasOrNameString(r.Ref)]
				if f := m.doc.Fields[r.Ref]; f.HasSelections {
					below = append(below, f.SelectionSet)
				}
				s.distinct[name] = below
			case ast.SelectionKindInlineFragment:
				f := m.doc.InlineFragments[r.Ref]
				if !f.HasSelections {
					continue
				}
				on := typ
				if f.TypeCondition.Type != ast.InvalidRef {
					on = m.doc.InlineFragmentTypeConditionNameString(r.Ref)
				}
				gather(f.SelectionSet, on)
			case ast.SelectionKindFragmentSpread:
				ref, ok := m.fragments[m.doc.FragmentSpreadNameString(r.Ref)]
				if f := m.doc.FragmentDefinitions; ok && f[ref].HasSelections {
					gather(f[ref].SelectionSet, string(m.doc.FragmentDefinitionTypeName(ref)))
				}
			}
		}
	}
	for _, ref := range sets {
		gather(ref, "")
	}
	for _, s := range scopes {
		if m.work = add(m.work, cost(s.selections, len(s.distinct))); m.work > m.limits.Repetition {
			return &Exceeded{"repeated fields' worth of work", m.limits.Repetition}
		}
		for _, below := range s.distinct {
			if len(below) > 0 {
				if err := m.merge(below); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// cost is about how many comparisons it takes to merge a set of selections: the distinct ones with all, again for every
// repetition.
func cost(selections, distinct int) int {
	return (selections - distinct) * (distinct + 1) * selections
}
