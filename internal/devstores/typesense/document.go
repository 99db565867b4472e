package typesense

import (
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// dirty is what happens to a value of the wrong type.
type dirty string

const (
	coerceOrReject dirty = "coerce_or_reject"
	coerceOrDrop   dirty = "coerce_or_drop"
	dropDirty      dirty = "drop"
	rejectDirty    dirty = "reject"
)

func parseDirty(s string) (dirty, *apiError) {
	switch d := dirty(strings.ToLower(s)); d {
	case "":
		return coerceOrReject, nil
	case coerceOrReject, coerceOrDrop, dropDirty, rejectDirty:
		return d, nil
	}
	return "", badRequest("Parameter `dirty_values` must be one of `coerce_or_reject`, `coerce_or_drop`, `drop` or `reject`.")
}

func (d dirty) coerces() bool { return d == coerceOrReject || d == coerceOrDrop }
func (d dirty) drops() bool   { return d == coerceOrDrop || d == dropDirty }

// point is a latitude and a longitude.
type point [2]float64

// value is what one document holds in one field, ready for the index.
type value struct {
	strs []string
	nums []int64 // floats and bools in an order-preserving form
	geo  []point
}

func (v value) empty() bool { return len(v.strs)+len(v.nums)+len(v.geo) == 0 }

func (v value) equal(o value) bool {
	return slices.Equal(v.strs, o.strs) && slices.Equal(v.nums, o.nums) && slices.Equal(v.geo, o.geo)
}

// read takes the values of a document for each of the schema's checks, coercing or dropping what has the wrong type.
func (s *schema) read(doc map[string]any, policy dirty) ([]value, *apiError) {
	if s.DefaultSort != "" {
		if f := s.field(s.DefaultSort); f != nil && !present(doc, f.path) {
			return nil, badRequest("Field `%s` has been declared as a default sorting field, but is not found in the document.", s.DefaultSort)
		}
	}
	out := make([]value, len(s.checks))
	for i, f := range s.checks {
		r := reading{f: f, policy: policy}
		if err := r.walk(doc, f.path, f.array); err != nil {
			return nil, err
		}
		if !r.found && !f.Optional {
			return nil, badRequest("Field `%s` has been declared in the schema, but is not found in the document.", f.Name)
		}
		if f.Index {
			out[i] = r.out
		}
	}
	return out, nil
}

func present(doc map[string]any, path []string) bool {
	for _, p := range path[:len(path)-1] {
		next, ok := doc[p].(map[string]any)
		if !ok {
			return false
		}
		doc = next
	}
	v, ok := doc[path[len(path)-1]]
	return ok && v != nil
}

// reading collects one field's value from a document.
type reading struct {
	f      *field
	policy dirty
	found  bool
	out    value
}

// walk descends to the field, through arrays of objects too; several tells that many values may be met.
func (r *reading) walk(doc map[string]any, path []string, several bool) *apiError {
	key := path[0]
	v, ok := doc[key]
	if !ok {
		return nil
	}
	if len(path) > 1 {
		switch v := v.(type) {
		case map[string]any:
			return r.walk(v, path[1:], several)
		case []any:
			for _, e := range v {
				if m, ok := e.(map[string]any); ok {
					if err := r.walk(m, path[1:], true); err != nil {
						return err
					}
				}
			}
		}
		return nil
	}
	if v == nil {
		if r.f.Optional {
			delete(doc, key)
		}
		return nil
	}
	kept, err := r.take(v, several)
	if err != nil {
		return err
	}
	if kept == nil {
		delete(doc, key)
		return nil
	}
	r.found = true
	doc[key] = kept
	return nil
}

// take reads a leaf and returns what the document keeps of it; nil means nothing.
func (r *reading) take(v any, several bool) (any, *apiError) {
	if r.f.kind == kindStored {
		return v, nil
	}
	if r.f.kind == kindGeo {
		return r.takeGeo(v)
	}
	elems, isArray := v.([]any)
	switch {
	case isArray && !r.f.array:
		return r.dirty("Field `%s` must be %s.", r.f.Name, r.f.kind.noun())
	case !isArray && r.f.array && !several, !isArray && r.f.array && len(r.f.path) == 1:
		return r.dirty("Field `%s` must be an array.", r.f.Name)
	case !isArray:
		return r.takeOne(v)
	}
	kept := make([]any, 0, len(elems))
	for _, e := range elems {
		k, err := r.takeOne(e)
		if err != nil {
			return nil, err
		}
		if k != nil {
			kept = append(kept, k)
		}
	}
	return kept, nil
}

func (r *reading) takeOne(v any) (any, *apiError) {
	kept, ok := v, false
	switch r.f.kind {
	case kindString:
		var s string
		if s, ok = r.asString(v); ok {
			r.out.strs = append(r.out.strs, s)
			kept = s
		}
	case kindBool:
		var b bool
		if b, ok = r.asBool(v); ok {
			r.out.nums = append(r.out.nums, boolKey(b))
			kept = b
		}
	case kindFloat:
		var x float64
		if x, ok = r.asFloat(v); ok {
			r.out.nums = append(r.out.nums, floatKey(float32(x)))
			if _, number := v.(json.Number); !number {
				kept = json.Number(strconv.FormatFloat(x, 'f', -1, 64))
			}
		}
	default:
		var n int64
		if n, ok = r.asInt(v); ok && r.f.kind == kindInt32 {
			ok = n >= math.MinInt32 && n <= math.MaxInt32
		}
		if ok {
			r.out.nums = append(r.out.nums, n)
			kept = json.Number(strconv.FormatInt(n, 10))
		}
	}
	if ok {
		return kept, nil
	}
	if r.f.array {
		return r.dirty("Field `%s` must be an array of %s.", r.f.Name, strings.TrimSuffix(r.f.Type, "[]"))
	}
	return r.dirty("Field `%s` must be %s.", r.f.Name, r.f.kind.noun())
}

// dirty drops a value of the wrong type, or refuses the document.
func (r *reading) dirty(format string, args ...any) (any, *apiError) {
	if r.policy.drops() && r.f.Optional {
		return nil, nil
	}
	return nil, badRequest(format, args...)
}

func (r *reading) asString(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return string(v), r.policy.coerces()
	case bool:
		return strconv.FormatBool(v), r.policy.coerces()
	}
	return "", false
}

