package supergraph

import (
	"slices"
	"strconv"

	"github.com/vektah/gqlparser/v2/ast"
)

// Prices say what asking for a field costs, by @cost and @listSize.
type Prices map[Coordinate]Price

// A Price is what one field costs, and how many values it may have.
type Price struct {
	Points  int      // of each value
	Returns string   // the type of a value
	List    bool     // it has many
	Assumed int      // how many where no argument says so; at least 1
	Slices  []Slice  // arguments that say how many
	Sized   []string // fields below that are as long as those say; without any, the field itself is
}

// A Slice is an argument that says how many values there are at most, with its default; 0 is none.
type Slice struct {
	Argument string
	Default  int
}

// What a field costs that @cost says nothing about. An object is looked up, a scalar comes with it.
const (
	objectPoints = 1
	changePoints = 10 // a mutation, or a subscription, which lasts
)

// readPrices reads them off every field of objects and interfaces.
func readPrices(types ast.DefinitionList) Prices {
	kinds := map[string]*ast.Definition{}
	for _, d := range types {
		kinds[d.Name] = d
	}
	prices := Prices{}
	for _, d := range types {
		if d.Kind != ast.Object && d.Kind != ast.Interface {
			continue
		}
		for _, f := range d.Fields {
			prices[Coordinate{d.Name, f.Name}] = price(d, f, kinds[f.Type.Name()])
		}
	}
	return prices
}

func price(parent *ast.Definition, f *ast.FieldDefinition, returned *ast.Definition) Price {
	p := Price{Returns: f.Type.Name(), List: f.Type.Elem != nil, Assumed: 1}
	if returned != nil {
		if returned.IsCompositeType() {
			p.Points = objectPoints
		}
		p.Points = weight(returned.Directives, p.Points)
	}
	switch parent.Name {
	case "Query":
		p.Points = max(p.Points, objectPoints)
	case "Mutation", "Subscription":
		p.Points = max(p.Points, changePoints)
	}
	p.Points = weight(f.Directives, p.Points)

	size := f.Directives.ForName("listSize")
	if size == nil {
		return p
	}
	p.Assumed = max(1, number(size.Arguments.ForName("assumedSize")))
	p.Sized = texts(size.Arguments.ForName("sizedFields"))
	for _, name := range texts(size.Arguments.ForName("slicingArguments")) {
		s := Slice{Argument: name}
		if a := f.Arguments.ForName(name); a != nil && a.DefaultValue != nil {
			s.Default, _ = strconv.Atoi(a.DefaultValue.Raw)
		}
		p.Slices = append(p.Slices, s)
	}
	return p
}

// Sizes tells whether the arguments of this field say how long a field below it is.
func (p Price) Sizes(field string) bool { return slices.Contains(p.Sized, field) }

// weight is what @cost says; the specification writes it as a text, many graphs as a number.
func weight(ds ast.DirectiveList, otherwise int) int {
	cost := ds.ForName("cost")
	if cost == nil {
		return otherwise
	}
	if a := cost.Arguments.ForName("weight"); a != nil {
		if w, err := strconv.ParseFloat(a.Value.Raw, 64); err == nil && w >= 0 && w <= 1e6 {
			return int(w)
		}
	}
	return otherwise
}

func number(a *ast.Argument) int {
	if a == nil {
		return 0
	}
	n, _ := strconv.Atoi(a.Value.Raw)
	return n
}

func texts(a *ast.Argument) []string {
	if a == nil {
		return nil
	}
	if a.Value.Kind == ast.StringValue { // a single value stands for a list of it
		return []string{a.Value.Raw}
	}
	var out []string
	for _, c := range a.Value.Children {
		out = append(out, c.Value.Raw)
	}
	return out
}
