package main

import (
	"context"

	clientmongo "github.com/souk-shop/souk/clients/mongo"
	"github.com/souk-shop/souk/subgraphs/catalog"
	"github.com/souk-shop/souk/subgraphs/catalog/blobs"
	"github.com/souk-shop/souk/subgraphs/catalog/feed"
	"github.com/souk-shop/souk/subgraphs/catalog/graph"
	"github.com/souk-shop/souk/subgraphs/catalog/mongo"
	"github.com/souk-shop/souk/subgraphs/catalog/nats"
)

func startCatalog(ctx context.Context, e *env) (*service, error) {
	url, err := e.need("SOUK_MONGO_URL")
	if err != nil {
		return nil, err
	}
	db, err := clientmongo.Open(ctx, url)
	if err != nil {
		return nil, err
	}
	e.close = append(e.close, func() error { return db.Client().Disconnect(context.Background()) })
	store, err := mongo.NewStore(ctx, db)
	if err != nil {
		return nil, err
	}
	files, err := e.blobs(ctx)
	if err != nil {
		return nil, err
	}
	_, js, err := e.nats(ctx)
	if err != nil {
		return nil, err
	}
	bus, err := e.bus(ctx)
	if err != nil {
		return nil, err
	}
	c := catalog.New(store, blobs.Files{Store: files}, nats.Sellers{By: bus}, feed.Reader{}, e.clock)
	return &service{
		handler: e.mount(graph.Handler(c, e.log), func(ctx context.Context) error { return clientmongo.Ping(ctx, db) }),
		calls:   nats.Calls(c),
		work: []func(context.Context) error{
			nats.Tell(c, js, e.log),
			func(ctx context.Context) error {
				return c.RunImports(ctx, func(err error) { e.log.Error("bulk import", "error", err) })
			},
			e.everyMinute("catalog", e.forgetting("catalog", "imports", c.ForgetImports), e.forgetting("catalog", "uploads", c.ForgetUploads)),
		},
	}, nil
}
