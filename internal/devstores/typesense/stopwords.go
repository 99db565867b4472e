package typesense

import (
	"encoding/json"
	"slices"
)

// stopwords is a named set of words that a search may leave out of its query.
type stopwords struct {
	ID     string   `json:"id"`
	Words  []string `json:"stopwords"`
	Locale string   `json:"locale,omitempty"`
}

func newStopwords(id string, body []byte) (stopwords, *apiError) {
	s := stopwords{}
	if err := json.Unmarshal(body, &s); err != nil {
		return s, badJSON(body, err)
	}
	if s.Words == nil {
		return s, badRequest("Could not find an array of `stopwords`")
	}
	s.ID = id
	return s, nil
}

// dropStopwords takes the words of the set that the request names out of the query.
func (m *manifest) dropStopwords(r *request, t *queryText) *apiError {
	if r.stopwords == "" {
		return nil
	}
	set, ok := m.Stopwords[r.stopwords]
	if !ok {
		return notFound("Could not find the stopword set named `%s`.", r.stopwords)
	}
	var words []string
	for _, w := range set.Words {
		words = append(words, tokenizer{}.words(w)...)
	}
	t.drop(func(w string) bool { return slices.Contains(words, w) })
	return nil
}
