// Package supergraph turns a composed Federation 2 supergraph (join spec v0.3 or later) into what the engine plans with.
//
// It is pure: text in, configuration out. Whoever composed the file and whatever the subgraphs are written in, the join
// directives say everything a planner has to know.
package supergraph

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

// A Supergraph is a composed schema, read: its subgraphs, who may see what, and the schemas to plan and validate with.
type Supergraph struct {
	types     map[string]*ast.Definition
	ordered   ast.DefinitionList
	execution ast.DirectiveDefinitionList // directives a client may write in an operation
	subgraphs []*subgraph
	keys      map[string][]string // type → every key any subgraph declares for it, normalised and sorted
	objects   map[string][]string // interface → the object types that implement it
	virtual   map[string]bool     // interfaces that some subgraph sees as one object
	rules     Rules
	prices    Prices
	buckets   Buckets
	hints     Hints
	shared    map[Coordinate]bool
}

// A Service is a subgraph as the supergraph file names it.
type Service struct{ Name, URL string }

// Parse reads a supergraph file.
func Parse(sdl string) (*Supergraph, error) {
	doc, err := parser.ParseSchema(&ast.Source{Name: "supergraph", Input: sdl})
	if err != nil {
		return nil, fmt.Errorf("supergraph: %w", err)
	}
	s := &Supergraph{types: map[string]*ast.Definition{}, objects: map[string][]string{}, virtual: map[string]bool{}}
	links := namespaces(doc)
	if s.subgraphs, err = readSubgraphs(doc, links); err != nil {
		return nil, err
	}
	for _, d := range doc.Definitions {
		if links.own(d.Name) {
			continue
		}
		s.types[d.Name] = d
		s.ordered = append(s.ordered, d)
		if d.Kind == ast.Object {
			for _, i := range d.Interfaces {
				s.objects[i] = append(s.objects[i], d.Name)
			}
		}
	}
	if s.types["Query"] == nil {
		return nil, errors.New("supergraph: there is no type Query")
	}
	s.execution = executable(doc.Directives, links)
	s.keys = allKeys(s.subgraphs)
	for _, g := range s.subgraphs {
		for name, t := range g.types {
			if t.interfaceObject {
				s.virtual[name] = true
			}
		}
	}
	s.prices, s.shared = readPrices(s.ordered), readShared(s.ordered)
	s.buckets = readBuckets(s.types)
	if s.rules, err = readRules(s.ordered, s.objects); err != nil {
		return nil, err
	}
	s.hints = readHints(s.ordered, s.objects, s.rules)
	return s, nil
}

// Services lists the subgraphs in the order of the file.
func (s *Supergraph) Services() []Service {
	out := make([]Service, len(s.subgraphs))
	for i, g := range s.subgraphs {
		out[i] = Service{Name: g.name, URL: g.url}
	}
	return out
}

// Rules returns who may see which field.
func (s *Supergraph) Rules() Rules { return s.rules }

// Prices returns what asking for each field costs.
func (s *Supergraph) Prices() Prices { return s.prices }

// Buckets returns by which values callers draw from common buckets.
func (s *Supergraph) Buckets() Buckets { return s.buckets }

// Hints returns for how long each field may be kept.
func (s *Supergraph) Hints() Hints { return s.hints }

// Shared returns the subscriptions that tell everybody the same; see readShared.
func (s *Supergraph) Shared() map[Coordinate]bool { return s.shared }

// linked are the namespaces of federation's own specifications that a supergraph file links to. Other specifications are
// the graph's business: composed directives come with one.
type linked []string

// namespaces reads them from the schema's @link and @core directives: of https://specs.apollo.dev/join/v0.5, "join".
func namespaces(doc *ast.SchemaDocument) linked {
	out := linked{"join", "link", "core", "federation"}
	for _, schema := range slices.Concat(doc.Schema, doc.SchemaExtension) {
		for _, j := range slices.Concat(joins(schema.Directives, "link"), joins(schema.Directives, "core")) {
			path, ours := strings.CutPrefix(cmp.Or(j["url"], j["feature"]), "https://specs.apollo.dev/")
			if name, _, ok := strings.Cut(path, "/"); ours && ok {
				out = append(out, cmp.Or(j["as"], name))
			}
		}
	}
	return out
}

// own tells whether a type or a directive belongs to a linked specification rather than to the graph.
func (l linked) own(name string) bool {
	return slices.ContainsFunc(l, func(namespace string) bool { return strings.HasPrefix(name, namespace+"__") })
}

// executable keeps the directives that may stand in an operation; the engine brings @skip, @include and @defer itself.
func executable(all ast.DirectiveDefinitionList, links linked) ast.DirectiveDefinitionList {
	places := []ast.DirectiveLocation{
		ast.LocationQuery, ast.LocationMutation, ast.LocationSubscription, ast.LocationField,
		ast.LocationFragmentDefinition, ast.LocationFragmentSpread, ast.LocationInlineFragment, ast.LocationVariableDefinition,
	}
	var out ast.DirectiveDefinitionList
	for _, d := range all {
		if links.own(d.Name) || slices.Contains([]string{"skip", "include", "defer", "stream", "deprecated", "specifiedBy", "oneOf"}, d.Name) {
			continue
		}
		if slices.ContainsFunc(d.Locations, func(l ast.DirectiveLocation) bool { return slices.Contains(places, l) }) {
			out = append(out, d)
		}
	}
	return out
}
