// Package graph shows the flash sales as a GraphQL subgraph.
package graph

//go:generate go tool gqlgen generate

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/souk-shop/souk/dataloaders"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/forfeit"
	"github.com/souk-shop/souk/internal/subgraph"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	"github.com/souk-shop/souk/subgraphs/flashsale/internal/gen"
)

// Handler serves the subgraph.
func Handler(fs *flashsale.FlashSales, log *slog.Logger) http.Handler {
	srv := subgraph.Server(gen.NewExecutableSchema(gen.Config{Resolvers: &resolver{fs}}), log)
	srv.AroundResponses(dataloaders.Fresh(func() loaders { return fresh(fs) }))
	return srv
}

type loaders struct {
	Sale       *dataloaders.One[string, flashsale.Sale]
	Offering   *dataloaders.One[string, flashsale.Offering] // by variant
	MyBookings *dataloaders.Many[string, flashsale.Booking] // by sale
	MyTicket   *dataloaders.One[string, flashsale.Turn]     // by sale
}

func fresh(fs *flashsale.FlashSales) loaders {
	return loaders{
		Sale:     dataloaders.ByKey(fs.SalesByID, flashsale.Sale.Key),
		Offering: dataloaders.ByKey(fs.Offering, flashsale.Offering.Key),
		MyBookings: dataloaders.Listing(func(ctx context.Context, saleIDs []string) (map[string][]flashsale.Booking, error) {
			return fs.BookingsOf(ctx, viewer.From(ctx).AccountID, saleIDs)
		}),
		MyTicket: dataloaders.ByKey(func(ctx context.Context, saleIDs []string) ([]flashsale.Turn, error) {
			return fs.MyTurns(ctx, viewer.From(ctx), saleIDs)
		}, func(is flashsale.Turn) string { return is.SaleID }),
	}
}

func load(ctx context.Context) loaders { return dataloaders.From[loaders](ctx) }

type resolver struct{ sales *flashsale.FlashSales }

type (
	query        struct{ *resolver }
	mutation     struct{ *resolver }
	subscription struct{ *resolver }
	entity       struct{ *resolver }
	sale         struct{ *resolver }
	offer        struct{ *resolver }
	booking      struct{ *resolver }
	ticket       struct{ *resolver }
	variant      struct{ *resolver }
)

func (r *resolver) Query() gen.QueryResolver                       { return &query{r} }
func (r *resolver) Mutation() gen.MutationResolver                 { return &mutation{r} }
func (r *resolver) Subscription() gen.SubscriptionResolver         { return &subscription{r} }
func (r *resolver) Entity() gen.EntityResolver                     { return &entity{r} }
func (r *resolver) FlashSale() gen.FlashSaleResolver               { return &sale{r} }
func (r *resolver) FlashSaleOffer() gen.FlashSaleOfferResolver     { return &offer{r} }
func (r *resolver) FlashSaleBooking() gen.FlashSaleBookingResolver { return &booking{r} }
func (r *resolver) FlashSaleTicket() gen.FlashSaleTicketResolver   { return &ticket{r} }
func (r *resolver) ProductVariant() gen.ProductVariantResolver     { return &variant{r} }

// proofErrors are userErrors where a proof is asked for: the gateway hears of a wrong one.
func proofErrors(ctx context.Context, err error) ([]gen.FlashSaleUserError, error) {
	if code, wrong := flashsale.WrongProof(err); wrong {
		forfeit.Say(ctx, code)
	}
	return userErrors(err)
}

func userErrors(err error) ([]gen.FlashSaleUserError, error) {
	return subgraph.UserErrors(err, func(e *fault.Error) gen.FlashSaleUserError {
		return gen.FlashSaleUserError{Code: subgraph.Code[gen.FlashSaleErrorCode](e), Message: e.Message, Field: e.Field}
	})
}
