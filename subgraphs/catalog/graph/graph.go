// Package graph shows the catalogue as a GraphQL subgraph.
package graph

//go:generate go tool gqlgen generate

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/souk-shop/souk/dataloaders"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/subgraph"
	"github.com/souk-shop/souk/subgraphs/catalog"
	"github.com/souk-shop/souk/subgraphs/catalog/internal/gen"
)

// Handler serves the subgraph.
func Handler(c *catalog.Catalog, log *slog.Logger) http.Handler {
	srv := subgraph.Server(gen.NewExecutableSchema(gen.Config{Resolvers: &resolver{c}}), log)
	srv.AroundResponses(dataloaders.Fresh(func() loaders {
		return loaders{
			Category:     dataloaders.ByKey(c.CategoriesByID, catalog.Category.Key),
			Children:     dataloaders.Listing(c.ChildrenOf),
			ProductCount: dataloaders.ByKey(c.ProductCounts, catalog.ProductCount.Key),
		}
	}))
	return srv
}

type loaders struct {
	Category     *dataloaders.One[string, catalog.Category]
	Children     *dataloaders.Many[string, catalog.Category]
	ProductCount *dataloaders.One[string, catalog.ProductCount]
}

func load(ctx context.Context) loaders { return dataloaders.From[loaders](ctx) }

type resolver struct{ catalog *catalog.Catalog }

type (
	query        struct{ *resolver }
	mutation     struct{ *resolver }
	subscription struct{ *resolver }
	entity       struct{ *resolver }
	product      struct{ *resolver }
	attribute    struct{ *resolver }
	category     struct{ *resolver }
	bulk         struct{ *resolver }
	rowError     struct{ *resolver }
)

func (r *resolver) Query() gen.QueryResolver                 { return &query{r} }
func (r *resolver) Mutation() gen.MutationResolver           { return &mutation{r} }
func (r *resolver) Subscription() gen.SubscriptionResolver   { return &subscription{r} }
func (r *resolver) Entity() gen.EntityResolver               { return &entity{r} }
func (r *resolver) Product() gen.ProductResolver             { return &product{r} }
func (r *resolver) Attribute() gen.AttributeResolver         { return &attribute{r} }
func (r *resolver) Category() gen.CategoryResolver           { return &category{r} }
func (r *resolver) BulkOperation() gen.BulkOperationResolver { return &bulk{r} }
func (r *resolver) RowError() gen.RowErrorResolver           { return &rowError{r} }

// userErrors shows everything wrong with an input at once.
func userErrors(err error) ([]gen.CatalogUserError, error) {
	var many catalog.Faults
	if errors.As(err, &many) {
		return shown(many), nil
	}
	return subgraph.UserErrors(err, userError)
}

func shown(faults catalog.Faults) []gen.CatalogUserError {
	errs := make([]gen.CatalogUserError, len(faults))
	for i, f := range faults {
		errs[i] = userError(f)
	}
	return errs
}

func userError(e *fault.Error) gen.CatalogUserError {
	return gen.CatalogUserError{Code: subgraph.Code[gen.CatalogErrorCode](e), Message: e.Message, Field: e.Field}
}
