package typesense

import (
	"slices"
	"strings"
)

// shows says whether include_fields and exclude_fields leave a field in the answer.
func (r *request) shows(name string) bool { return shows(r.include, r.exclude, name) }

func shows(include, exclude []string, name string) bool {
	if covers(exclude, name) {
		return false
	}
	return len(include) == 0 || covers(include, name)
}

// covers says whether a list names a field, one of its parents, or a pattern that fits it.
func covers(list []string, name string) bool {
	return slices.ContainsFunc(list, func(l string) bool {
		prefix, wild := strings.CutSuffix(l, "*")
		return l == name || strings.HasPrefix(name, l+".") || wild && strings.HasPrefix(name, prefix)
	})
}

// project cuts a document down to the fields that are asked for.
func project(doc map[string]any, include, exclude []string) map[string]any {
	if len(include) == 0 && len(exclude) == 0 {
		return doc
	}
	return cut(doc, "", include, exclude)
}

func cut(doc map[string]any, prefix string, include, exclude []string) map[string]any {
	out := map[string]any{}
	for k, v := range doc {
		name := prefix + k
		if covers(exclude, name) {
			continue
		}
		whole := len(include) == 0 || covers(include, name)
		if !whole && !leads(include, name) {
			continue
		}
		inner := include
		if whole {
			inner = nil
		}
		switch child := v.(type) {
		case map[string]any:
			v = cut(child, name+".", inner, exclude)
		case []any:
			v = cutElements(child, name+".", inner, exclude)
		}
		if left, ok := v.(map[string]any); ok && len(left) == 0 && len(doc[k].(map[string]any)) > 0 {
			continue
		}
		out[k] = v
	}
	return out
}

func cutElements(elements []any, prefix string, include, exclude []string) []any {
	out := make([]any, len(elements))
	for i, e := range elements {
		if child, ok := e.(map[string]any); ok {
			e = cut(child, prefix, include, exclude)
		}
		out[i] = e
	}
	return out
}

// leads says whether a list names something inside a field.
func leads(list []string, name string) bool {
	return slices.ContainsFunc(list, func(l string) bool { return strings.HasPrefix(l, name+".") })
}
