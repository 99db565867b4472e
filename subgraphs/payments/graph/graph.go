// Package graph shows the payments as a GraphQL subgraph.
package graph

//go:generate go tool gqlgen generate

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/souk-shop/souk/dataloaders"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/subgraph"
	"github.com/souk-shop/souk/subgraphs/payments"
	"github.com/souk-shop/souk/subgraphs/payments/internal/gen"
)

// Handler serves the subgraph.
func Handler(ps *payments.Payments, log *slog.Logger) http.Handler {
	srv := subgraph.Server(gen.NewExecutableSchema(gen.Config{Resolvers: &resolver{ps}}), log)
	srv.AroundResponses(dataloaders.Fresh(func() loaders {
		return loaders{
			Payments:     dataloaders.Listing(ps.PaymentsOf),
			Transactions: dataloaders.Listing(ps.TransactionsOf),
			Methods:      dataloaders.Listing(ps.MethodsOf),
		}
	}))
	return srv
}

type loaders struct {
	Payments     *dataloaders.Many[string, payments.Payment]     // by order
	Transactions *dataloaders.Many[string, payments.Transaction] // by payment
	Methods      *dataloaders.Many[string, payments.Method]      // by account
}

func load(ctx context.Context) loaders { return dataloaders.From[loaders](ctx) }

type resolver struct{ payments *payments.Payments }

type (
	mutation    struct{ *resolver }
	entity      struct{ *resolver }
	account     struct{}
	order       struct{}
	payment     struct{}
	transaction struct{}
)

func (r *resolver) Mutation() gen.MutationResolver                     { return &mutation{r} }
func (r *resolver) Entity() gen.EntityResolver                         { return &entity{r} }
func (r *resolver) Account() gen.AccountResolver                       { return account{} }
func (r *resolver) Order() gen.OrderResolver                           { return order{} }
func (r *resolver) Payment() gen.PaymentResolver                       { return payment{} }
func (r *resolver) PaymentTransaction() gen.PaymentTransactionResolver { return transaction{} }

func userErrors(err error) ([]gen.PaymentUserError, error) {
	return subgraph.UserErrors(err, func(e *fault.Error) gen.PaymentUserError {
		return gen.PaymentUserError{Code: subgraph.Code[gen.PaymentErrorCode](e), Message: e.Message, Field: e.Field}
	})
}
