package typesense

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
)

// errNotObject is what a document that is valid JSON, but no object, is refused with.
var errNotObject = errors.New("not an object")

// readObject reads one JSON object, keeping numbers as they were written.
func readObject(b []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one value")
	}
	obj, ok := v.(map[string]any)
	if !ok {
		return nil, errNotObject
	}
	return obj, nil
}

// readFields reads a document that writeObject wrote. What need not be looked into stays as it was written.
func readFields(b []byte, into func(name string) bool) map[string]any {
	var written map[string]json.RawMessage
	if err := json.Unmarshal(b, &written); err != nil {
		return map[string]any{} // cannot be
	}
	doc := make(map[string]any, len(written))
	for name, text := range written {
		doc[name] = text
		if into(name) {
			d := json.NewDecoder(bytes.NewReader(text))
			d.UseNumber()
			var v any
			if d.Decode(&v) == nil {
				doc[name] = v
			}
		}
	}
	return doc
}

// writeObject renders a value with sorted keys and plain text, as Typesense does.
func writeObject(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("typesense: a value read from JSON cannot be written as JSON: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// tidyNumbers rewrites the numbers of a document in their shortest form.
func tidyNumbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = tidyNumbers(e)
		}
	case []any:
		for i, e := range v {
			v[i] = tidyNumbers(e)
		}
	case json.Number:
		return tidyNumber(v)
	}
	return v
}

func tidyNumber(n json.Number) json.Number {
	if !strings.ContainsAny(string(n), ".eE") {
		return n
	}
	f, err := n.Float64()
	if err != nil {
		return n
	}
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-5 || a >= 1e15) {
		format = 'e'
	}
	s := strconv.FormatFloat(f, format, -1, 64)
	if format == 'f' && !strings.Contains(s, ".") {
		s += ".0"
	}
	return json.Number(s)
}

// mergePatch changes a document as RFC 7386 says: objects merge, null removes, everything else replaces.
func mergePatch(into, patch map[string]any) {
	for k, v := range patch {
		switch v := v.(type) {
		case nil:
			delete(into, k)
		case map[string]any:
			old, ok := into[k].(map[string]any)
			if !ok {
				old = map[string]any{}
			}
			mergePatch(old, v)
			into[k] = old
		default:
			into[k] = v
		}
	}
}
