package typesense

import (
	"encoding/json"
	"slices"
	"strings"
)

// synonymSet is a named list of words that mean the same.
type synonymSet struct {
	Items []synonym `json:"items"`
	Name  string    `json:"name"`
}

// synonym is words that stand for each other; with a root, those that the root stands for.
type synonym struct {
	ID       string   `json:"id"`
	Root     string   `json:"root"`
	Synonyms []string `json:"synonyms"`
	Locale   string   `json:"locale,omitempty"`
	Symbols  []string `json:"symbols_to_index,omitempty"`
}

func newSynonymSet(name string, body []byte) (synonymSet, *apiError) {
	s := synonymSet{}
	if err := json.Unmarshal(body, &s); err != nil {
		return s, badJSON(body, err)
	}
	if s.Items == nil {
		return s, badRequest("Missing or invalid 'items' field")
	}
	for _, i := range s.Items {
		if i.ID == "" {
			return s, badRequest("Synonym `id` is required")
		}
		if len(i.Synonyms) == 0 {
			return s, badRequest("Could not find an array of `synonyms`")
		}
	}
	s.Name = name
	return s, nil
}

// variant is a query with a synonym in place of some of its words.
type variant struct {
	words []queryWord
	of    int // words of the synonym it was made from, which its matches count as
}

// maxVariants bounds what a query may be rewritten to.
const maxVariants = 20

// variants rewrites a query by the synonym sets of its collection.
func (m *manifest) variants(s *schema, r *request, t queryText, z tokenizer) []variant {
	if !r.synonyms || t.all {
		return nil
	}
	var out []variant
	for _, name := range s.SynonymSets {
		for _, syn := range m.SynonymSets[name].Items {
			for from, to := range syn.pairs() {
				for _, other := range to {
					out = appendVariant(out, t.words, z.words(from), z.words(other))
				}
			}
		}
	}
	slices.SortStableFunc(out, func(a, b variant) int {
		return strings.Compare(strings.Join(texts(a.words), " "), strings.Join(texts(b.words), " "))
	})
	return out[:min(len(out), maxVariants)]
}

// pairs maps what may be typed to what it may mean.
func (s synonym) pairs() map[string][]string {
	if s.Root != "" {
		return map[string][]string{s.Root: s.Synonyms}
	}
	out := map[string][]string{}
	for i, from := range s.Synonyms {
		out[from] = slices.Concat(s.Synonyms[:i], s.Synonyms[i+1:])
	}
	return out
}

func appendVariant(out []variant, words []queryWord, from, to []string) []variant {
	if len(from) == 0 || len(to) == 0 {
		return out
	}
	for i := 0; i+len(from) <= len(words); i++ {
		if !slices.Equal(texts(words[i:i+len(from)]), from) {
			continue
		}
		v := variant{of: len(words)}
		v.words = append(v.words, words[:i]...)
		for _, w := range to {
			v.words = append(v.words, queryWord{text: w})
		}
		v.words = append(v.words, words[i+len(from):]...)
		return append(out, v)
	}
	return out
}
