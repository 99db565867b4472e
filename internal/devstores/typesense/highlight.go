package typesense

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// highlightRequest is how a search wants its hits marked.
type highlightRequest struct {
	fields    []string // nil: the queried ones
	full      []string
	none      bool
	affix     int // words shown on either side of what is marked
	threshold int // texts of at most this many words are shown whole
	start     string
	end       string
	old       bool // the deprecated `highlights` too
}

func (r *request) readHighlight(_ *schema, p params) *apiError {
	h := highlightRequest{
		fields: p.names("highlight_fields"), full: p.names("highlight_full_fields"),
		start: p.text("highlight_start_tag", "<mark>"), end: p.text("highlight_end_tag", "</mark>"),
		old: p.flag("enable_highlight_v1", true),
	}
	h.none = slices.Equal(h.fields, []string{"none"})
	if slices.Equal(h.full, []string{"none"}) {
		h.full = nil
	}
	var err *apiError
	if h.affix, err = p.count("highlight_affix_num_tokens", 4); err != nil {
		return err
	}
	if h.threshold, err = p.count("snippet_threshold", 30); err != nil {
		return err
	}
	r.highlight = h
	return nil
}

// highlighter marks the searched words in documents.
type highlighter struct {
	highlightRequest
	marks  map[string]mark
	wanted []*field
}

// newHighlighter picks the fields to mark: those asked for, or those searched, as far as they are shown.
func newHighlighter(s *schema, r *request, marks map[string]mark) *highlighter {
	h := &highlighter{highlightRequest: r.highlight, marks: marks}
	if h.none || len(marks) == 0 {
		return h
	}
	add := func(f *field) {
		// Fields that were asked for by name are marked even when the document leaves them out.
		if f.kind == kindString && (h.fields != nil || r.shows(f.Name)) && !slices.Contains(h.wanted, f) {
			h.wanted = append(h.wanted, f)
		}
	}
	if h.fields == nil {
		for _, f := range r.named {
			add(f)
		}
	}
	for _, name := range slices.Concat(h.fields, h.full) {
		for _, f := range s.matching(name) {
			if h.fields != nil || slices.Contains(r.named, f) {
				add(f)
			}
		}
	}
	return h
}

// marked is one highlighted string.
type marked struct {
	Matched []string `json:"matched_tokens"`
	Snippet string   `json:"snippet"`
	Value   string   `json:"value,omitempty"`
}

// oldHighlight is one entry of the deprecated `highlights`.
type oldHighlight struct {
	Field    string   `json:"field"`
	Indices  []int    `json:"indices,omitempty"`
	Matched  any      `json:"matched_tokens"`
	Snippet  string   `json:"snippet,omitempty"`
	Snippets []string `json:"snippets,omitempty"`
	Value    string   `json:"value,omitempty"`
	Values   []string `json:"values,omitempty"`
}

// marksWithin tells whether something to mark may be inside a field of a document.
func (h *highlighter) marksWithin(name string) bool {
	return slices.ContainsFunc(h.wanted, func(f *field) bool { return f.path[0] == name })
}

// document marks a document's fields, in both shapes.
func (h *highlighter) document(doc map[string]any) (shape map[string]any, old []oldHighlight) {
	shape, old = map[string]any{}, []oldHighlight{}
	for _, f := range h.wanted {
		full := slices.Contains(h.full, f.Name)
		node, hit := h.node(doc, f, f.path, full)
		if !hit {
			continue
		}
		merge(shape, node.(map[string]any))
		if h.old && len(f.path) == 1 {
			old = append(old, flat(f, node.(map[string]any)[f.path[0]], full))
		}
	}
	return shape, old
}

// node marks what is at a path, mirroring the document's shape; hit is false when there is nothing to mark.
func (h *highlighter) node(v any, f *field, path []string, full bool) (out any, hit bool) {
	switch v := v.(type) {
	case map[string]any:
		if len(path) == 0 {
			return nil, false
		}
		child, hit := h.node(v[path[0]], f, path[1:], full)
		if !hit {
			return map[string]any{}, false
		}
		return map[string]any{path[0]: child}, true
	case []any:
		elements := make([]any, len(v))
		for i, e := range v {
			one, marksOne := h.node(e, f, path, full)
			if !marksOne {
				if s, ok := e.(string); ok {
					one = marked{Matched: []string{}, Snippet: s}
				} else {
					one = map[string]any{}
				}
			}
			elements[i], hit = one, hit || marksOne
		}
		return elements, hit
	case string:
		if len(path) > 0 {
			return nil, false
		}
		m, ok := h.snippet(v, f.words)
		if full && ok {
			m.Value, _ = h.whole(v, f.words)
		}
		return m, ok
	}
	return nil, false
}

