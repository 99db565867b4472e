package engine

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/wundergraph/graphql-go-tools/v2/pkg/engine/resolve"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/errorcodes"
)

// pathOf reads a path as the library prints it in messages: "query.products.@.price".
func pathOf(printed string) []any {
	var out []any
	for _, p := range strings.Split(printed, ".") {
		out = append(out, p)
	}
	return out
}

// ours are the codes of errors whose paths the library or this package made.
var ours = []string{"", CodeSubgraph, errorcodes.UnauthorizedFieldOrType, errorcodes.InvalidGraphql, errorcodes.InternalServerError}

// locate completes the paths of errors that a subgraph reported about the items of a list: the library knows the list and
// the field, not the item. When as many places below the list are null as there are errors about it, those are the places.
func (x *executable) locate(found []Error, data json.RawMessage) {
	vague := map[string][]int{}
	for i, e := range found {
		if !slices.Contains(ours, e.Code()) && len(x.clean(e.Path)) < len(e.Path) {
			key, _ := json.Marshal(e.Path)
			vague[string(key)] = append(vague[string(key)], i)
		}
	}
	if len(vague) == 0 {
		return
	}
	var answer any
	if json.Unmarshal(data, &answer) != nil {
		return
	}
	for _, errors := range vague {
		places := nulls(answer, found[errors[0]].Path, nil)
		if len(places) != len(errors) {
			continue
		}
		for i, e := range errors {
			found[e].Path = places[i]
		}
	}
}

// nulls lists the places at which a path, going through every item of a list it gives no index for, comes to a null.
func nulls(v any, path, here []any) [][]any {
	if v == nil {
		return [][]any{here}
	}
	if len(path) == 0 {
		return nil
	}
	switch v := v.(type) {
	case []any:
		rest := path
		switch step := path[0].(type) {
		case float64:
			if int(step) < 0 || int(step) >= len(v) {
				return nil
			}
			return nulls(v[int(step)], path[1:], append(slices.Clone(here), step))
		case string:
			if step == "@" {
				rest = path[1:]
			}
		}
		var out [][]any
		for i, item := range v {
			out = append(out, nulls(item, rest, append(slices.Clone(here), float64(i)))...)
		}
		return out
	case map[string]any:
		if key, ok := path[0].(string); ok {
			if below, ok := v[key]; ok {
				return nulls(below, path[1:], append(slices.Clone(here), key))
			}
		}
	}
	return nil
}

// clean makes a path one that leads through the answer. Where it is not known which item of a list an error belongs to,
// the path ends at the list.
func (x *executable) clean(path []any) []any {
	var out []any
	var node resolve.Node = x.response.Data
	for i, p := range path {
		for {
			a, ok := node.(*resolve.Array)
			if !ok {
				break
			}
			if _, isNumber := p.(float64); !isNumber {
				return out
			}
			node = a.Item
			break
		}
		switch p := p.(type) {
		case float64:
			out = append(out, int(p))
		case string:
			if p == "@" {
				return out
			}
			next := child(node, p)
			if next == nil && i == 0 && (p == "query" || p == "mutation" || p == "subscription") {
				continue // the library begins some paths with the root
			}
			out = append(out, p)
			if next != nil {
				node = next
			}
		}
	}
	return out
}

func child(n resolve.Node, key string) resolve.Node {
	o, ok := n.(*resolve.Object)
	if !ok {
		return nil
	}
	for _, f := range o.Fields {
		if string(f.Name) == key {
			return f.Value
		}
	}
	return nil
}

// explains tells whether an error at one path accounts for a null at another: they lie on one line.
func explains(at, null []any) bool {
	for i := range min(len(at), len(null)) {
		if text(at[i]) != text(null[i]) {
			return false
		}
	}
	return true
}

func text(p any) string {
	if n, ok := p.(int); ok {
		return strconv.Itoa(n)
	}
	s, _ := p.(string)
	return s
}
