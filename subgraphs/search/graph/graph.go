// Package graph shows the search as a GraphQL subgraph.
package graph

//go:generate go tool gqlgen generate

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/souk-shop/souk/dataloaders"
	"github.com/souk-shop/souk/internal/optional"
	"github.com/souk-shop/souk/internal/subgraph"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/search"
	"github.com/souk-shop/souk/subgraphs/search/internal/gen"
)

// Handler serves the subgraph. It needs no dataloaders: what a page of results shows comes with the results.
func Handler(s *search.Search, log *slog.Logger) http.Handler {
	return subgraph.Server(gen.NewExecutableSchema(gen.Config{Resolvers: &resolver{s}}), log)
}

type resolver struct{ search *search.Search }

type (
	query   struct{ *resolver }
	entity  struct{ *resolver }
	product struct{ *resolver }
)

func (r *resolver) Query() gen.QueryResolver     { return &query{r} }
func (r *resolver) Entity() gen.EntityResolver   { return &entity{r} }
func (r *resolver) Product() gen.ProductResolver { return &product{r} }

func (q *query) Products(ctx context.Context, text *string, filter *search.Filter, sort *search.Sort, first *int, after *string) (*search.Results, error) {
	asked := search.Query{First: first, After: after, Facets: subgraph.Selects(ctx, "facets")}
	if text != nil {
		asked.Text = *text
	}
	if filter != nil {
		asked.Filter = *filter
	}
	if sort != nil {
		asked.Sort = *sort
	}
	found, err := q.search.Find(ctx, viewer.From(ctx), asked)
	if err != nil {
		return nil, err
	}
	return &found, nil
}

func (q *query) SearchSuggest(ctx context.Context, prefix string, first *int) ([]search.Suggestion, error) {
	return q.search.Suggest(ctx, prefix, first)
}

// Products live elsewhere: whoever asks knows that they exist, and has what we know of them from the results.
func (r *entity) FindManyProductByIDs(_ context.Context, keys []*gen.ProductByIDsInput) ([]*search.Card, error) {
	return dataloaders.Keys(keys, func(k *gen.ProductByIDsInput) *search.Card { return &search.Card{ID: k.ID} }), nil
}

func (*product) Brand(_ context.Context, c *search.Card) (*string, error) {
	return optional.Of(c.Brand), nil
}

func (*product) Thumbnail(_ context.Context, c *search.Card) (*string, error) {
	return optional.Of(c.Thumbnail), nil
}
