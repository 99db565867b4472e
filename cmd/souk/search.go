package main

import (
	"context"

	clienttypesense "github.com/souk-shop/souk/clients/typesense"
	"github.com/souk-shop/souk/subgraphs/search"
	"github.com/souk-shop/souk/subgraphs/search/graph"
	"github.com/souk-shop/souk/subgraphs/search/nats"
	"github.com/souk-shop/souk/subgraphs/search/typesense"
)

func startSearch(ctx context.Context, e *env) (*service, error) {
	url, err := e.need("SOUK_TYPESENSE_URL")
	if err != nil {
		return nil, err
	}
	key, err := e.need("SOUK_TYPESENSE_KEY")
	if err != nil {
		return nil, err
	}
	client, err := clienttypesense.Open(ctx, url, key)
	if err != nil {
		return nil, err
	}
	store, err := typesense.NewStore(ctx, client, typesense.Alias, e.log)
	if err != nil {
		return nil, err
	}
	_, js, err := e.nats(ctx)
	if err != nil {
		return nil, err
	}
	announcer := nats.NewAnnouncer(js, e.log)
	s := search.New(store, announcer.Searched, e.clock)
	return &service{
		handler: e.mount(graph.Handler(s, e.log), func(ctx context.Context) error { return clienttypesense.Ping(ctx, client) }),
		work: []func(context.Context) error{
			nats.Index(s, js, store.Place(), e.log),
			announcer.Run,
		},
	}, nil
}