func merge(into, more map[string]any) {
	for k, v := range more {
		a, isMap := into[k].(map[string]any)
		b, both := v.(map[string]any)
		if isMap && both {
			merge(a, b)
		} else {
			into[k] = v
		}
	}
}

// flat turns a node into the deprecated shape.
func flat(f *field, node any, full bool) oldHighlight {
	switch node := node.(type) {
	case marked:
		return oldHighlight{Field: f.Name, Matched: node.Matched, Snippet: node.Snippet, Value: node.Value}
	case []any:
		old := oldHighlight{Field: f.Name}
		var matched [][]string
		for i, e := range node {
			m, ok := e.(marked)
			if full && ok {
				value := m.Value
				if value == "" {
					value = m.Snippet
				}
				old.Values = append(old.Values, value)
			}
			if !ok || len(m.Matched) == 0 {
				continue
			}
			old.Indices, old.Snippets = append(old.Indices, i), append(old.Snippets, m.Snippet)
			matched = append(matched, m.Matched)
		}
		old.Matched = matched
		return old
	}
	return oldHighlight{Field: f.Name, Matched: []string{}}
}

// hit is a marked part of a text.
type hit struct{ word, start, end int }

// hits finds the searched words in a text.
func (h *highlighter) hits(text string, tokens []token) []hit {
	var out []hit
	for i, t := range tokens {
		k, ok := h.marks[t.text]
		if !ok {
			continue
		}
		end := t.end
		if k.prefix > 0 {
			end = lettersEnd(text, t, k.prefix)
		}
		out = append(out, hit{word: i, start: t.start, end: end})
	}
	return out
}

// lettersEnd is where the first n indexed letters of a token end in the text.
func lettersEnd(text string, t token, n int) int {
	for i := t.start; i < t.end; {
		r, size := utf8.DecodeRuneInString(text[i:])
		if kept := len(fold(r)); kept > 0 {
			n -= kept
		}
		i += size
		if n <= 0 {
			return i
		}
	}
	return t.end
}

// snippet marks a text, cut down to the surroundings of its best part when it is long.
func (h *highlighter) snippet(text string, z tokenizer) (marked, bool) {
	tokens := z.split(text)
	hits := h.hits(text, tokens)
	if len(hits) == 0 {
		return marked{}, false
	}
	from, to := 0, len(text)
	if len(tokens) > h.threshold {
		hits = h.densest(hits, tokens)
		from = wordStart(text, tokens[max(0, hits[0].word-h.affix)].start)
		last := min(len(tokens)-1, hits[len(hits)-1].word+h.affix)
		to = wordEnd(text, tokens[last].end)
		hits = slices.DeleteFunc(h.hits(text, tokens), func(x hit) bool { return x.start < from || x.end > to })
	}
	m := marked{Snippet: h.tag(text, hits, from, to)}
	for _, x := range hits {
		m.Matched = append(m.Matched, text[x.start:x.end])
	}
	return m, true
}

// whole marks all of a text.
func (h *highlighter) whole(text string, z tokenizer) (string, bool) {
	hits := h.hits(text, z.split(text))
	return h.tag(text, hits, 0, len(text)), len(hits) > 0
}

func (h *highlighter) tag(text string, hits []hit, from, to int) string {
	var b strings.Builder
	at := from
	for _, x := range hits {
		b.WriteString(text[at:x.start])
		b.WriteString(h.start)
		b.WriteString(text[x.start:x.end])
		b.WriteString(h.end)
		at = x.end
	}
	b.WriteString(text[at:to])
	return b.String()
}

// densest returns the hits of the first stretch of text that has the most different words.
func (h *highlighter) densest(hits []hit, tokens []token) []hit {
	var best []hit
	most := 0
	for i := range hits {
		seen := map[string]bool{}
		j := i
		for ; j < len(hits) && hits[j].word < hits[i].word+windowLength; j++ {
			seen[tokens[hits[j].word].text] = true
		}
		if len(seen) > most {
			most, best = len(seen), hits[i:j]
		}
	}
	return best
}

func wordStart(text string, at int) int {
	return strings.LastIndexAny(text[:at], " \n\t") + 1
}

func wordEnd(text string, at int) int {
	if i := strings.IndexAny(text[at:], " \n\t"); i >= 0 {
		return at + i
	}
	return len(text)
}
