package main

import (
	"context"

	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/subgraphs/inventory"
	"github.com/souk-shop/souk/subgraphs/inventory/graph"
	"github.com/souk-shop/souk/subgraphs/inventory/nats"
	"github.com/souk-shop/souk/subgraphs/inventory/postgres"
)

func startInventory(ctx context.Context, e *env) (*service, error) {
	pool, err := e.postgres(ctx, "inventory", postgres.Migrations)
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
	inv := inventory.New(postgres.NewStore(pool).Gather(postgres.Meeting, e.metrics), nats.Catalog{By: carrier}, e.clock)
	return &service{
		handler: e.mount(graph.Handler(inv, e.log), pool.Ping),
		calls:   nats.Calls(inv),
		work: []func(context.Context) error{
			outbox.Relay(pool, js, e.log),
			nats.Goods(pool, js, e.log),
			nats.Watch(nc, inv, e.log),
			nats.Sweep(inv, e.log),
			e.everyMinute("inventory", e.forgetting("inventory", "keys", inv.ForgetAnswers)),
		},
	}, nil
}
