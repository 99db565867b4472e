// Package graph shows logistics as a GraphQL subgraph.
package graph

//go:generate go tool gqlgen generate

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/souk-shop/souk/dataloaders"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/subgraph"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/logistics"
	"github.com/souk-shop/souk/subgraphs/logistics/internal/gen"
)

// Handler serves the subgraph.
func Handler(l *logistics.Logistics, log *slog.Logger) http.Handler {
	srv := subgraph.Server(gen.NewExecutableSchema(gen.Config{Resolvers: &resolver{l}}), log)
	srv.AroundResponses(dataloaders.Fresh(func() loaders {
		return loaders{
			Shipments: dataloaders.Listing(l.ShipmentsOfOrders),
			Desktop: dataloaders.Listing(func(ctx context.Context, asked []destination) (map[destination][]logistics.Desktop, error) {
				out := make(map[destination][]logistics.Desktop, len(asked))
				for _, a := range asked { // one a page: everything on it goes to the same place
					d, err := a.desktop(ctx, l)
					if err != nil {
						return nil, err
					}
					out[a] = []logistics.Desktop{d}
				}
				return out, nil
			}),
		}
	}))
	return srv
}

type loaders struct {
	Shipments *dataloaders.Many[string, logistics.Shipment]
	Desktop   *dataloaders.Many[destination, logistics.Desktop]
}

func load(ctx context.Context) loaders { return dataloaders.From[loaders](ctx) }

// A destination is where a client asks estimates for, in its own words.
type destination struct {
	pincode, country           string
	givenPincode, givenCountry bool
}

func destinationOf(pincode, country *string) destination {
	d := destination{givenPincode: pincode != nil, givenCountry: country != nil}
	if pincode != nil {
		d.pincode = *pincode
	}
	if country != nil {
		d.country = *country
	}
	return d
}

func (d destination) desktop(ctx context.Context, l *logistics.Logistics) (logistics.Desktop, error) {
	var pincode, country *string
	if d.givenPincode {
		pincode = &d.pincode
	}
	if d.givenCountry {
		country = &d.country
	}
	g, err := l.GoalOf(ctx, viewer.From(ctx), pincode, country)
	if err != nil {
		return logistics.Desktop{}, err
	}
	return l.To(ctx, g)
}

type resolver struct{ logistics *logistics.Logistics }

type (
	query         struct{ *resolver }
	mutation      struct{ *resolver }
	entity        struct{ *resolver }
	variant       struct{ *resolver }
	order         struct{ *resolver }
	estimate      struct{}
	shipment      struct{}
	shipmentEvent struct{}
)

func (r *resolver) Query() gen.QueryResolver                       { return &query{r} }
func (r *resolver) Mutation() gen.MutationResolver                 { return &mutation{r} }
func (r *resolver) Entity() gen.EntityResolver                     { return &entity{r} }
func (r *resolver) ProductVariant() gen.ProductVariantResolver     { return &variant{r} }
func (r *resolver) Order() gen.OrderResolver                       { return &order{r} }
func (r *resolver) DeliveryEstimate() gen.DeliveryEstimateResolver { return estimate{} }
func (r *resolver) Shipment() gen.ShipmentResolver                 { return shipment{} }
func (r *resolver) ShipmentEvent() gen.ShipmentEventResolver       { return shipmentEvent{} }

// payload shows a parcel, or why nothing happened to it.
func payload(s logistics.Shipment, err error) (*gen.ShipmentPayload, error) {
	if err != nil {
		errs, err := subgraph.UserErrors(err, func(e *fault.Error) gen.LogisticsUserError {
			return gen.LogisticsUserError{Code: subgraph.Code[gen.LogisticsErrorCode](e), Message: e.Message, Field: e.Field}
		})
		return &gen.ShipmentPayload{UserErrors: errs}, err
	}
	return &gen.ShipmentPayload{Shipment: &s, UserErrors: []gen.LogisticsUserError{}}, nil
}
