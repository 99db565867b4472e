package mongo

import (
	"maps"
	"strings"
	"time"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
)

// scope is what an aggregation expression can refer to.
type scope struct {
	root bson.D
	vars map[string]any
}

func (s scope) with(name string, value any) scope {
	vars := maps.Clone(s.vars)
	if vars == nil {
		vars = map[string]any{}
	}
	vars[name] = value
	return scope{s.root, vars}
}

// evaluate computes an aggregation expression; the answer may be bsonkit.Missing.
func evaluate(s scope, expression any) (any, error) {
	switch x := expression.(type) {
	case string:
		return s.reference(x)
	case bson.A:
		out := make(bson.A, len(x))
		for i, item := range x {
			value, err := evaluate(s, item)
			if err != nil {
				return nil, err
			}
			out[i] = present(value)
		}
		return out, nil
	case bson.D:
		if operators, ok := isOperators(x); ok {
			return s.operator(operators[0])
		}
		out := make(bson.D, 0, len(x))
		for _, e := range x {
			value, err := evaluate(s, e.Value)
			if err != nil {
				return nil, err
			}
			if value != bsonkit.Missing {
				out = append(out, bson.E{Key: e.Key, Value: value})
			}
		}
		return out, nil
	}
	return expression, nil
}

// present turns missing into null, as arrays and operators see it.
func present(v any) any {
	if v == bsonkit.Missing {
		return nil
	}
	return v
}

// reference reads "$field.path", "$$variable.path", or is a plain string.
func (s scope) reference(text string) (any, error) {
	path, ok := strings.CutPrefix(text, "$")
	if !ok {
		return text, nil
	}
	if err := checkPath(path); err != nil {
		return nil, err
	}
	name, isVariable := strings.CutPrefix(path, "$")
	if !isVariable {
		return get(s.root, path), nil
	}
	name, rest, deeper := strings.Cut(name, ".")
	var value any
	switch name {
	case "ROOT", "CURRENT":
		value = s.root
	case "NOW":
		value = primitive.NewDateTimeFromTime(time.Now())
	case "REMOVE":
		value = bsonkit.Missing
	default:
		if value, ok = s.vars[name]; !ok {
			return nil, errorf(17276, "Use of undefined variable: %s", name)
		}
	}
	if deeper {
		return get(value, rest), nil
	}
	return value, nil
}

// get reads a path as expressions do: through an array, the values of its elements.
func get(v any, path string) any {
	key, rest, deeper := strings.Cut(path, ".")
	switch x := v.(type) {
	case bson.D:
		value := field(x, key)
		if deeper && value != bsonkit.Missing {
			return get(value, rest)
		}
		return value
	case bson.A:
		out := bson.A{}
		for _, element := range x {
			if value := get(element, path); value != bsonkit.Missing {
				out = append(out, value)
			}
		}
		return out
	}
	return bsonkit.Missing
}

// operator computes one $operator.
func (s scope) operator(e bson.E) (any, error) {
	if special, ok := specialExpressions[e.Key]; ok {
		return special(s, e.Value)
	}
	compute, ok := expressions[e.Key]
	if !ok {
		return nil, unknownExpression(e.Key)
	}
	value, err := evaluate(s, e.Value)
	if err != nil {
		return nil, err
	}
	args, ok := value.(bson.A)
	if _, list := e.Value.(bson.A); !ok || !list {
		args = bson.A{present(value)}
	}
	if len(args) < compute.least || (compute.most > 0 && len(args) > compute.most) {
		return nil, errorf(16020, "expression %s takes another number of arguments than %d", e.Key, len(args))
	}
	return compute.of(args)
}

func unknownExpression(name string) error {
	return &commandError{
		code:    codeInvalidPipelineOp,
		message: "expression '" + name + "' is not supported by the embedded store",
	}
}

// checkExpression refuses unknown operators before any document is read.
func checkExpression(expression any) error {
	switch x := expression.(type) {
	case bson.A:
		for _, item := range x {
			if err := checkExpression(item); err != nil {
				return err
			}
		}
	case bson.D:
		if operators, ok := isOperators(x); ok {
			if len(operators) > 1 {
				return errorf(15983, "an object representing an expression must have exactly one field")
			}
			if operators[0].Key == "$literal" {
				return nil
			}
			_, plain := expressions[operators[0].Key]
			_, special := specialExpressions[operators[0].Key]
			if !plain && !special {
				return unknownExpression(operators[0].Key)
			}
		}
		for _, e := range x {
			if err := checkExpression(e.Value); err != nil {
				return err
			}
		}
	}
	return nil
}
