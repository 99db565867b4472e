package mongo

import (
	"slices"
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"
)

// expression is an operator whose arguments are all evaluated before it runs.
type expression struct {
	least, most int // how many arguments it takes; most 0 is any number
	of          func(args bson.A) (any, error)
}

// specialExpressions see their argument unevaluated.
var specialExpressions map[string]func(scope, any) (any, error)

func init() { // they call back into evaluate, which looks them up
	specialExpressions = map[string]func(scope, any) (any, error){
		"$literal": func(_ scope, v any) (any, error) { return v, nil },
		"$cond":    evaluateCond,
		"$filter":  evaluateFilter,
		"$map":     evaluateMap,
	}
}

var expressions = map[string]expression{
	"$add":           {1, 0, fold(add)},
	"$multiply":      {1, 0, fold(multiply)},
	"$subtract":      {2, 2, subtract},
	"$divide":        {2, 2, divide},
	"$eq":            {2, 2, comparison(func(c int) bool { return c == 0 })},
	"$ne":            {2, 2, comparison(func(c int) bool { return c != 0 })},
	"$gt":            {2, 2, comparison(func(c int) bool { return c > 0 })},
	"$gte":           {2, 2, comparison(func(c int) bool { return c >= 0 })},
	"$lt":            {2, 2, comparison(func(c int) bool { return c < 0 })},
	"$lte":           {2, 2, comparison(func(c int) bool { return c <= 0 })},
	"$and":           {0, 0, all(true)},
	"$or":            {0, 0, all(false)},
	"$not":           {1, 1, func(args bson.A) (any, error) { return !truthy(args[0]), nil }},
	"$ifNull":        {2, 0, firstPresent},
	"$in":            {2, 2, contains},
	"$size":          {1, 1, size},
	"$arrayElemAt":   {2, 2, arrayElemAt},
	"$first":         {1, 1, func(args bson.A) (any, error) { return arrayElemAt(bson.A{args[0], int32(0)}) }},
	"$last":          {1, 1, func(args bson.A) (any, error) { return arrayElemAt(bson.A{args[0], int32(-1)}) }},
	"$min":           {1, 0, extreme(-1)},
	"$max":           {1, 0, extreme(1)},
	"$sum":           {1, 0, sum},
	"$concat":        {0, 0, concat},
	"$toLower":       {1, 1, text(strings.ToLower)},
	"$toUpper":       {1, 1, text(strings.ToUpper)},
	"$concatArrays":  {0, 0, concatArrays},
	"$mergeObjects":  {1, 0, mergeObjects},
	"$objectToArray": {1, 1, objectToArray},
}

func fold(operation func(a, b any) (any, error)) func(bson.A) (any, error) {
	return func(args bson.A) (any, error) {
		result := args[0]
		for i, arg := range args {
			if arg == nil {
				return nil, nil
			}
			if i == 0 {
				continue
			}
			var err error
			if result, err = operation(result, arg); err != nil {
				return nil, err
			}
		}
		return result, nil
	}
}

func subtract(args bson.A) (any, error) {
	if args[0] == nil || args[1] == nil {
		return nil, nil
	}
	negative, err := multiply(args[1], int32(-1))
	if err != nil {
		return nil, err
	}
	return add(args[0], negative)
}

func divide(args bson.A) (any, error) {
	if args[0] == nil || args[1] == nil {
		return nil, nil
	}
	a, okA := toFloat(args[0])
	b, okB := toFloat(args[1])
	if !okA || !okB {
		return nil, errorf(codeTypeMismatch, "$divide needs two doubles or integers")
	}
	if b == 0 {
		return nil, errorf(codeBadValue, "can't $divide by zero")
	}
	return a / b, nil
}

func comparison(test func(int) bool) func(bson.A) (any, error) {
	return func(args bson.A) (any, error) { return test(bsonkit.Compare(args[0], args[1])), nil }
}

func all(want bool) func(bson.A) (any, error) {
	return func(args bson.A) (any, error) {
		for _, arg := range args {
			if truthy(arg) != want {
				return !want, nil
			}
		}
		return want, nil
	}
}

func firstPresent(args bson.A) (any, error) {
	for _, arg := range args {
		if arg != nil {
			return arg, nil
		}
	}
	return nil, nil
}

func contains(args bson.A) (any, error) {
	array, ok := args[1].(bson.A)
	if !ok {
		return nil, errorf(40081, "$in requires an array as a second argument")
	}
	for _, element := range array {
		if bsonkit.Compare(element, args[0]) == 0 {
			return true, nil
		}
	}
	return false, nil
}

func size(args bson.A) (any, error) {
	array, ok := args[0].(bson.A)
	if !ok {
		return nil, errorf(17124, "the argument to $size must be an array")
	}
	return int32(len(array)), nil
}

func arrayElemAt(args bson.A) (any, error) {
	array, ok := args[0].(bson.A)
	if !ok {
		if args[0] == nil {
			return nil, nil
		}
		return nil, errorf(28689, "$arrayElemAt's first argument must be an array")
	}
	i, ok := toInt64(args[1])
	if !ok {
		return nil, errorf(28690, "$arrayElemAt's second argument must be an integer")
	}
	if i < 0 {
		i += int64(len(array))
	}
	if i < 0 || i >= int64(len(array)) {
		return bsonkit.Missing, nil
	}
	return array[i], nil
}

