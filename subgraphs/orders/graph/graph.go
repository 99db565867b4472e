// Package graph shows the orders as a GraphQL subgraph.
package graph

//go:generate go tool gqlgen generate

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/souk-shop/souk/dataloaders"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/subgraph"
	"github.com/souk-shop/souk/subgraphs/orders"
	"github.com/souk-shop/souk/subgraphs/orders/internal/gen"
)

// A Watcher tells when an order changed.
type Watcher interface {
	// Watch sends whenever the order may have changed, until ctx ends; signals that nobody took in time become one.
	Watch(ctx context.Context, orderID string) <-chan struct{}
}

// Handler serves the subgraph.
func Handler(o *orders.Orders, c *orders.Checkout, w Watcher, log *slog.Logger) http.Handler {
	srv := subgraph.Server(gen.NewExecutableSchema(gen.Config{Resolvers: &resolver{o, c, w}}), log)
	srv.AroundResponses(dataloaders.Fresh(func() loaders {
		return loaders{Timeline: dataloaders.Listing(o.TimelinesOf)}
	}))
	return srv
}

type loaders struct {
	Timeline *dataloaders.Many[string, orders.Event]
}

func load(ctx context.Context) loaders { return dataloaders.From[loaders](ctx) }

type resolver struct {
	orders   *orders.Orders
	checkout *orders.Checkout
	watcher  Watcher
}

type (
	query        struct{ *resolver }
	mutation     struct{ *resolver }
	subscription struct{ *resolver }
	entity       struct{ *resolver }
	account      struct{ *resolver }
	order        struct{ *resolver }
	orderLine    struct{}
	orderAddress struct{}
)

func (r *resolver) Query() gen.QueryResolver               { return &query{r} }
func (r *resolver) Mutation() gen.MutationResolver         { return &mutation{r} }
func (r *resolver) Subscription() gen.SubscriptionResolver { return &subscription{r} }
func (r *resolver) Entity() gen.EntityResolver             { return &entity{r} }
func (r *resolver) Account() gen.AccountResolver           { return &account{r} }
func (r *resolver) Order() gen.OrderResolver               { return &order{r} }
func (r *resolver) OrderLine() gen.OrderLineResolver       { return orderLine{} }
func (r *resolver) OrderAddress() gen.OrderAddressResolver { return orderAddress{} }

func userErrors(err error) ([]gen.OrderUserError, error) {
	return subgraph.UserErrors(err, func(e *fault.Error) gen.OrderUserError {
		return gen.OrderUserError{Code: subgraph.Code[gen.OrderErrorCode](e), Message: e.Message, Field: e.Field}
	})
}
