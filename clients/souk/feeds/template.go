package feeds

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A template is text with fields of a record in braces.
type template string

// UnmarshalYAML takes numbers for text, and refuses a brace that nobody closes.
func (t *template) UnmarshalYAML(read func(any) error) error {
	var value any
	if err := read(&value); err != nil {
		return err
	}
	switch value.(type) {
	case []any, map[string]any, nil:
		return fmt.Errorf("a template is text, not %v", value)
	}
	*t = template(fmt.Sprint(value))
	if strings.Count(string(*t), "{") != strings.Count(string(*t), "}") {
		return fmt.Errorf("%q opens a brace that it does not close", *t)
	}
	return nil
}

// text fills a template in. Spaces around it, and those that an empty field leaves double, go.
func (t template) text(in scope) string {
	var out strings.Builder
	rest := string(t)
	for {
		before, after, open := strings.Cut(rest, "{")
		out.WriteString(before)
		if !open {
			return spaced(out.String())
		}
		field, behind, _ := strings.Cut(after, "}")
		out.WriteString(in.text(field))
		rest = behind
	}
}

func spaced(s string) string {
	if !strings.Contains(s, "\n") {
		return strings.Join(strings.Fields(s), " ")
	}
	return strings.TrimSpace(s) // paragraphs stay as they are
}

// templates are several texts, or one field that is a list.
type templates []template

// UnmarshalYAML takes one text for a list of one.
func (ts *templates) UnmarshalYAML(read func(any) error) error {
	var many []template
	if read(&many) == nil {
		*ts = many
		return nil
	}
	var one template
	err := read(&one)
	*ts = templates{one}
	return err
}

func (ts templates) list(in scope) (out []string) {
	for _, t := range ts {
		if field, alone := t.field(); alone {
			if list, ok := in.find(field).([]any); ok {
				for _, value := range list {
					if s := plain(value); s != "" {
						out = append(out, s)
					}
				}
				continue
			}
		}
		if s := t.text(in); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// field returns the field that the template is, if it is one and nothing else.
func (t template) field() (string, bool) {
	inner, ok := strings.CutPrefix(string(t), "{")
	inner, ended := strings.CutSuffix(inner, "}")
	return inner, ok && ended && !strings.ContainsAny(inner, "{}|#")
}

// A scope is where fields are looked for: in the variant first, then in the record.
type scope []map[string]any

func (s scope) text(field string) string {
	if names, ok := strings.CutPrefix(field, "#"); ok {
		return s.fingerprint(names)
	}
	path, otherwise, _ := strings.Cut(field, "|")
	if found := plain(s.find(path)); found != "" {
		return found
	}
	return otherwise
}

// fingerprint names a record by some of its fields, or by all.
func (s scope) fingerprint(names string) string {
	if names == "" {
		return fingerprint(s[0])
	}
	var values []any
	for name := range strings.SplitSeq(names, ",") {
		values = append(values, s.find(strings.TrimSpace(name)))
	}
	return fingerprint(values)
}

// find follows a path; a field whose own name has dots in it goes first.
func (s scope) find(path string) any {
	for _, fields := range s {
		if value, ok := fields[path]; ok {
			return value
		}
		var at any = fields
		for step := range strings.SplitSeq(path, ".") {
			switch here := at.(type) {
			case map[string]any:
				at = here[step]
			case []any:
				if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(here) {
					at = here[i]
				} else {
					at = nil
				}
			default:
				at = nil
			}
		}
		if at != nil {
			return at
		}
	}
	return nil
}

// plain is a value as text; lists and objects are none.
func plain(value any) string {
	switch v := value.(type) {
	case string:
		return strings.TrimSpace(v)
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

func sortedKeys(fields map[string]any) []string { return slices.Sorted(maps.Keys(fields)) }