// extreme is $min (sign -1) and $max (sign 1), over its arguments or over the one array it is given.
func extreme(sign int) func(bson.A) (any, error) {
	return func(args bson.A) (any, error) {
		var best any
		for _, v := range spread(args) {
			if v != nil && (best == nil || bsonkit.Compare(v, best) == sign) {
				best = v
			}
		}
		return best, nil
	}
}

func sum(args bson.A) (any, error) {
	var total any = int32(0)
	for _, v := range spread(args) {
		if class, _ := bsonkit.Inspect(v); class != bsonkit.Number {
			continue
		}
		var err error
		if total, err = add(total, v); err != nil {
			return nil, err
		}
	}
	return total, nil
}

func spread(args bson.A) bson.A {
	if array, ok := args[0].(bson.A); ok && len(args) == 1 {
		return array
	}
	return args
}

func concat(args bson.A) (any, error) {
	var out strings.Builder
	for _, arg := range args {
		s, ok := arg.(string)
		if arg == nil {
			return nil, nil
		}
		if !ok {
			return nil, errorf(16702, "$concat only supports strings")
		}
		out.WriteString(s)
	}
	return out.String(), nil
}

func text(change func(string) string) func(bson.A) (any, error) {
	return func(args bson.A) (any, error) {
		s, ok := args[0].(string)
		if !ok && args[0] != nil {
			return nil, errorf(codeTypeMismatch, "expected a string")
		}
		return change(s), nil
	}
}

func concatArrays(args bson.A) (any, error) {
	out := bson.A{}
	for _, arg := range args {
		array, ok := arg.(bson.A)
		if arg == nil {
			return nil, nil
		}
		if !ok {
			return nil, errorf(28664, "$concatArrays only supports arrays")
		}
		out = append(out, array...)
	}
	return out, nil
}

func mergeObjects(args bson.A) (any, error) {
	out := bson.D{}
	for _, arg := range spread(args) {
		doc, ok := arg.(bson.D)
		if !ok && arg != nil {
			return nil, errorf(40400, "$mergeObjects requires object inputs")
		}
		for _, e := range doc {
			if i := slices.IndexFunc(out, func(o bson.E) bool { return o.Key == e.Key }); i >= 0 {
				out[i] = e
			} else {
				out = append(out, e)
			}
		}
	}
	return out, nil
}

func objectToArray(args bson.A) (any, error) {
	if args[0] == nil {
		return nil, nil
	}
	doc, ok := args[0].(bson.D)
	if !ok {
		return nil, errorf(40390, "$objectToArray requires a document input")
	}
	out := bson.A{}
	for _, e := range doc {
		out = append(out, bson.D{{Key: "k", Value: e.Key}, {Key: "v", Value: e.Value}})
	}
	return out, nil
}

// evaluateCond evaluates only the branch that is taken.
func evaluateCond(s scope, v any) (any, error) {
	var branches [3]any
	switch x := v.(type) {
	case bson.D:
		branches = [3]any{lookup(x, "if"), lookup(x, "then"), lookup(x, "else")}
	case bson.A:
		if len(x) != 3 {
			return nil, errorf(16020, "$cond takes exactly 3 arguments")
		}
		branches = [3]any(x)
	default:
		return nil, errorf(16020, "$cond takes exactly 3 arguments")
	}
	condition, err := evaluate(s, branches[0])
	if err != nil {
		return nil, err
	}
	if truthy(condition) {
		return evaluate(s, branches[1])
	}
	return evaluate(s, branches[2])
}

func evaluateFilter(s scope, v any) (any, error) {
	return eachInput(s, v, "cond", func(element, result any, out bson.A) bson.A {
		if truthy(result) {
			out = append(out, element)
		}
		return out
	})
}

func evaluateMap(s scope, v any) (any, error) {
	return eachInput(s, v, "in", func(_, result any, out bson.A) bson.A { return append(out, present(result)) })
}

// eachInput evaluates one argument of $filter or $map for each element of their input.
func eachInput(s scope, v any, argument string, collect func(element, result any, out bson.A) bson.A) (any, error) {
	spec, ok := v.(bson.D)
	if !ok {
		return nil, errorf(28646, "expected an object with input, as and %s", argument)
	}
	input, err := evaluate(s, lookup(spec, "input"))
	if err != nil {
		return nil, err
	}
	array, ok := input.(bson.A)
	if !ok {
		if present(input) == nil {
			return nil, nil
		}
		return nil, errorf(28651, "input must be an array")
	}
	name, _ := lookup(spec, "as").(string)
	if name == "" {
		name = "this"
	}
	out := bson.A{}
	for _, element := range array {
		result, err := evaluate(s.with(name, element), lookup(spec, argument))
		if err != nil {
			return nil, err
		}
		out = collect(element, result, out)
	}
	return out, nil
}