func (r *reading) asBool(v any) (b, ok bool) {
	switch v := v.(type) {
	case bool:
		return v, true
	case string:
		b, err := strconv.ParseBool(strings.ToLower(v))
		return b, err == nil && r.policy.coerces()
	case json.Number:
		return v == "1", (v == "0" || v == "1") && r.policy.coerces()
	}
	return false, false
}

func (r *reading) asFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case json.Number:
		x, err := v.Float64()
		return x, err == nil
	case string:
		x, err := strconv.ParseFloat(v, 64)
		return x, err == nil && !math.IsNaN(x) && !math.IsInf(x, 0) && r.policy.coerces()
	case bool:
		return float64(boolKey(v)), r.policy.coerces()
	}
	return 0, false
}

func (r *reading) asInt(v any) (int64, bool) {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, true
		}
		x, err := v.Float64()
		return int64(x), err == nil && math.Abs(x) < 1<<62 && r.policy.coerces()
	case string:
		n, err := strconv.ParseInt(v, 10, 64)
		return n, err == nil && r.policy.coerces()
	case bool:
		return boolKey(v), r.policy.coerces()
	}
	return 0, false
}

func (r *reading) takeGeo(v any) (any, *apiError) {
	pairs, ok := v.([]any)
	if ok && !r.f.array {
		pairs = []any{v}
	}
	if !ok {
		return r.dirty("Field `%s` must be a 2 element array: [lat, lng].", r.f.Name)
	}
	for _, p := range pairs {
		pair, ok := p.([]any)
		if !ok || len(pair) != 2 {
			return r.dirty("Field `%s` must be a 2 element array: [lat, lng].", r.f.Name)
		}
		lat, ok1 := r.asFloat(pair[0])
		lng, ok2 := r.asFloat(pair[1])
		if !ok1 || !ok2 || math.Abs(lat) > 90 || math.Abs(lng) > 180 {
			return r.dirty("Field `%s` must be a 2 element array: [lat, lng].", r.f.Name)
		}
		r.out.geo = append(r.out.geo, point{lat, lng})
	}
	return v, nil
}

// documentID takes a document's id; empty means that the document has none.
func documentID(doc map[string]any) (string, *apiError) {
	switch id := doc["id"].(type) {
	case nil:
		return "", nil
	case string:
		if id == "" {
			return "", badRequest("The `id` should not be empty.")
		}
		return id, nil
	default:
		return "", badRequest("Document's `id` field should be a string.")
	}
}

func missingDocument(id string) *apiError {
	return refuse(http.StatusNotFound, "Could not find a document with id: %s", id)
}

func boolKey(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// floatKey maps a float to an integer of the same order.
func floatKey(f float32) int64 {
	b := int32(math.Float32bits(f))
	if b < 0 {
		b ^= math.MaxInt32
	}
	return int64(b)
}

// floatOf is floatKey backwards.
func floatOf(key int64) float32 {
	b := int32(key)
	if b < 0 {
		b ^= math.MaxInt32
	}
	return math.Float32frombits(uint32(b))
}

// number is the value a key of this field stands for.
func (f *field) number(key int64) float64 {
	if f.kind == kindFloat {
		return float64(floatOf(key))
	}
	return float64(key)
}

// label is a key as facets show it.
func (f *field) label(key int64) string {
	switch f.kind {
	case kindFloat:
		return strconv.FormatFloat(float64(floatOf(key)), 'f', -1, 32)
	case kindBool:
		return strconv.FormatBool(key == 1)
	}
	return strconv.FormatInt(key, 10)
}
