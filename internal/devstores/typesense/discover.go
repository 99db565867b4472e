package typesense

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// discover returns the fields a document shows for the first time: children of objects and names that match a pattern.
func (s *schema) discover(doc map[string]any) []*field {
	if len(s.patterns) == 0 && !s.hasObjects() {
		return nil
	}
	d := discovery{s: s, seen: map[string]*field{}}
	d.object(doc, "", nil, false)
	var out []*field
	for _, name := range slices.Sorted(maps.Keys(d.seen)) {
		out = append(out, d.seen[name])
	}
	return out
}

func (s *schema) hasObjects() bool {
	return slices.ContainsFunc(s.Fields, func(f *field) bool { return f.kind == kindObject })
}

type discovery struct {
	s    *schema
	seen map[string]*field
}

// object looks at an object's members; parent is the declaration they inherit, several that they may occur many times.
func (d *discovery) object(obj map[string]any, prefix string, parent *field, several bool) {
	for key, v := range obj {
		name := prefix + key
		if name == "id" || d.s.field(name) != nil || isPattern(name) {
			continue
		}
		rule := d.rule(name, parent)
		if child, many, ok := objects(v); ok {
			if d.s.Nested {
				if declared := d.s.byName[name]; declared != nil && declared.kind == kindObject {
					rule = declared
				}
				for _, c := range child {
					d.object(c, name+".", rule, several || many)
				}
			}
			continue
		}
		if rule != nil {
			d.leaf(name, v, rule, several)
		}
	}
}

// rule finds the declaration a new name falls under.
func (d *discovery) rule(name string, parent *field) *field {
	for _, p := range d.s.patterns {
		if p.Name == name || p.pattern != nil && p.pattern.MatchString(name) {
			return p
		}
	}
	return parent
}

// objects takes a value that is an object or an array of them.
func objects(v any) (members []map[string]any, several, ok bool) {
	switch v := v.(type) {
	case map[string]any:
		return []map[string]any{v}, false, true
	case []any:
		for _, e := range v {
			if m, isObject := e.(map[string]any); isObject {
				members = append(members, m)
			}
		}
		return members, true, len(members) > 0
	}
	return nil, false, false
}

func (d *discovery) leaf(name string, v any, rule *field, several bool) {
	typ := rule.Type
	if k := rule.kind; k == kindAuto || k == kindObject || k == kindAutoString {
		typ = inferType(v)
		if typ == "" {
			return
		}
		if k == kindAutoString {
			typ = "string" + strings.TrimLeft(typ, "abcdefghijklmnopqrstuvwxyz0123456789")
		}
		if several && !strings.HasSuffix(typ, "[]") {
			typ += "[]"
		}
	}
	k, array, _ := kindOf(typ)
	f := *rule
	f.Name, f.Type, f.Optional, f.pattern = name, typ, true, nil
	f.Sort = rule.Sort && rule.kind == k && rule.pattern != nil || k.numeric() && !array
	d.seen[name] = &f
}

// inferType names the type of a value met for the first time; empty when it does not tell.
func inferType(v any) string {
	switch v := v.(type) {
	case string:
		return "string"
	case bool:
		return "bool"
	case json.Number:
		if strings.ContainsAny(string(v), ".eE") {
			return "float"
		}
		return "int64"
	case []any:
		for _, e := range v {
			if t := inferType(e); t != "" && !strings.HasSuffix(t, "[]") {
				return t + "[]"
			}
		}
	}
	return ""
}
