// Package graph shows the carts as a GraphQL subgraph.
package graph

//go:generate go tool gqlgen generate

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/souk-shop/souk/dataloaders"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/subgraph"
	"github.com/souk-shop/souk/subgraphs/cart"
	"github.com/souk-shop/souk/subgraphs/cart/internal/gen"
)

// Handler serves the subgraph.
func Handler(c *cart.Carts, log *slog.Logger) http.Handler {
	srv := subgraph.Server(gen.NewExecutableSchema(gen.Config{Resolvers: &resolver{c}}), log)
	srv.AroundResponses(dataloaders.Fresh(func() loaders {
		l := loaders{
			Cart:      dataloaders.ByKey(c.CartsByID, cart.Cart.Key),
			OfAccount: dataloaders.ByKey(c.CartsOfAccounts, func(c cart.Cart) string { return c.AccountID }),
		}
		l.Priced = dataloaders.ByKey(func(ctx context.Context, ids []string) ([]cart.Priced, error) {
			carts, err := c.CartsByID(ctx, ids)
			if err != nil {
				return nil, err
			}
			return c.Price(ctx, carts)
		}, func(p cart.Priced) string { return p.Cart.ID })
		l.Problems = dataloaders.Listing(func(ctx context.Context, ids []string) (map[string][]cart.Problem, error) {
			found, err := l.Priced.LoadAll(ctx, ids)
			if err != nil {
				return nil, err
			}
			var carts []cart.Priced
			for _, p := range found {
				if p != nil { // gone since
					carts = append(carts, *p)
				}
			}
			return c.Problems(ctx, carts)
		})
		return l
	}))
	return srv
}

type loaders struct {
	Cart      *dataloaders.One[string, cart.Cart]
	OfAccount *dataloaders.One[string, cart.Cart]
	Priced    *dataloaders.One[string, cart.Priced]
	Problems  *dataloaders.Many[string, cart.Problem]
}

func load(ctx context.Context) loaders { return dataloaders.From[loaders](ctx) }

type resolver struct{ carts *cart.Carts }

type (
	query    struct{ *resolver }
	mutation struct{ *resolver }
	entity   struct{ *resolver }
	account  struct{ *resolver }
	cartType struct{ *resolver }
	line     struct{ *resolver }
)

func (r *resolver) Query() gen.QueryResolver       { return &query{r} }
func (r *resolver) Mutation() gen.MutationResolver { return &mutation{r} }
func (r *resolver) Entity() gen.EntityResolver     { return &entity{r} }
func (r *resolver) Account() gen.AccountResolver   { return &account{r} }
func (r *resolver) Cart() gen.CartResolver         { return &cartType{r} }
func (r *resolver) CartLine() gen.CartLineResolver { return &line{r} }

// payload shows a changed cart, or why it was not changed.
func payload(c cart.Cart, err error) (*gen.CartPayload, error) {
	if err != nil {
		errs, err := subgraph.UserErrors(err, func(e *fault.Error) gen.CartUserError {
			return gen.CartUserError{Code: subgraph.Code[gen.CartErrorCode](e), Message: e.Message, Field: e.Field}
		})
		return &gen.CartPayload{UserErrors: errs}, err
	}
	return &gen.CartPayload{Cart: &c, UserErrors: []gen.CartUserError{}}, nil
}
