package main

import (
	"context"

	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/subgraphs/reviews"
	"github.com/souk-shop/souk/subgraphs/reviews/graph"
	"github.com/souk-shop/souk/subgraphs/reviews/nats"
	"github.com/souk-shop/souk/subgraphs/reviews/postgres"
)

func startReviews(ctx context.Context, e *env) (*service, error) {
	pool, err := e.postgres(ctx, "reviews", postgres.Migrations)
	if err != nil {
		return nil, err
	}
	_, js, err := e.nats(ctx)
	if err != nil {
		return nil, err
	}
	r := reviews.New(postgres.NewStore(pool), e.clock)
	return &service{
		handler: e.mount(graph.Handler(r, e.log), pool.Ping),
		work: []func(context.Context) error{
			outbox.Relay(pool, js, e.log),
			nats.Deliveries(pool, js, e.log),
		},
	}, nil
}
