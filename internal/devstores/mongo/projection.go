package mongo

import (
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"github.com/256dpi/lungo/mongokit"
	"go.mongodb.org/mongo-driver/bson"
)

// projection shapes documents for an answer: it keeps some fields, or drops some, and may add computed ones.
type projection struct {
	inclusion bool
	root      *projected
	computed  []computed
}

// projected is what happens to one field, or to the fields below it.
type projected struct {
	below map[string]*projected // nil at the end of a path
	keep  bool                  // at the end of a path: keep or drop the field
	shape func(any) (value any, keep bool, err error)
}

type computed struct {
	path       string
	expression any
}

// newProjection checks a projection. Only find knows $slice and $elemMatch; in a pipeline they are expressions.
func newProjection(spec bson.D, find bool) (*projection, error) {
	p := &projection{root: &projected{below: map[string]*projected{}}}
	b := projectionBuilder{projection: p, find: find}
	if err := b.add("", spec); err != nil {
		return nil, err
	}
	p.inclusion = b.included > 0 || len(p.computed) > 0 || (b.id == keepID && b.excluded == 0 && !b.sliced)
	if p.inclusion && b.excluded > 0 {
		return nil, errorf(codeExclusionInInclusion, "Cannot do exclusion on field %s in inclusion projection", b.lastExcluded)
	}
	if p.inclusion && b.id == unsaidID {
		return p, p.root.set("_id", &projected{keep: true})
	}
	return p, nil
}

type idChoice int

const (
	unsaidID idChoice = iota
	keepID
	dropID
)

type projectionBuilder struct {
	*projection
	find         bool
	id           idChoice
	included     int
	excluded     int
	sliced       bool
	lastExcluded string
}

func (b *projectionBuilder) add(prefix string, spec bson.D) error {
	for _, e := range spec {
		path := prefix + e.Key
		if err := checkPath(path); err != nil {
			return err
		}
		if strings.Contains(path, "$") {
			return unsupported("positional projection %q is", path)
		}
		if err := b.addOne(path, e.Value); err != nil {
			return err
		}
	}
	return nil
}

func (b *projectionBuilder) addOne(path string, v any) error {
	if operators, ok := isOperators(v); ok {
		switch key := operators[0].Key; {
		case b.find && key == "$slice":
			shape, err := sliceShape(operators[0].Value)
			if err != nil {
				return err
			}
			b.sliced = true
			return b.root.set(path, &projected{keep: true, shape: shape})
		case b.find && key == "$elemMatch":
			shape, err := elementShape(operators[0].Value)
			if err != nil {
				return err
			}
			b.included++
			return b.root.set(path, &projected{keep: true, shape: shape})
		case key == "$meta":
			return unsupported("projection %s is", key)
		}
		return b.compute(path, v)
	}
	switch x := v.(type) {
	case bson.D:
		if len(x) == 0 {
			return errorf(codeFailedToParse, "an empty sub-projection is not a valid value: %s", path)
		}
		return b.add(path+".", x)
	case bool, int32, int64, float64:
		keep := truthy(x)
		switch {
		case path == "_id" && keep:
			b.id = keepID
		case path == "_id":
			b.id = dropID
		case keep:
			b.included++
		default:
			b.excluded++
			b.lastExcluded = path
		}
		return b.root.set(path, &projected{keep: keep})
	}
	return b.compute(path, v)
}

func (b *projectionBuilder) compute(path string, expression any) error {
	if err := checkExpression(expression); err != nil {
		return err
	}
	b.computed = append(b.computed, computed{path, expression})
	if path == "_id" {
		b.id = dropID
	}
	return nil
}

// set places a field's fate in the tree; two fates for one path collide.
func (n *projected) set(path string, leaf *projected) error {
	key, rest, deeper := strings.Cut(path, ".")
	child := n.below[key]
	if !deeper {
		if child != nil {
			return errorf(codePathCollision, "Path collision at %s", path)
		}
		n.below[key] = leaf
		return nil
	}
	if child == nil {
		child = &projected{below: map[string]*projected{}}
		n.below[key] = child
	}
	if child.below == nil {
		return errorf(codePathCollision, "Path collision at %s remaining portion %s", path, rest)
	}
	return child.set(rest, leaf)
}

// apply is the projected document; it may share values with the one given.
func (p *projection) apply(doc bson.D) (bson.D, error) {
	out, err := p.document(doc, p.root)
	if err != nil {
		return nil, err
	}
	for _, c := range p.computed {
		value, err := evaluate(scope{root: doc}, c.expression)
		if err != nil {
			return nil, err
		}
		if value == bsonkit.Missing {
			continue
		}
		if _, err := bsonkit.Put(&out, c.path, value, c.path == "_id"); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (p *projection) document(doc bson.D, n *projected) (bson.D, error) {
	out := make(bson.D, 0, len(doc))
	for _, e := range doc {
		value, keep, err := p.value(e.Value, n.below[e.Key])
		if err != nil {
			return nil, err
		}
		if keep {
			out = append(out, bson.E{Key: e.Key, Value: value})
		}
	}
	return out, nil
}

func (p *projection) value(v any, n *projected) (value any, keep bool, err error) {
	switch {
	case n == nil:
		return v, !p.inclusion, nil
	case n.shape != nil:
		return n.shape(v)
	case n.below == nil:
		return v, n.keep, nil
	}
	switch x := v.(type) {
	case bson.D:
		value, err = p.document(x, n)
		return value, true, err
	case bson.A:
		out := bson.A{}
		for _, element := range x {
			value, keep, err := p.value(element, n)
			if err != nil {
				return nil, false, err
			}
			if keep {
				out = append(out, value)
			}
		}
		return out, true, nil
	}
	return v, !p.inclusion, nil
}

// sliceShape is $slice: n elements from the front, -n from the back, or [skip, n].
func sliceShape(arg any) (func(any) (any, bool, error), error) {
	skip, skips := int64(0), false
	count, ok := toInt64(arg)
	if pair, isPair := arg.(bson.A); isPair && len(pair) == 2 {
		var okSkip bool
		skip, okSkip = toInt64(pair[0])
		count, ok = toInt64(pair[1])
		ok = ok && okSkip && count > 0
		skips = true
	}
	if !ok {
		return nil, errorf(codeBadValue, "$slice needs a number or [skip, limit]")
	}
	return func(v any) (any, bool, error) {
		array, ok := v.(bson.A)
		if !ok {
			return v, true, nil
		}
		length := int64(len(array))
		from, n := skip, count
		switch {
		case !skips && n < 0:
			from, n = max(0, length+n), length
		case from < 0:
			from = max(0, length+from)
		}
		from = min(from, length)
		return array[from : from+min(n, length-from)], true, nil
	}, nil
}

// elementShape is $elemMatch: the first element that matches, alone, or no field.
func elementShape(arg any) (func(any) (any, bool, error), error) {
	query, ok := arg.(bson.D)
	if !ok {
		return nil, errorf(codeBadValue, "$elemMatch needs an Object")
	}
	prepared, err := (&filter{}).element(query)
	if err != nil {
		return nil, err
	}
	condition := bson.D{{Key: "element", Value: bson.D{{Key: "$elemMatch", Value: prepared}}}}
	return func(v any) (any, bool, error) {
		array, _ := v.(bson.A)
		for _, element := range array {
			ok, err := mongokit.Match(&bson.D{{Key: "element", Value: bson.A{element}}}, &condition)
			if ok || err != nil {
				return bson.A{element}, ok, err
			}
		}
		return nil, false, nil
	}, nil
}
