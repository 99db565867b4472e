package mongo

import (
	"slices"
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
)

// bound is what a filter says about one path. Everything in it holds for every selected document.
type bound struct {
	equal  bson.A // one of these; nil if nothing is known
	low    any
	high   any
	exists bool // the value is neither missing nor null
	only   bool // nothing else is said about the path
}

// bounds collects what all selected documents have in common, per path.
func bounds(query bson.D) map[string]*bound {
	all := map[string]*bound{}
	addBounds(all, query)
	return all
}

func addBounds(all map[string]*bound, query bson.D) {
	for _, e := range query {
		switch {
		case e.Key == "$and":
			for _, branch := range e.Value.(bson.A) {
				addBounds(all, branch.(bson.D))
			}
		case e.Key == "$or":
			addHull(all, e.Value.(bson.A))
		case !strings.HasPrefix(e.Key, "$"):
			addBound(all, e.Key, e.Value)
		}
	}
}

// addHull adds what all branches of an $or have in common, such as the start of a page after the last seen key.
func addHull(all map[string]*bound, branches bson.A) {
	hull := bounds(branches[0].(bson.D))
	for _, branch := range branches[1:] {
		other := bounds(branch.(bson.D))
		for path, b := range hull {
			if o := other[path]; o != nil {
				b.widen(o)
			} else {
				delete(hull, path)
			}
		}
	}
	for path, b := range hull {
		known := all[path]
		if known == nil {
			known = &bound{}
			all[path] = known
		}
		known.only = false
		known.exists = known.exists || b.exists
		if known.equal == nil {
			known.equal = b.equal
		}
		if known.low == nil {
			known.low = b.low
		}
		if known.high == nil {
			known.high = b.high
		}
	}
}

// widen makes a bound hold for what meets either of two.
func (b *bound) widen(o *bound) {
	b.exists = b.exists && o.exists
	b.low = outer(-1, b.lowest(), o.lowest())
	b.high = outer(1, b.highest(), o.highest())
	if b.equal != nil && o.equal != nil {
		b.equal = append(b.equal, o.equal...)
	} else {
		b.equal = nil
	}
}

// lowest is the least value the bound allows, nil if it sets no such limit.
func (b *bound) lowest() any {
	if b.equal != nil {
		return outermost(-1, b.equal)
	}
	return b.low
}

func (b *bound) highest() any {
	if b.equal != nil {
		return outermost(1, b.equal)
	}
	return b.high
}

func outermost(sign int, values bson.A) any {
	var limit any
	for i, v := range values {
		if i == 0 {
			limit = v
		} else {
			limit = outer(sign, limit, v)
		}
	}
	return limit
}

// outer is the smaller (sign -1) or larger (sign 1) of two limits; with limits of different types there is none.
func outer(sign int, a, b any) any {
	classA, _ := bsonkit.Inspect(a)
	classB, _ := bsonkit.Inspect(b)
	switch {
	case a == nil || b == nil || classA != classB:
		return nil
	case bsonkit.Compare(b, a) == sign:
		return b
	}
	return a
}

func addBound(all map[string]*bound, path string, condition any) {
	b := all[path]
	if b == nil {
		b = &bound{only: true}
		all[path] = b
	} else {
		b.only = false
	}
	operators, ok := isOperators(condition)
	if !ok {
		operators = bson.D{{Key: "$eq", Value: condition}}
	}
	if len(operators) > 1 {
		b.only = false
	}
	for _, o := range operators {
		b.add(all, path, o)
	}
}

func (b *bound) add(all map[string]*bound, path string, o bson.E) {
	switch o.Key {
	case "$eq":
		if indexable(o.Value) {
			b.equal = bson.A{o.Value}
			b.exists = b.exists || o.Value != nil
			return
		}
	case "$in":
		if values, ok := o.Value.(bson.A); ok && !slices.ContainsFunc(values, func(v any) bool { return !indexable(v) }) {
			if b.equal == nil {
				b.equal = append(bson.A{}, values...)
			}
			b.exists = b.exists || !slices.Contains(values, nil)
			return
		}
	case "$gt", "$gte":
		if indexable(o.Value) {
			b.low = o.Value
			b.exists = b.exists || o.Value != nil
		}
	case "$lt", "$lte":
		if indexable(o.Value) {
			b.high = o.Value
			b.exists = b.exists || o.Value != nil
		}
	case "$exists":
		b.exists = b.exists || truthy(o.Value)
	case "$elemMatch":
		query, _ := o.Value.(bson.D)
		if _, operators := isOperators(query); !operators {
			conjuncts(query, func(inner string, condition any) { addBound(all, path+"."+inner, condition) })
		}
	}
	b.only = false
}

// indexable says whether a value stands in an index as itself: arrays stand there as their elements, patterns never.
func indexable(v any) bool {
	switch v.(type) {
	case bson.A, primitive.Regex:
		return false
	}
	return true
}
