package mongo

import (
	"strconv"
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"
)

// checkPath refuses field paths that MongoDB refuses and ones that would make the kit recurse without end.
func checkPath(path string) error {
	switch {
	case path == "":
		return errorf(codeBadValue, "field path must not be empty")
	case strings.Count(path, ".") >= maxDepth:
		return errorf(codeOverflow, "field path is longer than %d parts", maxDepth)
	}
	return nil
}

// head is the top-level field that a path begins in.
func head(path string) string {
	first, _, _ := strings.Cut(path, ".")
	return first
}

// overlaps says whether one path lies inside the other.
func overlaps(a, b string) bool {
	return a == b || strings.HasPrefix(a, b+".") || strings.HasPrefix(b, a+".")
}

// lookup reads a direct field of a command, statement or specification.
func lookup(doc bson.D, key string) any {
	for _, e := range doc {
		if e.Key == key {
			return e.Value
		}
	}
	return nil
}

// without is the document less one top-level field.
func without(doc bson.D, key string) bson.D {
	out := make(bson.D, 0, len(doc))
	for _, e := range doc {
		if e.Key != key {
			out = append(out, e)
		}
	}
	return out
}

// isOperators says whether a value is a document of $operators rather than a value to compare with.
func isOperators(v any) (bson.D, bool) {
	d, ok := v.(bson.D)
	return d, ok && len(d) > 0 && strings.HasPrefix(d[0].Key, "$")
}

// toInt64 reads an integer of any numeric type; fractions are refused.
func toInt64(v any) (int64, bool) {
	switch n := v.(type) {
	case int32:
		return int64(n), true
	case int64:
		return n, true
	case float64:
		return int64(n), n == float64(int64(n))
	}
	return 0, false
}

// truthy is MongoDB's idea of true: anything but false, null, missing and zero.
func truthy(v any) bool {
	switch x := v.(type) {
	case nil, bsonkit.MissingType:
		return false
	case bool:
		return x
	}
	if class, _ := bsonkit.Inspect(v); class == bsonkit.Number {
		return bsonkit.Compare(v, int32(0)) != 0
	}
	return true
}

func arrayKey(i int) string { return strconv.Itoa(i) }
