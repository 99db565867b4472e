package main

import (
	"context"
	"net/http"

	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/subgraphs/accounts"
	"github.com/souk-shop/souk/subgraphs/accounts/argon2id"
	"github.com/souk-shop/souk/subgraphs/accounts/graph"
	"github.com/souk-shop/souk/subgraphs/accounts/nats"
	"github.com/souk-shop/souk/subgraphs/accounts/postgres"
	"github.com/souk-shop/souk/subgraphs/accounts/tokens"
)

func startAccounts(ctx context.Context, e *env) (*service, error) {
	pool, err := e.postgres(ctx, "accounts", postgres.Migrations)
	if err != nil {
		return nil, err
	}
	_, js, err := e.nats(ctx)
	if err != nil {
		return nil, err
	}
	store := postgres.NewStore(pool)
	keys, err := tokens.Open(ctx, store, e.clock)
	if err != nil {
		return nil, err
	}
	a := accounts.New(store, argon2id.New(argon2id.Recommended), keys, e.clock)
	served := http.NewServeMux()
	served.Handle("GET "+tokens.Path, keys) // public keys are for everybody
	served.Handle("/", e.mount(graph.Handler(a, e.log), pool.Ping))
	return &service{
		handler: served,
		calls:   nats.Calls(a),
		work: []func(context.Context) error{
			outbox.Relay(pool, js, e.log),
			e.everyMinute("accounts", keys.Turn, a.ForgetSessions),
		},
	}, nil
}
