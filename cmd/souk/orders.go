package main

import (
	"context"

	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/subgraphs/orders"
	"github.com/souk-shop/souk/subgraphs/orders/graph"
	"github.com/souk-shop/souk/subgraphs/orders/jobs"
	"github.com/souk-shop/souk/subgraphs/orders/nats"
	"github.com/souk-shop/souk/subgraphs/orders/postgres"
)

func startOrders(ctx context.Context, e *env) (*service, error) {
	expiry, err := e.orderExpiry()
	if err != nil {
		return nil, err
	}
	pool, err := e.postgres(ctx, "orders", postgres.Migrations)
	if err != nil {
		return nil, err
	}
	if err := e.await(ctx, func() error { return jobs.Migrate(ctx, pool) }); err != nil {
		return nil, err
	}
	queue, err := jobs.NewQueue(pool)
	if err != nil {
		return nil, err
	}
	nc, js, err := e.nats(ctx)
	if err != nil {
		return nil, err
	}
	carrier, err := e.bus(ctx)
	if err != nil {
		return nil, err
	}
	store := postgres.NewStore(pool, queue)
	all := orders.New(store)
	checkout := orders.NewCheckout(store, carrier, e.clock, expiry)
	watchers := nats.NewWatchers()
	return &service{
		handler: e.mount(graph.Handler(all, checkout, watchers, e.log), pool.Ping),
		calls:   nats.Calls(all),
		work: []func(context.Context) error{
			outbox.Relay(pool, js, e.log),
			jobs.Work(pool, checkout, e.log),
			nats.Payments(pool, js, store, checkout, e.log),
			nats.Parcels(pool, js, store, checkout, e.log),
			watchers.Listen(nc, e.log),
			e.everyMinute("orders", e.forgetting("orders", "checkouts without an order", store.ForgetCheckouts), e.forgetting("orders", "keys of cancellations", store.ForgetCancellations)),
		},
	}, nil
}
