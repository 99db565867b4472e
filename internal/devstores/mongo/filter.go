package mongo

import (
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"github.com/256dpi/lungo/mongokit"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
)

// filter is a checked query, ready to be matched against many documents.
type filter struct {
	query bson.D // as the client sent it
	match bson.D // with patterns compiled, as the kit evaluates it
	needs fields // the top-level fields it reads, nil for all
}

// newFilter checks the whole query once, so that a bad one is refused even where no document would reach the fault.
func newFilter(query bson.D) (*filter, error) {
	f := &filter{query: query, needs: fields{}}
	match, err := f.prepare(query, true)
	if err != nil {
		return nil, err
	}
	f.match = match
	return f, nil
}

// matches says whether a document, decoded at least as far as the filter needs, is selected.
func (f *filter) matches(doc bson.D) (bool, error) {
	if len(f.match) == 0 {
		return true, nil
	}
	return mongokit.Match(&doc, &f.match)
}

// prepare checks a query document; inside $elemMatch (root false) its paths are relative to the element.
func (f *filter) prepare(query bson.D, root bool) (bson.D, error) {
	out := make(bson.D, 0, len(query))
	for _, e := range query {
		if !strings.HasPrefix(e.Key, "$") {
			if err := checkPath(e.Key); err != nil {
				return nil, err
			}
			if root && f.needs != nil {
				f.needs[head(e.Key)] = true
			}
			condition, err := f.condition(e.Value)
			if err != nil {
				return nil, err
			}
			out = append(out, bson.E{Key: e.Key, Value: condition})
			continue
		}
		switch e.Key {
		case "$and", "$or", "$nor":
			branches, err := f.branches(e, root)
			if err != nil {
				return nil, err
			}
			out = append(out, bson.E{Key: e.Key, Value: branches})
		case "$expr", "$jsonSchema":
			if !root {
				return nil, errorf(codeBadValue, "%s can only be applied to the top-level document", e.Key)
			}
			f.needs = nil
			out = append(out, e)
		case "$comment":
		case "$where", "$text", "$alwaysTrue", "$alwaysFalse", "$sampleRate":
			return nil, unsupported("query operator %s is", e.Key)
		default:
			return nil, errorf(codeBadValue, "unknown top level operator: %s", e.Key)
		}
	}
	return out, nil
}

func (f *filter) branches(e bson.E, root bool) (bson.A, error) {
	array, ok := e.Value.(bson.A)
	if !ok || len(array) == 0 {
		return nil, errorf(codeBadValue, "%s must be a nonempty array", e.Key)
	}
	out := make(bson.A, len(array))
	for i, item := range array {
		query, ok := item.(bson.D)
		if !ok {
			return nil, errorf(codeBadValue, "%s argument's entries must be objects", e.Key)
		}
		prepared, err := f.prepare(query, root)
		if err != nil {
			return nil, err
		}
		out[i] = prepared
	}
	return out, nil
}

// condition checks what stands behind a path: a value, a pattern or a document of operators.
func (f *filter) condition(v any) (any, error) {
	if r, ok := v.(primitive.Regex); ok {
		p, err := compilePattern(r.Pattern, r.Options)
		return bson.D{{Key: "$regex", Value: p}}, err
	}
	operators, ok := isOperators(v)
	if !ok {
		return v, nil
	}
	out := make(bson.D, 0, len(operators))
	for _, e := range operators {
		if e.Key == "$options" {
			if lookup(operators, "$regex") == nil {
				return nil, errorf(codeBadValue, "$options needs a $regex")
			}
			continue
		}
		prepared, err := f.operator(e, operators)
		if err != nil {
			return nil, err
		}
		out = append(out, prepared)
	}
	return out, nil
}

func (f *filter) operator(e bson.E, siblings bson.D) (bson.E, error) {
	none := bson.E{}
	switch e.Key {
	case "$regex":
		options, _ := lookup(siblings, "$options").(string)
		pattern, ok := e.Value.(string)
		if r, isRegex := e.Value.(primitive.Regex); isRegex {
			pattern, options, ok = r.Pattern, r.Options+options, true
		}
		if !ok {
			return none, errorf(codeBadValue, "$regex has to be a string")
		}
		p, err := compilePattern(pattern, options)
		return bson.E{Key: e.Key, Value: p}, err

	case "$in", "$nin":
		values, ok := e.Value.(bson.A)
		if !ok {
			return none, errorf(codeBadValue, "%s needs an array", e.Key)
		}
		return membership(e.Key, values)

	case "$all":
		values, ok := e.Value.(bson.A)
		if !ok {
			return none, errorf(codeBadValue, "$all needs an array")
		}
		for _, v := range values {
			_, isOperator := isOperators(v)
			if _, isRegex := v.(primitive.Regex); isRegex || isOperator {
				return none, unsupported("$all with patterns or operators is")
			}
		}
		return e, nil

	case "$not":
		_, isRegex := e.Value.(primitive.Regex)
		if _, ok := isOperators(e.Value); !ok && !isRegex {
			return none, errorf(codeBadValue, "$not needs a regex or a document")
		}
		condition, err := f.condition(e.Value)
		return bson.E{Key: e.Key, Value: condition}, err

	case "$elemMatch":
		query, ok := e.Value.(bson.D)
		if !ok {
			return none, errorf(codeBadValue, "$elemMatch needs an Object")
		}
		prepared, err := f.element(query)
		return bson.E{Key: e.Key, Value: prepared}, err

	case "$near", "$nearSphere", "$geoWithin", "$geoIntersects":
		return none, unsupported("query operator %s is", e.Key)
	}
	if _, ok := mongokit.ExpressionQueryOperators[e.Key]; !ok || isInternal(e.Key) || isLogical(e.Key) {
		return none, errorf(codeBadValue, "unknown operator: %s", e.Key)
	}
	return e, nil
}

// element prepares what $elemMatch asks of one element: operators on the element itself, or a query on its fields.
func (f *filter) element(query bson.D) (bson.D, error) {
	if operators, ok := isOperators(query); ok && !isLogical(operators[0].Key) {
		condition, err := f.condition(operators)
		if err != nil {
			return nil, err
		}
		return condition.(bson.D), nil
	}
	return f.prepare(query, false)
}

func isLogical(key string) bool { return key == "$and" || key == "$or" || key == "$nor" }

// conjuncts calls visit with every condition that all selected documents must meet.
func conjuncts(query bson.D, visit func(path string, condition any)) {
	for _, e := range query {
		if e.Key == "$and" {
			for _, branch := range e.Value.(bson.A) {
				conjuncts(branch.(bson.D), visit)
			}
		} else if !strings.HasPrefix(e.Key, "$") {
			visit(e.Key, e.Value)
		}
	}
}

// constants is the document that an upsert starts from: the fields the query pins to one value.
func (f *filter) constants() (bson.D, error) {
	base := bson.D{}
	doc, err := mongokit.Extract(&f.match)
	if err != nil {
		return nil, err
	}
	if doc != nil {
		base = *bsonkit.Clone(doc)
	}
	return base, nil
}
