package supergraph

import (
	"bytes"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/formatter"
)

// A subgraph is what one service contributes to the graph.
type subgraph struct {
	name, url          string
	types              map[string]*subgraphType
	order              []string // of types, as in the file
	provides, requires []fieldSet
}

// A subgraphType is a type as one subgraph sees it.
type subgraphType struct {
	def             *ast.Definition // the supergraph's
	keys            []key
	interfaceObject bool // an interface elsewhere, one object here
	interfaces      []string
	members         []string
	fields          []field
	enumValues      ast.EnumValueList
}

type key struct {
	fields       string
	unresolvable bool // names the entity, but the subgraph cannot find it by this key
}

type field struct {
	*ast.FieldDefinition
	external bool // known to the subgraph, resolved by another
}

// A fieldSet is the argument of @provides or @requires, with the field that carries it.
type fieldSet struct{ typeName, fieldName, selection string }

func (t *subgraphType) field(name string) (field, bool) {
	for _, f := range t.fields {
		if f.Name == name {
			return f, true
		}
	}
	return field{}, false
}

// sdl prints the subgraph's own schema; with keys it is the service SDL from which the engine derives _entities.
func (g *subgraph) sdl(withKeys bool) string {
	var defs ast.DefinitionList
	for _, name := range g.order {
		t := g.types[name]
		d := &ast.Definition{Kind: t.def.Kind, Name: name, Interfaces: t.interfaces}
		if t.interfaceObject {
			d.Kind = ast.Object
		}
		switch d.Kind {
		case ast.Union:
			d.Types = t.members
		case ast.Enum:
			d.EnumValues = t.enumValues
		}
		for _, f := range t.fields {
			d.Fields = append(d.Fields, f.FieldDefinition)
		}
		composite := d.Kind == ast.Object || d.Kind == ast.Interface
		if (composite || d.Kind == ast.InputObject) && len(d.Fields) == 0 {
			continue // all its fields live elsewhere; an empty type is no valid SDL
		}
		if withKeys && composite {
			for _, k := range t.keys {
				d.Directives = append(d.Directives, keyDirective(k))
			}
		}
		defs = append(defs, d)
	}
	return printed(defs, nil)
}

func keyDirective(k key) *ast.Directive {
	return &ast.Directive{Name: "key", Arguments: ast.ArgumentList{{Name: "fields", Value: &ast.Value{Kind: ast.StringValue, Raw: k.fields}}}}
}

func printed(defs ast.DefinitionList, directives ast.DirectiveDefinitionList, options ...formatter.FormatterOption) string {
	var b bytes.Buffer
	formatter.NewFormatter(&b, options...).FormatSchemaDocument(&ast.SchemaDocument{Definitions: defs, Directives: directives})
	return b.String()
}
