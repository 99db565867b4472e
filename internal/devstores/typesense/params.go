package typesense

import (
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
)

// params are a search's parameters by name, as text, wherever they came from.
type params map[string]string

func paramsOf(q url.Values) params {
	p := make(params, len(q))
	for k, v := range q {
		if len(v) > 0 {
			p[k] = v[0]
		}
	}
	return p
}

// set takes a parameter out of a JSON body.
func (p params) set(name string, v any) {
	switch v := v.(type) {
	case string:
		p[name] = v
	case json.Number:
		p[name] = string(v)
	case bool:
		p[name] = strconv.FormatBool(v)
	case []any:
		parts := make([]string, 0, len(v))
		for _, e := range v {
			one := params{}
			one.set("", e)
			parts = append(parts, one[""])
		}
		p[name] = strings.Join(parts, ",")
	case map[string]any:
		p[name] = string(writeObject(v))
	}
}

// embed adds the parameters of a scoped key, which win; filters add up.
func (p params) embed(embedded map[string]any) {
	for name, v := range embedded {
		if own := p[name]; name == "filter_by" && own != "" {
			p.set(name, v)
			p[name] = "(" + own + ") && (" + p[name] + ")"
			continue
		}
		p.set(name, v)
	}
}

func (p params) count(name string, otherwise int) (int, *apiError) {
	s, ok := p[name]
	if !ok || s == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0, badRequest("Parameter `%s` must be an unsigned integer.", name)
	}
	return int(n), nil
}

func (p params) flag(name string, otherwise bool) bool {
	switch strings.ToLower(p[name]) {
	case "true", "1":
		return true
	case "false", "0":
		return false
	}
	return otherwise
}

func (p params) text(name, otherwise string) string {
	if s := p[name]; s != "" {
		return s
	}
	return otherwise
}

// names splits a comma-separated list.
func (p params) names(name string) []string { return splitNames(p[name]) }

func splitNames(s string) []string {
	var out []string
	for _, n := range strings.Split(s, ",") {
		if n = strings.TrimSpace(n); n != "" {
			out = append(out, n)
		}
	}
	return out
}

// splitOutside splits at commas that are not inside brackets, parentheses or backticks.
func splitOutside(s string) []string {
	var out []string
	depth, from, quoted := 0, 0, false
	for i := 0; i <= len(s); i++ {
		switch {
		case i == len(s) || s[i] == ',' && depth <= 0 && !quoted:
			if part := strings.TrimSpace(s[from:i]); part != "" {
				out = append(out, part)
			}
			from = i + 1
		case s[i] == '`':
			quoted = !quoted
		case quoted:
		case s[i] == '(' || s[i] == '[':
			depth++
		case s[i] == ')' || s[i] == ']':
			depth--
		}
	}
	return out
}
