package main

import (
	"context"
	"time"

	"github.com/souk-shop/souk/internal/batch"
	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	"github.com/souk-shop/souk/subgraphs/flashsale/graph"
	"github.com/souk-shop/souk/subgraphs/flashsale/nats"
	"github.com/souk-shop/souk/subgraphs/flashsale/postgres"
	"github.com/souk-shop/souk/subgraphs/flashsale/prometheus"
	"github.com/souk-shop/souk/subgraphs/flashsale/rush"
)

func startFlashSale(ctx context.Context, e *env) (*service, error) {
	pool, err := e.postgres(ctx, "flashsale", postgres.Migrations)
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
	challenges, tokens, err := e.door()
	if err != nil {
		return nil, err
	}
	store := postgres.NewStore(pool)
	desk := rush.New(store, e.clock, batch.Config{Name: "flashsale", Metrics: e.metrics})
	sales := flashsale.New(store, desk, nats.Shop{By: carrier}, e.clock).Guarded(challenges, tokens)
	if err := prometheus.Watch(sales, e.metrics); err != nil {
		return nil, err
	}
	return &service{
		handler: e.mount(graph.Handler(sales, e.log), pool.Ping),
		calls:   nats.Calls(sales),
		work: []func(context.Context) error{
			outbox.Relay(pool, js, e.log),
			nats.Watch(nc, sales, e.log),
			nats.Sweep(sales, e.log),
			nats.Admit(sales, e.log),
			nats.Settle(sales, e.log),
			func(ctx context.Context) error {
				<-ctx.Done()
				grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
				defer cancel()
				return desk.Close(grace)
			},
		},
	}, nil
}
