package supergraph

import (
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// required rewrites the field set of a @requires so that objects behind an interface or a union name their type: without
// it the subgraph that gets them in a representation could not tell what they are.
func (s *Supergraph) required(f fieldSet) string {
	sel, err := selection(f.selection)
	if err != nil || !s.abstract(f.typeName, sel) {
		return f.selection
	}
	var b strings.Builder
	s.writeRequired(&b, f.typeName, sel)
	return strings.TrimSpace(b.String())
}

// open tells whether a value of the type may be one of several objects.
func (s *Supergraph) open(d *ast.Definition) bool {
	return d != nil && (d.Kind == ast.Interface && !s.virtual[d.Name] || d.Kind == ast.Union)
}

// abstract tells whether a selection goes through an open type.
func (s *Supergraph) abstract(typeName string, sel ast.SelectionSet) bool {
	d := s.types[typeName]
	if s.open(d) {
		return true
	}
	for _, x := range sel {
		switch x := x.(type) {
		case *ast.Field:
			if f := fieldOf(d, x.Name); f != nil && len(x.SelectionSet) > 0 && s.abstract(f.Type.Name(), x.SelectionSet) {
				return true
			}
		case *ast.InlineFragment:
			if s.abstract(x.TypeCondition, x.SelectionSet) {
				return true
			}
		}
	}
	return false
}

func (s *Supergraph) writeRequired(b *strings.Builder, typeName string, sel ast.SelectionSet) {
	d := s.types[typeName]
	if s.open(d) {
		b.WriteString("__typename ")
	}
	for _, x := range sel {
		switch x := x.(type) {
		case *ast.Field:
			b.WriteString(x.Name)
			writeArguments(b, x.Arguments)
			if len(x.SelectionSet) > 0 {
				b.WriteString(" { ")
				if f := fieldOf(d, x.Name); f != nil {
					s.writeRequired(b, f.Type.Name(), x.SelectionSet)
				}
				b.WriteString("}")
			}
			b.WriteByte(' ')
		case *ast.InlineFragment:
			b.WriteString("... on " + x.TypeCondition + " { ")
			s.writeRequired(b, x.TypeCondition, x.SelectionSet)
			b.WriteString("} ")
		}
	}
}

func writeArguments(b *strings.Builder, args ast.ArgumentList) {
	if len(args) == 0 {
		return
	}
	b.WriteByte('(')
	for i, a := range args {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(a.Name + ": " + a.Value.String())
	}
	b.WriteByte(')')
}

func fieldOf(d *ast.Definition, name string) *ast.FieldDefinition {
	if d == nil {
		return nil
	}
	return d.Fields.ForName(name)
}
