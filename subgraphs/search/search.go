// Package search finds products by words, by what they are and by what others think of them. It answers out of an index
// of its own, which is told of products, stock and ratings, and asks nobody else: it is up when the catalogue is down.
package search

import (
	"context"
	"time"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/page"
	"github.com/souk-shop/souk/internal/viewer"
)

// A Card is what a page of results shows of a product.
type Card struct {
	ID         string
	Slug       string
	Title      string
	Brand      string
	Thumbnail  string
	PriceRange PriceRange
}

// IsEntity lets other subgraphs add to products.
func (Card) IsEntity() {}

// A PriceRange goes from the cheapest variant to the dearest.
type PriceRange struct{ Min, Max money.Money }

// A Category is one step of a product's path in the tree.
type Category struct{ ID, Slug, Name string }

// IsEntity lets other subgraphs add to categories.
func (Category) IsEntity() {}

// A Listing is a product with all that it can be found by.
type Listing struct {
	Card
	Description string
	SellerID    string
	Categories  []Category // from the top of the tree down
	Attributes  []events.Attribute
	Variants    []string // what they are called
	SKUs        []string
	Prices      []money.Money
	CreatedAt   time.Time
	Rating      float64 // 0 when nobody rated
	RatingCount int
	InStock     bool
}

// A Store keeps the index. When its engine is down it answers ErrDown.
type Store interface {
	// Find answers a request with one call of the engine.
	Find(ctx context.Context, r Request) (Found, error)
	// Suggest returns the products and the categories whose names begin like this, best first, up to so many of each.
	Suggest(ctx context.Context, words string, most int) ([]Card, []Category, error)
	// Tell adds to what the index was told. Of two versions the higher one holds, whoever tells them when.
	Tell(ctx context.Context, news News) error
}

// ErrDown says that the engine does not answer.
var ErrDown = fault.New(fault.Unavailable, "SEARCH_UNAVAILABLE", "search is not available right now; try again in a moment")

// Search is what the shop can do to find products.
type Search struct {
	store Store
	tell  func(events.Searched) // must not wait
	clock clock.Clock
}

// New returns the search over an index. Every search is told to tell, which must not wait.
func New(s Store, tell func(events.Searched), c clock.Clock) *Search { return &Search{s, tell, c} }

// Learn tells the index what became true.
func (s *Search) Learn(ctx context.Context, news News) error { return s.store.Tell(ctx, news) }

// Results is a page of finds.
type Results struct {
	Edges   []Edge
	Info    page.Info
	Total   int
	Facets  []Facet
	QueryID string
}

// Nodes returns the products of the page.
func (r Results) Nodes() []Card {
	cards := make([]Card, len(r.Edges))
	for i, e := range r.Edges {
		cards[i] = e.Node
	}
	return cards
}

// An Edge is one find.
type Edge struct {
	Cursor    string
	Node      Card
	Highlight *string
}

// Find answers a question and tells that it was asked.
func (s *Search) Find(ctx context.Context, who viewer.Viewer, q Query) (Results, error) {
	r, err := q.request(currencyOf(who))
	if err != nil {
		return Results{}, err
	}
	var found Found
	if !r.hopeless {
		if found, err = s.store.Find(ctx, r); err != nil {
			return Results{}, err
		}
	}
	results := Results{
		Edges: make([]Edge, len(found.Hits)), Total: found.Total, Facets: []Facet{}, QueryID: id.New(id.Query),
		Info: page.Info{HasPreviousPage: r.Behind != nil, HasNextPage: found.More},
	}
	for i, h := range found.Hits {
		results.Edges[i] = Edge{Cursor: r.cursor(h, i), Node: h.Card, Highlight: h.Highlight}
	}
	if n := len(results.Edges); n > 0 {
		results.Info.StartCursor, results.Info.EndCursor = &results.Edges[0].Cursor, &results.Edges[n-1].Cursor
	}
	if r.Facets {
		results.Facets = r.facets(found.Tally)
	}
	s.tell(events.Searched{
		At: events.At{At: s.clock.Now()}, QueryID: results.QueryID, AccountID: who.AccountID, Query: q.Text, TotalCount: found.Total,
	})
	return results, nil
}

// currencyOf is the currency a viewer's prices are in.
func currencyOf(who viewer.Viewer) string {
	if who.Currency == "" {
		return usual
	}
	return who.Currency
}
