package search

import (
	"context"
	"unicode/utf8"

	"github.com/souk-shop/souk/internal/fault"
)

// A Suggestion is something a customer may be looking for: a product or a category.
type Suggestion struct {
	Text     string
	Product  *Card
	Category *Category
}

const (
	suggestions     = 8
	mostSuggestions = 25
)

// The refusals of a suggestion.
var (
	ErrPrefix      = ErrText.Says("a prefix has at most 256 characters").At("prefix")
	ErrSuggestions = fault.New(fault.Invalid, "INVALID_FIRST", "first must be from 1 to 25").At("first")
)

// Suggest returns what somebody who typed this may be looking for: up to a third categories, then products, and more
// categories if there are few products. Nothing is suggested twice.
func (s *Search) Suggest(ctx context.Context, prefix string, first *int) ([]Suggestion, error) {
	most := suggestions
	if first != nil {
		most = *first
	}
	typed := words(prefix)
	switch {
	case most < 1 || most > mostSuggestions:
		return nil, ErrSuggestions
	case utf8.RuneCountInString(prefix) > mostCharacters:
		return nil, ErrPrefix
	case typed == "":
		return []Suggestion{}, nil
	}
	products, categories, err := s.store.Suggest(ctx, typed, most)
	if err != nil {
		return nil, err
	}
	early := min(len(categories), most/3)
	var all []Suggestion
	for i := range categories[:early] {
		all = append(all, Suggestion{Text: categories[i].Name, Category: &categories[i]})
	}
	for i := range products {
		all = append(all, Suggestion{Text: products[i].Title, Product: &products[i]})
	}
	for i := range categories[early:] {
		all = append(all, Suggestion{Text: categories[early+i].Name, Category: &categories[early+i]})
	}
	seen, out := map[string]bool{}, []Suggestion{}
	for _, one := range all {
		if text := fold(one.Text); !seen[text] && len(out) < most {
			seen[text] = true
			out = append(out, one)
		}
	}
	return out, nil
}
