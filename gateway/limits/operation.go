package limits

import (
	"math"

	"github.com/wundergraph/graphql-go-tools/v2/pkg/ast"
)

// Operation measures an operation of a parsed document through its fragments, looking at each fragment once.
func (l Limits) Operation(doc *ast.Document, operation int) error {
	l = l.withDefaults()
	m := &measure{doc: doc, limits: l, fragments: map[string]int{}, known: map[int]size{}, open: map[int]bool{}}
	for _, node := range doc.RootNodes {
		if node.Kind == ast.NodeKindFragmentDefinition {
			m.fragments[doc.FragmentDefinitionNameString(node.Ref)] = node.Ref
		}
	}
	op := doc.OperationDefinitions[operation]
	if n := len(op.VariableDefinitions.Refs); op.HasVariableDefinitions && n > l.Variables {
		return &Exceeded{"variables", l.Variables}
	}
	var total size
	if err := m.directives(op.Directives.Refs, &total); err != nil {
		return err
	}
	if op.HasSelections {
		s, err := m.set(op.SelectionSet)
		if err != nil {
			return err
		}
		total = total.plus(s)
	}
	for _, check := range []struct {
		what       string
		have, most int
	}{
		{"levels of fields", total.depth, l.Depth},
		{"root fields", total.width, l.RootFields},
		{"aliases", total.aliases, l.Aliases},
		{"directives", total.directives, l.Directives},
		{"selections", total.selections, l.Selections},
	} {
		if check.have > check.most {
			return &Exceeded{check.what, check.most}
		}
	}
	if op.HasSelections {
		return m.repetition(op.SelectionSet)
	}
	return nil
}

// A size is what a selection set amounts to with its fragments written out.
type size struct {
	depth      int // of fields
	width      int // fields at its top
	aliases    int
	directives int
	selections int
}

// add stays at the largest number rather than go round: a bomb's true size has thousands of digits.
func add(a, b int) int {
	if a > math.MaxInt-b {
		return math.MaxInt
	}
	return a + b
}

func (s size) plus(o size) size {
	return size{
		depth: max(s.depth, o.depth), width: add(s.width, o.width), aliases: add(s.aliases, o.aliases),
		directives: add(s.directives, o.directives), selections: add(s.selections, o.selections),
	}
}

// A measure remembers the fragments it has measured, and those it is in the middle of.
type measure struct {
	doc       *ast.Document
	limits    Limits
	fragments map[string]int
	known     map[int]size
	open      map[int]bool
	work      int
}

func (m *measure) set(ref int) (size, error) {
	var total size
	for _, sel := range m.doc.SelectionSets[ref].SelectionRefs {
		s, err := m.selection(m.doc.Selections[sel])
		if err != nil {
			return size{}, err
		}
		total = total.plus(s)
	}
	return total, nil
}

func (m *measure) selection(sel ast.Selection) (size, error) {
	s := size{selections: 1}
	var err error
	switch sel.Kind {
	case ast.SelectionKindField:
		f := m.doc.Fields[sel.Ref]
		s.width, s.depth = 1, 1
		if f.Alias.IsDefined {
			s.aliases = 1
		}
		if err = m.directives(f.Directives.Refs, &s); err != nil || !f.HasSelections {
			return s, err
		}
		below, err := m.set(f.SelectionSet)
		below.depth, below.width = add(below.depth, 1), 0
		return s.plus(below), err
	case ast.SelectionKindInlineFragment:
		f := m.doc.InlineFragments[sel.Ref]
		if err = m.directives(f.Directives.Refs, &s); err != nil || !f.HasSelections {
			return s, err
		}
		below, err := m.set(f.SelectionSet)
		return s.plus(below), err
	case ast.SelectionKindFragmentSpread:
		if err = m.directives(m.doc.FragmentSpreads[sel.Ref].Directives.Refs, &s); err != nil {
			return s, err
		}
		below, err := m.fragment(m.doc.FragmentSpreadNameString(sel.Ref))
		return s.plus(below), err
	}
	return s, nil
}

func (m *measure) fragment(name string) (size, error) {
	ref, ok := m.fragments[name]
	if !ok {
		return size{}, nil // validation says that it does not exist
	}
	if s, ok := m.known[ref]; ok {
		return s, nil
	}
	if m.open[ref] {
		return size{}, &CycleError{name}
	}
	m.open[ref] = true
	defer delete(m.open, ref)
	var s size
	var err error
	if f := m.doc.FragmentDefinitions[ref]; f.HasSelections {
		if s, err = m.set(f.SelectionSet); err != nil {
			return s, err
		}
		err = m.directives(f.Directives.Refs, &s)
	}
	m.known[ref] = s
	return s, err
}

func (m *measure) directives(refs []int, s *size) error {
	if len(refs) > m.limits.FieldDirectives {
		return &Exceeded{"directives in one place", m.limits.FieldDirectives}
	}
	s.directives = add(s.directives, len(refs))
	return nil
}
