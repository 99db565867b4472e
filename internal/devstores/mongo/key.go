package mongo

import (
	"encoding/binary"
	"math"

	"github.com/256dpi/lungo/bsonkit"
	"github.com/shopspring/decimal"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
)

// Keys are byte strings that order as MongoDB orders the values they stand for, so that index entries, sort keys and
// group keys are compared without decoding. Every encoded value ends where it says, none is a prefix of another: keys
// of several columns are simply joined, and a descending column is the same bytes inverted.

// appendKey appends the key of one value, inverted when the column descends.
func appendKey(dst []byte, value any, descending bool) []byte {
	start := len(dst)
	dst = appendAscending(dst, value)
	if descending {
		invert(dst[start:])
	}
	return dst
}

func invert(b []byte) {
	for i := range b {
		b[i] = ^b[i]
	}
}

// classKey is the common prefix of the keys of all values that MongoDB compares with this one.
func classKey(value any) []byte {
	class, _ := bsonkit.Inspect(value)
	return []byte{byte(class) + 1}
}

func appendAscending(dst []byte, value any) []byte {
	dst = append(dst, classKey(value)...)
	switch v := value.(type) {
	case int32:
		return appendNumber(dst, float64(v), 0)
	case int64:
		return appendInt64(dst, v)
	case float64:
		return appendNumber(dst, v, 0)
	case primitive.Decimal128:
		return appendDecimal(dst, v)
	case string:
		return appendText(dst, v)
	case bson.D:
		for _, e := range v {
			dst = appendAscending(appendText(append(dst, 1), e.Key), e.Value)
		}
		return append(dst, 0)
	case bson.A:
		for _, e := range v {
			dst = appendAscending(append(dst, 1), e)
		}
		return append(dst, 0)
	case primitive.Binary:
		dst = binary.BigEndian.AppendUint64(dst, uint64(len(v.Data)))
		return append(append(dst, v.Subtype), v.Data...)
	case primitive.ObjectID:
		return append(dst, v[:]...)
	case bool:
		if v {
			return append(dst, 1)
		}
		return append(dst, 0)
	case primitive.DateTime:
		return appendSigned(dst, int64(v))
	case primitive.Timestamp:
		return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(dst, v.T), v.I)
	case primitive.Regex:
		return appendText(appendText(dst, v.Pattern), v.Options)
	}
	return dst // null and missing
}

// appendText escapes zero bytes, so that a shorter string still orders before its extensions.
func appendText(dst []byte, s string) []byte {
	for i := range len(s) {
		if dst = append(dst, s[i]); s[i] == 0 {
			dst = append(dst, 0xff)
		}
	}
	return append(dst, 0, 1)
}

func appendSigned(dst []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(n)^1<<63)
}

func appendInt64(dst []byte, n int64) []byte {
	f := float64(n)
	if f >= 1<<63 { // rounded beyond the type: the nearest float is 2⁶³ itself
		return appendNumber(dst, f, float64(n-math.MaxInt64)-1)
	}
	return appendNumber(dst, f, float64(n-int64(f)))
}

func appendDecimal(dst []byte, v primitive.Decimal128) []byte {
	coefficient, exponent, err := v.BigInt()
	if err != nil { // NaN and the infinities compare as zero in the kit
		return appendNumber(dst, 0, 0)
	}
	d := decimal.NewFromBigInt(coefficient, int32(exponent))
	f, _ := d.Float64()
	if math.IsInf(f, 0) {
		return appendNumber(dst, f, 0)
	}
	rest, _ := d.Sub(decimal.NewFromFloat(f)).Float64()
	return appendNumber(dst, f, rest)
}

// appendNumber orders numbers of all types together: by the nearest float, then by what the float left out.
func appendNumber(dst []byte, f, rest float64) []byte {
	dst = appendFloat(dst, f)
	switch {
	case rest < 0:
		return appendFloat(append(dst, 0), rest)
	case rest > 0:
		return appendFloat(append(dst, 2), rest)
	}
	return append(dst, 1)
}

func appendFloat(dst []byte, f float64) []byte {
	bits := math.Float64bits(f)
	switch {
	case math.IsNaN(f):
		bits = 0 // below minus infinity
	case f == 0:
		bits = 1 << 63 // zero has two signs
	case f < 0:
		bits = ^bits
	default:
		bits |= 1 << 63
	}
	return binary.BigEndian.AppendUint64(dst, bits)
}

// after is the first key behind all keys that begin with this prefix; empty means there is none.
func after(prefix []byte) string {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return string(end[:i+1])
		}
	}
	return ""
}
