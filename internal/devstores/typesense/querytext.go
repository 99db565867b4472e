package typesense

import (
	"slices"
	"strings"
)

// maxQueryWords bounds a query: the rest of a longer one is not looked at.
const maxQueryWords = 32

// queryWord is one word looked for; the last of a query may be the beginning of a longer one.
type queryWord struct {
	text   string
	prefix bool
}

// queryText is what q says.
type queryText struct {
	all      bool // "*": everything
	words    []queryWord
	phrases  [][]string
	without  [][]string // words or phrases a document must not have
	original int        // words before any were joined, split or dropped
}

// parseQuery reads q: words, "phrases", and -words or -"phrases" to leave out.
func parseQuery(q string, z tokenizer) queryText {
	if strings.TrimSpace(q) == "*" {
		return queryText{all: true}
	}
	var t queryText
	for q = strings.TrimLeft(q, " "); q != ""; q = strings.TrimLeft(q, " ") {
		rest, not := strings.CutPrefix(q, "-")
		if not && (rest == "" || rest[0] == ' ') {
			q, not = rest, false
			continue
		}
		if inner, ok := strings.CutPrefix(rest, `"`); ok {
			if end := strings.IndexByte(inner, '"'); end > 0 {
				t.add(z.words(inner[:end]), not, true)
				q = inner[end+1:]
				continue
			}
		}
		end := strings.IndexByte(rest, ' ')
		if end < 0 {
			end = len(rest)
		}
		t.add(z.words(rest[:end]), not, false)
		q = rest[end:]
	}
	t.all = len(t.words) == 0 && len(t.phrases) == 0 // nothing to look for, or only what to leave out
	t.settle()
	return t
}

func (t *queryText) add(words []string, not, phrase bool) {
	switch {
	case len(words) == 0:
	case not:
		t.without = append(t.without, words)
	case phrase:
		t.phrases = append(t.phrases, words)
	default:
		for _, w := range words {
			if len(t.words) < maxQueryWords {
				t.words = append(t.words, queryWord{text: w})
			}
		}
	}
}

// settle marks the last word as a possible prefix and remembers how many there are.
func (t *queryText) settle() {
	for i := range t.words {
		t.words[i].prefix = i == len(t.words)-1
	}
	t.original = len(t.words)
}

// drop leaves words out of the query; when none is left, nothing is found.
func (t *queryText) drop(unwanted func(string) bool) {
	t.words = slices.DeleteFunc(slices.Clone(t.words), func(w queryWord) bool { return unwanted(w.text) })
	t.settle()
}

// String is the query as it is answered in first_q.
func (t *queryText) String() string {
	if t.all {
		return "*"
	}
	var parts []string
	for _, p := range t.phrases {
		parts = append(parts, p...)
	}
	for _, w := range t.words {
		parts = append(parts, w.text)
	}
	return strings.Join(parts, " ")
}
