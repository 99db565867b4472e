package main

import (
	"context"

	"github.com/souk-shop/souk/subgraphs/cart"
	"github.com/souk-shop/souk/subgraphs/cart/graph"
	"github.com/souk-shop/souk/subgraphs/cart/nats"
	"github.com/souk-shop/souk/subgraphs/cart/postgres"
)

func startCart(ctx context.Context, e *env) (*service, error) {
	pool, err := e.postgres(ctx, "cart", postgres.Migrations)
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
	carts := cart.New(store, nats.Goods{Bus: carrier}, e.clock)
	return &service{
		handler: e.mount(graph.Handler(carts, e.log), pool.Ping),
		calls:   nats.Calls(carts),
		work: []func(context.Context) error{
			nats.Orders(js, store, e.log),
			nats.Sweep(store, e.clock, e.log),
		},
	}, nil
}
