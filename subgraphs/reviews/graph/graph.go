// Package graph shows the reviews as a GraphQL subgraph.
package graph

//go:generate go tool gqlgen generate

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/souk-shop/souk/dataloaders"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/subgraph"
	"github.com/souk-shop/souk/subgraphs/reviews"
	"github.com/souk-shop/souk/subgraphs/reviews/internal/gen"
)

// Handler serves the subgraph.
func Handler(r *reviews.Reviews, log *slog.Logger) http.Handler {
	srv := subgraph.Server(gen.NewExecutableSchema(gen.Config{Resolvers: &resolver{r}}), log)
	srv.AroundResponses(dataloaders.Fresh(func() loaders {
		return loaders{Rating: dataloaders.ByKey(r.RatingsOf, reviews.Rating.Key)}
	}))
	return srv
}

type loaders struct {
	Rating *dataloaders.One[string, reviews.Rating]
}

func load(ctx context.Context) loaders { return dataloaders.From[loaders](ctx) }

type resolver struct{ reviews *reviews.Reviews }

type (
	mutation struct{ *resolver }
	entity   struct{ *resolver }
	product  struct{ *resolver }
	account  struct{ *resolver }
	review   struct{ *resolver }
)

func (r *resolver) Mutation() gen.MutationResolver { return &mutation{r} }
func (r *resolver) Entity() gen.EntityResolver     { return &entity{r} }
func (r *resolver) Product() gen.ProductResolver   { return &product{r} }
func (r *resolver) Account() gen.AccountResolver   { return &account{r} }
func (r *resolver) Review() gen.ReviewResolver     { return &review{r} }

func userErrors(err error) ([]gen.ReviewUserError, error) {
	return subgraph.UserErrors(err, func(e *fault.Error) gen.ReviewUserError {
		return gen.ReviewUserError{Code: subgraph.Code[gen.ReviewErrorCode](e), Message: e.Message, Field: e.Field}
	})
}
