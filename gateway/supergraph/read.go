package supergraph

import (
	"fmt"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

// A join is one occurrence of a join directive, its arguments by name.
type join map[string]string

func (j join) is(name string) bool { return j[name] == "true" }

// joins returns the occurrences of a directive in the order of the file.
func joins(ds ast.DirectiveList, name string) []join {
	var out []join
	for _, d := range ds {
		if d.Name == name {
			j := join{}
			for _, a := range d.Arguments {
				j[a.Name] = a.Value.Raw
			}
			out = append(out, j)
		}
	}
	return out
}

// A reader takes the supergraph apart into subgraphs by its join directives.
type reader struct {
	byGraph map[string]*subgraph // by value of the enum join__Graph
	all     []*subgraph
}

func readSubgraphs(doc *ast.SchemaDocument, links linked) ([]*subgraph, error) {
	r := &reader{byGraph: map[string]*subgraph{}}
	if err := r.graphs(doc); err != nil {
		return nil, err
	}
	for _, d := range doc.Definitions {
		if links.own(d.Name) {
			continue
		}
		for _, step := range []func(*ast.Definition) error{r.types, r.interfaces, r.members, r.enumValues, r.fields} {
			if err := step(d); err != nil {
				return nil, fmt.Errorf("supergraph: type %s: %w", d.Name, err)
			}
		}
	}
	return r.all, nil
}

func (r *reader) graphs(doc *ast.SchemaDocument) error {
	graphs := doc.Definitions.ForName("join__Graph")
	if graphs == nil {
		return fmt.Errorf("supergraph: there is no enum join__Graph; is this file a Federation 2 supergraph?")
	}
	for _, v := range graphs.EnumValues {
		for _, j := range joins(v.Directives, "join__graph") {
			g := &subgraph{name: j["name"], url: j["url"], types: map[string]*subgraphType{}}
			r.byGraph[v.Name] = g
			r.all = append(r.all, g)
		}
	}
	if len(r.all) == 0 {
		return fmt.Errorf("supergraph: join__Graph names no subgraph")
	}
	return nil
}

// in returns the type as the subgraph of a join directive sees it, nil when that subgraph has no such type.
func (r *reader) in(j join, typeName string) (*subgraph, *subgraphType, error) {
	g := r.byGraph[j["graph"]]
	if g == nil {
		return nil, nil, fmt.Errorf("a join directive names the unknown graph %q", j["graph"])
	}
	return g, g.types[typeName], nil
}

func (r *reader) types(d *ast.Definition) error {
	for _, j := range joins(d.Directives, "join__type") {
		g, t, err := r.in(j, d.Name)
		if err != nil {
			return err
		}
		if t == nil {
			t = &subgraphType{def: d}
			g.types[d.Name] = t
			g.order = append(g.order, d.Name)
		}
		if k := j["key"]; k != "" {
			t.keys = append(t.keys, key{fields: normalise(k), unresolvable: j["resolvable"] == "false"})
		}
		t.interfaceObject = t.interfaceObject || j.is("isInterfaceObject")
	}
	return nil
}

func (r *reader) interfaces(d *ast.Definition) error {
	for _, j := range joins(d.Directives, "join__implements") {
		_, t, err := r.in(j, d.Name)
		if err != nil {
			return err
		}
		if t != nil {
			t.interfaces = append(t.interfaces, j["interface"])
		}
	}
	return nil
}

func (r *reader) members(d *ast.Definition) error {
	for _, j := range joins(d.Directives, "join__unionMember") {
		_, t, err := r.in(j, d.Name)
		if err != nil {
			return err
		}
		if t != nil {
			t.members = append(t.members, j["member"])
		}
	}
	return nil
}

func (r *reader) enumValues(d *ast.Definition) error {
	for _, v := range d.EnumValues {
		for _, j := range joins(v.Directives, "join__enumValue") {
			_, t, err := r.in(j, d.Name)
			if err != nil {
				return err
			}
			if t != nil {
				t.enumValues = append(t.enumValues, &ast.EnumValueDefinition{Name: v.Name})
			}
		}
	}
	return nil
}

func (r *reader) fields(d *ast.Definition) error {
	for _, f := range d.Fields {
		if f.Directives.ForName("join__field") == nil { // every subgraph that has the type has the field
			for _, g := range r.all {
				if t := g.types[d.Name]; t != nil {
					g.add(t, f, join{})
				}
			}
			continue
		}
		for _, j := range joins(f.Directives, "join__field") {
			if j["graph"] == "" { // the field reaches this type through an interface object
				continue
			}
			g, t, err := r.in(j, d.Name)
			if err != nil {
				return err
			}
			if t != nil {
				g.add(t, f, j)
			}
		}
	}
	return nil
}

// add gives the subgraph's type a field, with the type the subgraph itself declares for it.
func (g *subgraph) add(t *subgraphType, f *ast.FieldDefinition, j join) {
	own := &ast.FieldDefinition{Name: f.Name, Type: f.Type, DefaultValue: f.DefaultValue}
	for _, a := range f.Arguments {
		own.Arguments = append(own.Arguments, &ast.ArgumentDefinition{Name: a.Name, Type: a.Type, DefaultValue: a.DefaultValue})
	}
	if j["type"] != "" {
		own.Type = parseType(j["type"])
	}
	t.fields = append(t.fields, field{FieldDefinition: own, external: j.is("external") || j.is("usedOverridden")})
	if s := j["provides"]; s != "" {
		g.provides = append(g.provides, fieldSet{typeName: t.def.Name, fieldName: f.Name, selection: s})
	}
	if s := j["requires"]; s != "" {
		g.requires = append(g.requires, fieldSet{typeName: t.def.Name, fieldName: f.Name, selection: s})
	}
}

func parseType(s string) *ast.Type {
	s = strings.TrimSpace(s)
	required := strings.HasSuffix(s, "!")
	s = strings.TrimSuffix(s, "!")
	if strings.HasPrefix(s, "[") {
		return &ast.Type{Elem: parseType(strings.TrimSuffix(s[1:], "]")), NonNull: required}
	}
	return &ast.Type{NamedType: s, NonNull: required}
}

// selection parses the field set of a key, of @requires or of @provides.
func selection(fields string) (ast.SelectionSet, error) {
	q, err := parser.ParseQuery(&ast.Source{Input: "{" + fields + "}"})
	if err != nil {
		return nil, err
	}
	return q.Operations[0].SelectionSet, nil
}

// normalise makes field sets that differ in white space and commas alone equal.
func normalise(fields string) string {
	spaced := strings.NewReplacer("{", " { ", "}", " } ", ",", " ").Replace(fields)
	return strings.Join(strings.Fields(spaced), " ")
}
