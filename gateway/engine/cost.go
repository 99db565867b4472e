package engine

import (
	"strings"

	"github.com/wundergraph/astjson"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/ast"

	"github.com/souk-shop/souk/gateway/supergraph"
)

const (
	dearest = 1_000_000 // points; what is beyond is not told apart
	longest = 100_000   // values of one list, whatever an argument says
)

// A bill is what an operation costs: computed once for a document, but for the lengths of lists, which variables may say.
type bill struct {
	points int
	length length
	below  []bill
}

// A length is how many values a list has: the greatest that an argument says.
type length struct {
	least     int
	variables []sizedBy
}

// sizedBy is a variable that says how long a list is, with what holds when it is not given.
type sizedBy struct {
	variable  string
	otherwise int
}

// total adds the bill up for the variables of a request.
func (b *bill) total(given *astjson.Value) int { return min(max(1, b.sum(given)), dearest) }

func (b *bill) sum(given *astjson.Value) int {
	each := b.points
	for i := range b.below {
		each = min(each+b.below[i].sum(given), dearest)
	}
	return min(each*b.length.of(given), dearest)
}

func (l length) of(given *astjson.Value) int {
	n := l.least
	for _, s := range l.variables {
		said := s.otherwise
		if v := given.Get(s.variable); v != nil && v.Type() == astjson.TypeNumber {
			said = v.GetInt()
		}
		n = max(n, said)
	}
	return min(max(n, 1), longest)
}

// price writes the bill of a normalised operation. Fragments on several types are all counted, though a value is of one.
func (e *Engine) price(doc *ast.Document) bill {
	p := pricing{doc: doc, prices: e.prices}
	b := bill{length: length{least: 1}}
	for i, op := range doc.OperationDefinitions {
		if !op.HasSelections {
			continue
		}
		p.operation = i
		b.below = append(b.below, p.set(op.SelectionSet, string(e.rootType(op.OperationType)), supergraph.Price{}, length{})...)
	}
	return b
}

type pricing struct {
	doc       *ast.Document
	prices    supergraph.Prices
	operation int
}

// set prices the fields of a selection set on a type; above is the field they are of, and said the length it passes on.
func (p *pricing) set(ref int, on string, above supergraph.Price, said length) []bill {
	var out []bill
	for _, sel := range p.doc.SelectionSets[ref].SelectionRefs {
		switch s := p.doc.Selections[sel]; s.Kind {
		case ast.SelectionKindField:
			if b, counts := p.field(s.Ref, on, above, said); counts {
				out = append(out, b)
			}
		case ast.SelectionKindInlineFragment:
			f := p.doc.InlineFragments[s.Ref]
			if !f.HasSelections {
				continue
			}
			within := on
			if name := p.doc.InlineFragmentTypeConditionNameString(s.Ref); name != "" {
				within = name
			}
			out = append(out, p.set(f.SelectionSet, within, above, said)...)
		}
	}
	return out
}

func (p *pricing) field(ref int, on string, above supergraph.Price, said length) (bill, bool) {
	name := p.doc.FieldNameString(ref)
	price, known := p.prices[supergraph.Coordinate{Type: on, Field: name}]
	if !known { // __typename, and introspection, which asks no subgraph
		return bill{}, false
	}
	own := p.length(ref, price)
	b := bill{points: price.Points, length: length{least: 1}}
	switch {
	case above.Sizes(name):
		b.length = said
	case price.List && len(price.Sized) == 0:
		b.length = own
	}
	if f := p.doc.Fields[ref]; f.HasSelections {
		b.below = p.set(f.SelectionSet, price.Returns, price, own)
	}
	return b, b.points > 0 || len(b.below) > 0
}

// length reads how many values a field has at most, from its arguments or else as the schema assumes.
func (p *pricing) length(field int, price supergraph.Price) length {
	l := length{least: price.Assumed}
	for _, s := range price.Slices {
		value, given := p.doc.FieldArgument(field, []byte(s.Argument))
		if !given {
			l.least = max(l.least, s.Default)
			continue
		}
		switch v := p.doc.Arguments[value].Value; v.Kind {
		case ast.ValueKindInteger:
			l.least = max(l.least, int(p.doc.IntValueAsInt(v.Ref)))
		case ast.ValueKindVariable:
			variable := p.doc.VariableValueNameString(v.Ref)
			l.variables = append(l.variables, sizedBy{strings.Clone(variable), p.otherwise(variable, s.Default)})
		default:
			l.least = max(l.least, s.Default)
		}
	}
	return l
}

// otherwise is what holds for a variable that is not given: its default, or the argument's.
func (p *pricing) otherwise(variable string, argument int) int {
	ref, ok := p.doc.VariableDefinitionByNameAndOperation(p.operation, []byte(variable))
	if !ok {
		return argument
	}
	if d := p.doc.VariableDefinitions[ref].DefaultValue; d.IsDefined && d.Value.Kind == ast.ValueKindInteger {
		return int(p.doc.IntValueAsInt(d.Value.Ref))
	}
	return argument
}
