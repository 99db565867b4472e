package main

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/souk-shop/souk/frontends"
	"github.com/souk-shop/souk/gateway/playground"
)

// whoCanSignIn is what the playground says beside its examples.
const whoCanSignIn = `customer@souk.test buys
seller@souk.test sells (PROFESSIONAL)
staff@souk.test ships
Password of all: open-sesame-souk`

// examples are the operations of the frontends with the ids of this shop's demo goods in them; a shop without these has those
// that need no account of the demo and no goods by their id.
func (e *env) examples() []playground.Example {
	all, err := frontends.Examples()
	if err != nil {
		e.log.Error("playground", "error", err)
		return nil
	}
	ids := e.demoIDs.Load()
	var shown []playground.Example
	for _, x := range all {
		switch {
		case ids == nil && (strings.Contains(x.Group, "@souk.test") || braced(x.Variables)):
			continue
		case ids != nil && x.Variables != nil:
			x.Variables = filled(x.Variables, *ids, e.clock.Now()).(map[string]any)
		}
		shown = append(shown, playground.Example{Group: x.Group, Name: x.Name, Query: x.Query, Variables: x.Variables})
	}
	return shown
}

// braced tells whether variables name something of the demo.
func braced(variables map[string]any) bool {
	text, err := json.Marshal(variables)
	return err != nil || strings.Contains(string(text), `"{`)
}

// filled puts ids in the place of their names in braces, and times in the place of {now} and what comes after it.
func filled(value any, ids map[string]string, now time.Time) any {
	switch v := value.(type) {
	case string:
		name, braced := strings.CutPrefix(v, "{")
		name = strings.TrimSuffix(name, "}")
		if id := ids[name]; braced && id != "" {
			return id
		}
		if later, is := strings.CutPrefix(name, "now"); braced && is {
			d, _ := time.ParseDuration(strings.TrimPrefix(later, "+"))
			return now.Add(d).UTC().Format(time.RFC3339)
		}
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, inner := range v {
			out[key] = filled(inner, ids, now)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			out[i] = filled(inner, ids, now)
		}
		return out
	}
	return value
}
