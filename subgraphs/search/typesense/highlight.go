package typesense

import (
	"crypto/rand"
	"html"
	"strings"
)

// A marker stands for the tags of a highlight until the text around them is safe. Nobody can guess it, so nobody can write it
// into a product.
type marker struct{ open, shut string }

func newMarker() marker { return marker{open: rand.Text() + "a", shut: rand.Text() + "z"} }

// highlighted are the fields whose marked text is shown, the best first.
var highlighted = []string{"title", "brand", "category_names", "attribute_texts", "variants", "description"}

// show returns what matched of a product, safe to show as HTML.
func (m marker) show(found map[string]any, title string) string {
	for _, field := range highlighted {
		if text := m.snippet(found[field]); text != "" {
			return m.safe(text)
		}
	}
	return html.EscapeString(title) // a SKU matched
}

// snippet finds a marked text in an answer: {snippet}, or for a list of texts [{snippet}].
func (m marker) snippet(v any) string {
	switch v := v.(type) {
	case map[string]any:
		if text, _ := v["snippet"].(string); strings.Contains(text, m.open) {
			return text
		}
	case []any:
		for _, one := range v {
			if text := m.snippet(one); text != "" {
				return text
			}
		}
	}
	return ""
}

func (m marker) safe(text string) string {
	return strings.NewReplacer(m.open, "<mark>", m.shut, "</mark>").Replace(html.EscapeString(text))
}
