package main

import (
	"context"
	"time"

	"github.com/souk-shop/souk/clients/courier"
	"github.com/souk-shop/souk/clients/courier/fake"
	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/logistics"
	"github.com/souk-shop/souk/subgraphs/logistics/graph"
	"github.com/souk-shop/souk/subgraphs/logistics/nats"
	"github.com/souk-shop/souk/subgraphs/logistics/postgres"
	"github.com/souk-shop/souk/subgraphs/logistics/reference"
)

func startLogistics(ctx context.Context, e *env) (*service, error) {
	pool, err := e.postgres(ctx, "logistics", postgres.Migrations)
	if err != nil {
		return nil, err
	}
	_, js, err := e.nats(ctx)
	if err != nil {
		return nil, err
	}
	carrier, err := e.bus(ctx)
	if err != nil {
		return nil, err
	}
	store := postgres.NewStore(pool)
	places, err := reference.Places()
	if err != nil {
		return nil, err
	}
	if err := store.Bring(ctx, places, reference.Couriers); err != nil {
		return nil, err
	}
	courier := fake.New(100 * time.Millisecond)
	l := logistics.New(store, nats.Others{Bus: carrier}, desk{courier}, e.clock)
	return &service{
		handler: e.mount(graph.Handler(l, e.log), pool.Ping),
		calls:   nats.Calls(l),
		work: []func(context.Context) error{
			outbox.Relay(pool, js, e.log),
			nats.Warehouses(pool, js, e.log),
			func(ctx context.Context) error {
				if _, err := l.Announce(ctx); err != nil {
					e.log.Warn("parcels under way stay unannounced", "error", err)
				}
				return courier.Deliver(ctx, reports(l))
			},
		},
	}, nil
}

// desk lets logistics book parcels with a courier.
type desk struct{ courier courier.Desk }

func (d desk) Book(ctx context.Context, s logistics.Shipment) (string, error) {
	return d.courier.Book(ctx, courier.Parcel{ShipmentID: s.ID, Courier: s.Courier})
}

// reports takes in what a courier tells.
func reports(l *logistics.Logistics) func(context.Context, courier.Report) error {
	as := viewer.Viewer{AccountID: "courier", Scopes: []string{viewer.ScopeLogistics}}
	return func(ctx context.Context, r courier.Report) error {
		_, err := l.Report(ctx, as, r.ShipmentID, logistics.Event{ID: r.EventID, At: r.At, Status: logistics.Status(r.Status), Location: r.Location})
		return err
	}
}
