package search

import "github.com/souk-shop/souk/events"

// Found is what a store found.
type Found struct {
	Hits  []Hit
	More  bool // whether others follow
	Total int  // on all pages
	Tally Tally
}

// A Hit is one find.
type Hit struct {
	Card      Card
	Highlight *string // what matched, safe to show as HTML; nil without words
	Rank      Rank
}

// A Tally counts what the finds have in common, the most frequent first. What a filter asks for is counted as if it did
// not, so that customers see what else they could choose.
type Tally struct {
	Categories []Count[Category]
	Brands     []Count[string]
	Bands      []Count[Band] // of prices in the request's currency
	Stars      []Count[int]  // by whole stars: 4 is from 4 up to 5
	InStock    []Count[bool]
	Attributes []Count[events.Attribute]
}

// A Count is how many finds have something.
type Count[T any] struct {
	Of T
	N  int
}
