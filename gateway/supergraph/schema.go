package supergraph

import (
	"fmt"
	"slices"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/formatter"
	engine "github.com/wundergraph/graphql-go-tools/v2/pkg/ast"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/astparser"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/asttransform"
)

// ClientSDL is the schema that callers see: no federation machinery and nothing @inaccessible.
func (s *Supergraph) ClientSDL() string { return s.without(true, "\t") }

// RouterSDL is the schema to plan with: everything, with @inaccessible left on so that hidden values never get out.
func (s *Supergraph) RouterSDL() string { return s.without(false, "\t") }

// ClientSchema parses ClientSDL for the engine; the caller owns the document.
func (s *Supergraph) ClientSchema() (*engine.Document, error) { return document(s.without(true, "")) }

// RouterSchema parses RouterSDL for the engine; the caller owns the document.
func (s *Supergraph) RouterSchema() (*engine.Document, error) { return document(s.without(false, "")) }

// document parses SDL without indentation, which the engine would take for a part of descriptions.
func document(sdl string) (*engine.Document, error) {
	doc, report := astparser.ParseGraphqlDocumentString(sdl)
	if report.HasErrors() {
		return nil, fmt.Errorf("supergraph: %w", report)
	}
	return &doc, asttransform.MergeDefinitionWithBaseSchema(&doc)
}

// without prints the schema stripped of the join directives and, for clients, of what is @inaccessible.
func (s *Supergraph) without(inaccessible bool, indent string) string {
	v := view{hide: inaccessible, hidden: map[string]bool{}}
	for _, d := range s.ordered {
		if v.hides(d.Directives) {
			v.hidden[d.Name] = true
		}
	}
	var out ast.DefinitionList
	for _, d := range s.ordered {
		if !v.hidden[d.Name] {
			out = append(out, v.definition(d))
		}
	}
	return printed(out, s.execution, formatter.WithIndent(indent))
}

// A view copies definitions without what its reader may not see.
type view struct {
	hide   bool
	hidden map[string]bool // types
}

func (v view) hides(ds ast.DirectiveList) bool { return v.hide && ds.ForName("inaccessible") != nil }

func (v view) definition(d *ast.Definition) *ast.Definition {
	c := &ast.Definition{
		Kind: d.Kind, Name: d.Name, Description: d.Description, Directives: kept(d.Directives),
		Interfaces: v.visible(d.Interfaces), Types: v.visible(d.Types),
	}
	for _, e := range d.EnumValues {
		if !v.hides(e.Directives) {
			c.EnumValues = append(c.EnumValues, &ast.EnumValueDefinition{Name: e.Name, Description: e.Description, Directives: kept(e.Directives)})
		}
	}
	for _, f := range d.Fields {
		if v.hides(f.Directives) || v.hidden[f.Type.Name()] {
			continue
		}
		n := &ast.FieldDefinition{Name: f.Name, Description: f.Description, Type: f.Type, DefaultValue: f.DefaultValue, Directives: kept(f.Directives)}
		for _, a := range f.Arguments {
			if !v.hides(a.Directives) {
				n.Arguments = append(n.Arguments, &ast.ArgumentDefinition{Name: a.Name, Description: a.Description, Type: a.Type, DefaultValue: a.DefaultValue, Directives: kept(a.Directives)})
			}
		}
		c.Fields = append(c.Fields, n)
	}
	return c
}

func (v view) visible(types []string) []string {
	return slices.DeleteFunc(slices.Clone(types), func(t string) bool { return v.hidden[t] })
}

// kept are the directives that mean something to a client, or to the engine while it completes values.
func kept(ds ast.DirectiveList) ast.DirectiveList {
	var out ast.DirectiveList
	for _, d := range ds {
		switch d.Name {
		case "deprecated", "specifiedBy", "oneOf", "inaccessible":
			out = append(out, d)
		}
	}
	return out
}
