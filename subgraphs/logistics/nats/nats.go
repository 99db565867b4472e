// Package nats joins logistics to the bus: what it asks, what it answers, what it hears.
package nats

import (
	"context"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/call"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/logistics"
	"github.com/souk-shop/souk/subgraphs/logistics/postgres"
)

// Others asks orders and accounts over the bus.
type Others struct{ Bus call.Carrier }

var _ logistics.Others = Others{}

// Order tells how an order stands.
func (o Others) Order(ctx context.Context, orderID string) (events.OrderChanged, error) {
	return events.OrderByID.Do(ctx, o.Bus, events.OrderRequest{OrderID: orderID})
}

// DefaultAddress finds the address that an account's estimates start from; nil when it has none.
func (o Others) DefaultAddress(ctx context.Context, accountID string) (*events.Address, error) {
	a, err := events.AddressOf.Do(ctx, o.Bus, events.AddressRequest{AccountID: accountID})
	if fault.KindOf(err) == fault.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &a, nil
}

// Calls is what logistics answers.
func Calls(l *logistics.Logistics) []call.Endpoint {
	return []call.Endpoint{
		events.StopParcels.Handle(func(ctx context.Context, req events.StopParcelsRequest) (events.StopParcelsReply, error) {
			stopped, err := l.Stop(ctx, req.OrderID)
			return events.StopParcelsReply{Stopped: stopped}, err
		}),
		events.Serviceable.Handle(func(ctx context.Context, req events.ServiceableRequest) (events.ServiceableReply, error) {
			s, err := l.Reach(ctx, viewer.Viewer{}, req.Pincode, &req.Country)
			if e, malformed := fault.ForUser(err); malformed && e.Kind == fault.Invalid {
				return events.ServiceableReply{}, nil // nobody goes to what is no postal code
			}
			return events.ServiceableReply{Couriers: s.Couriers}, err
		}),
	}
}

// Warehouses takes in where parcels start.
func Warehouses(pool *pgxpool.Pool, js jetstream.JetStream, log *slog.Logger) func(context.Context) error {
	consumer := outbox.Consumer{Name: "logistics-warehouses", Subjects: []string{events.SubjectWarehouseSaved}}
	return outbox.Consume(pool, js, consumer, func(ctx context.Context, tx pgx.Tx, e outbox.Received) error {
		w, err := outbox.Decode[events.WarehouseSaved](e)
		if err != nil {
			return err
		}
		return postgres.SaveWarehouse(ctx, tx, w)
	}, log)
}
