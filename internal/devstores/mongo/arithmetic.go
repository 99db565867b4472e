package mongo

import (
	"math"
	"math/bits"

	"github.com/256dpi/lungo/bsonkit"
)

// add sums two numbers in the wider of their types; int32 widens when it overflows, int64 refuses to.
func add(a, b any) (any, error) {
	x, xInt := toInteger(a)
	y, yInt := toInteger(b)
	if !xInt || !yInt {
		return number(bsonkit.Add(a, b))
	}
	sum := x + y
	if (sum > x) != (y > 0) {
		return nil, errorf(codeBadValue, "integer overflow")
	}
	return narrowest(sum, a, b), nil
}

// multiply is the product, with the same widening as add.
func multiply(a, b any) (any, error) {
	x, xInt := toInteger(a)
	y, yInt := toInteger(b)
	if !xInt || !yInt {
		return number(bsonkit.Mul(a, b))
	}
	high, low := bits.Mul64(magnitude(x), magnitude(y))
	product := x * y
	if high != 0 || low > 1<<63 || (low == 1<<63 && (x < 0) == (y < 0)) {
		return nil, errorf(codeBadValue, "integer overflow")
	}
	return narrowest(product, a, b), nil
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

func number(result any) (any, error) {
	if result == bsonkit.Missing {
		return nil, errorf(codeTypeMismatch, "arithmetic needs two numbers")
	}
	return result, nil
}

func toInteger(v any) (int64, bool) {
	switch n := v.(type) {
	case int32:
		return int64(n), true
	case int64:
		return n, true
	}
	return 0, false
}

// narrowest keeps int32 while both operands are int32 and the result fits.
func narrowest(result int64, a, b any) any {
	_, aNarrow := a.(int32)
	_, bNarrow := b.(int32)
	if aNarrow && bNarrow && result >= math.MinInt32 && result <= math.MaxInt32 {
		return int32(result)
	}
	return result
}

// toFloat reads a number for arithmetic that MongoDB does in doubles.
func toFloat(v any) (float64, bool) {
	switch n := v.(type) {
	case int32:
		return float64(n), true
	case int64:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}
