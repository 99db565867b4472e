// Package graph shows the accounts as a GraphQL subgraph.
package graph

//go:generate go tool gqlgen generate

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/souk-shop/souk/dataloaders"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/subgraph"
	"github.com/souk-shop/souk/subgraphs/accounts"
	"github.com/souk-shop/souk/subgraphs/accounts/internal/gen"
)

// Handler serves the subgraph.
func Handler(a *accounts.Accounts, log *slog.Logger) http.Handler {
	srv := subgraph.Server(gen.NewExecutableSchema(gen.Config{Resolvers: &resolver{a}}), log)
	srv.AroundResponses(dataloaders.Fresh(func() loaders {
		return loaders{
			Seller:    dataloaders.ByKey(a.SellersByID, accounts.Seller.Key),
			Addresses: dataloaders.Listing(a.AddressesOf),
		}
	}))
	return srv
}

type loaders struct {
	Seller    *dataloaders.One[string, accounts.Seller]
	Addresses *dataloaders.Many[string, accounts.Address]
}

func load(ctx context.Context) loaders { return dataloaders.From[loaders](ctx) }

type resolver struct{ accounts *accounts.Accounts }

type (
	query    struct{ *resolver }
	mutation struct{ *resolver }
	entity   struct{ *resolver }
	account  struct{ *resolver }
	address  struct{ *resolver }
)

func (r *resolver) Query() gen.QueryResolver       { return &query{r} }
func (r *resolver) Mutation() gen.MutationResolver { return &mutation{r} }
func (r *resolver) Entity() gen.EntityResolver     { return &entity{r} }
func (r *resolver) Account() gen.AccountResolver   { return &account{r} }
func (r *resolver) Address() gen.AddressResolver   { return &address{r} }

func userErrors(err error) ([]gen.AccountUserError, error) {
	return subgraph.UserErrors(err, func(e *fault.Error) gen.AccountUserError {
		return gen.AccountUserError{Code: subgraph.Code[gen.AccountErrorCode](e), Message: e.Message, Field: e.Field}
	})
}
