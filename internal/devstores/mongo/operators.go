package mongo

import (
	"regexp"
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"github.com/256dpi/lungo/mongokit"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
)

// The kit's operator tables are open, and its own operators ($pull, $elemMatch) look others up there: what it lacks is
// added once, before any server exists.
func init() {
	for _, name := range []string{"$and", "$or", "$nor"} {
		mongokit.ExpressionQueryOperators[name] = matchElementQueries
	}
	mongokit.ExpressionQueryOperators["$regex"] = matchPattern
	mongokit.ExpressionQueryOperators[inPatterns] = matchMembership
	mongokit.ExpressionQueryOperators[notInPatterns] = matchMembership
	mongokit.TopLevelQueryOperators["$expr"] = matchExpression
	mongokit.FieldUpdateOperators["$inc"] = applyArithmetic
	mongokit.FieldUpdateOperators["$mul"] = applyArithmetic
}

// $in and $nin with patterns among their values are rewritten to these; a client cannot send them.
const (
	inPatterns    = "$in with patterns"
	notInPatterns = "$nin with patterns"
)

func isInternal(operator string) bool { return operator == inPatterns || operator == notInPatterns }

// compilePattern translates a pattern and its options to Go's linear-time engine.
func compilePattern(pattern, options string) (*regexp.Regexp, error) {
	var flags strings.Builder
	for _, o := range options {
		switch o {
		case 'i', 'm', 's':
			flags.WriteRune(o)
		case 'u':
		default:
			return nil, unsupported("regular expression option %q is", o)
		}
	}
	if flags.Len() > 0 {
		pattern = "(?" + flags.String() + ")" + pattern
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, errorf(codeBadValue, "regular expression is invalid: %v", err)
	}
	return re, nil
}

// anyValue tries the value at a path and, if it is an array, each of its elements.
func anyValue(doc bsonkit.Doc, path string, test func(any) bool) bool {
	value, collected := bsonkit.All(doc, path, true, true)
	if array, ok := value.(bson.A); ok {
		for _, element := range array {
			if test(element) {
				return true
			}
		}
	}
	return !collected && test(value)
}

func matched(ok bool) error {
	if ok {
		return nil
	}
	return mongokit.ErrNotMatched
}

func matchPattern(_ mongokit.Context, doc bsonkit.Doc, _, path string, v any) error {
	re := v.(*regexp.Regexp)
	return matched(anyValue(doc, path, func(value any) bool {
		s, ok := value.(string)
		return ok && re.MatchString(s)
	}))
}

// candidates are the values and patterns of one $in.
type candidates struct {
	values   bson.A
	patterns []*regexp.Regexp
}

// membership prepares $in and $nin.
func membership(operator string, values bson.A) (bson.E, error) {
	var c candidates
	for _, v := range values {
		if r, ok := v.(primitive.Regex); ok {
			p, err := compilePattern(r.Pattern, r.Options)
			if err != nil {
				return bson.E{}, err
			}
			c.patterns = append(c.patterns, p)
			continue
		}
		if _, ok := isOperators(v); ok {
			return bson.E{}, errorf(codeBadValue, "cannot nest $ under %s", operator)
		}
		c.values = append(c.values, v)
	}
	switch {
	case len(c.patterns) == 0:
		return bson.E{Key: operator, Value: values}, nil
	case operator == "$in":
		return bson.E{Key: inPatterns, Value: c}, nil
	default:
		return bson.E{Key: notInPatterns, Value: c}, nil
	}
}

func matchMembership(_ mongokit.Context, doc bsonkit.Doc, operator, path string, v any) error {
	c := v.(candidates)
	found := anyValue(doc, path, func(value any) bool {
		for _, candidate := range c.values {
			if bsonkit.Compare(value, candidate) == 0 {
				return true
			}
		}
		s, ok := value.(string)
		for _, p := range c.patterns {
			if ok && p.MatchString(s) {
				return true
			}
		}
		return false
	})
	return matched(found == (operator == inPatterns))
}

// matchElementQueries is $and, $or and $nor inside $elemMatch, where paths start at the element.
func matchElementQueries(ctx mongokit.Context, doc bsonkit.Doc, operator, path string, v any) error {
	for _, branch := range v.(bson.A) {
		err := mongokit.Process(ctx, doc, branch.(bson.D), path, false)
		switch {
		case err != nil && err != mongokit.ErrNotMatched:
			return err
		case operator == "$and" && err != nil:
			return err
		case operator == "$or" && err == nil:
			return nil
		case operator == "$nor" && err == nil:
			return mongokit.ErrNotMatched
		}
	}
	return matched(operator != "$or")
}

func matchExpression(_ mongokit.Context, doc bsonkit.Doc, _, _ string, v any) error {
	value, err := evaluate(scope{root: *doc}, v)
	if err != nil {
		return err
	}
	return matched(truthy(value))
}

// applyArithmetic is $inc and $mul with MongoDB's widening: an int32 that overflows becomes an int64.
func applyArithmetic(ctx mongokit.Context, doc bsonkit.Doc, operator, path string, operand any) error {
	current := bsonkit.Get(doc, path)
	if current == bsonkit.Missing {
		current = int32(0)
	}
	operation := add
	if operator == "$mul" {
		operation = multiply
	}
	result, err := operation(current, operand)
	if err != nil {
		return errorf(asCommandError(err).code, "Failed to apply %s to %q: %v", operator, path, err)
	}
	if _, err := bsonkit.Put(doc, path, result, false); err != nil {
		return err
	}
	return ctx.Value.(*mongokit.Changes).Record(path, result)
}
