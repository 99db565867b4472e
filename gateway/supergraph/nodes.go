package supergraph

import (
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/engine/plan"
)

// metadata tells the planner what a subgraph can answer: where a fetch may begin, what it may go on to, and by which keys.
func (s *Supergraph) metadata(g *subgraph) *plan.DataSourceMetadata {
	md := &plan.DataSourceMetadata{Directives: &plan.DirectiveConfigurations{}, CostConfig: plan.NewDataSourceCostConfig()}
	for _, name := range g.order {
		t := g.types[name]
		if t.def.Kind != ast.Object && t.def.Kind != ast.Interface {
			continue
		}
		keys := s.keysOf(g, name)
		md.Keys = append(md.Keys, keys...)
		addNode(md, t, name, root(name) || len(keys) > 0)
		switch {
		case t.interfaceObject:
			s.addInterfaceObject(md, g, t)
		case t.def.Kind == ast.Interface && len(t.keys) > 0 && s.virtual[name]:
			md.EntityInterfaces = append(md.EntityInterfaces, plan.EntityInterfaceConfiguration{InterfaceTypeName: name, ConcreteTypeNames: s.objects[name]})
		}
	}
	for _, p := range g.provides {
		md.Provides = append(md.Provides, plan.FederationFieldConfiguration{TypeName: p.typeName, FieldName: p.fieldName, SelectionSet: p.selection})
	}
	for _, r := range g.requires {
		md.Requires = append(md.Requires, plan.FederationFieldConfiguration{TypeName: r.typeName, FieldName: r.fieldName, SelectionSet: s.required(r)})
	}
	return md
}

// addInterfaceObject lets a subgraph that sees an interface as one object answer for each of the objects behind it.
func (s *Supergraph) addInterfaceObject(md *plan.DataSourceMetadata, g *subgraph, t *subgraphType) {
	name := t.def.Name
	md.InterfaceObjects = append(md.InterfaceObjects, plan.EntityInterfaceConfiguration{InterfaceTypeName: name, ConcreteTypeNames: s.objects[name]})
	for _, object := range s.objects[name] {
		if _, own := g.types[object]; own {
			continue
		}
		addNode(md, t, object, true)
		for _, k := range t.keys {
			md.Keys = append(md.Keys, plan.FederationFieldConfiguration{TypeName: object, SelectionSet: k.fields, DisableEntityResolver: k.unresolvable})
		}
		for _, r := range g.requires {
			if r.typeName == name {
				md.Requires = append(md.Requires, plan.FederationFieldConfiguration{TypeName: object, FieldName: r.fieldName, SelectionSet: s.required(r)})
			}
		}
	}
}

func addNode(md *plan.DataSourceMetadata, t *subgraphType, name string, root bool) {
	n := plan.TypeField{TypeName: name}
	for _, f := range t.fields {
		if f.external {
			n.ExternalFieldNames = append(n.ExternalFieldNames, f.Name)
		} else {
			n.FieldNames = append(n.FieldNames, f.Name)
		}
	}
	switch {
	case len(n.FieldNames)+len(n.ExternalFieldNames) == 0:
	case root:
		md.RootNodes = append(md.RootNodes, n)
	default:
		md.ChildNodes = append(md.ChildNodes, n)
	}
}

func root(typeName string) bool {
	return typeName == "Query" || typeName == "Mutation" || typeName == "Subscription"
}
