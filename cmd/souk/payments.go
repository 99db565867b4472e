package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/souk-shop/souk/clients/psp"
	"github.com/souk-shop/souk/clients/psp/fake"
	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/subgraphs/payments"
	"github.com/souk-shop/souk/subgraphs/payments/graph"
	"github.com/souk-shop/souk/subgraphs/payments/nats"
	"github.com/souk-shop/souk/subgraphs/payments/postgres"
	"github.com/souk-shop/souk/subgraphs/payments/webhooks"
)

func startPayments(ctx context.Context, e *env) (*service, error) {
	pool, err := e.postgres(ctx, "payments", postgres.Migrations)
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
	provider, pages, work, err := e.fakeProvider()
	if err != nil {
		return nil, err
	}
	store := postgres.NewStore(pool)
	ps := payments.New(store, provider, nats.Orders{By: carrier}, e.clock, payments.Options{Log: e.log})
	served := http.NewServeMux()
	served.Handle(webhooks.Path, webhooks.Handler(ps, e.log)) // signed, so without a passport
	served.Handle("/psp/fake/", http.StripPrefix("/psp/fake", pages))
	served.Handle("/", e.mount(graph.Handler(ps, e.log), pool.Ping))
	return &service{
		handler: served,
		calls:   nats.Calls(ps),
		work: append(work, outbox.Relay(pool, js, e.log), ps.Work, e.everyMinute("payments",
			e.forgetting("payments", "keys", store.ForgetAnswers),
			e.forgetting("payments", "operations", store.ForgetOperations),
			e.forgetting("payments", "reports", store.ForgetReports))),
	}, nil
}

// fakeProvider opens the payment provider that SOUK_PSP names: fake, fake:FILE for one whose books outlive the process, or
// fake:URL for one that runs elsewhere.
func (e *env) fakeProvider() (p psp.Provider, pages http.Handler, work []func(context.Context) error, err error) {
	name, where, _ := strings.Cut(e.get("SOUK_PSP"), ":")
	if name != fake.Name {
		return nil, nil, nil, fmt.Errorf("SOUK_PSP: there is no provider %q", name)
	}
	secret := e.get("SOUK_PSP_WEBHOOK_SECRET")
	if strings.HasPrefix(where, "http://") || strings.HasPrefix(where, "https://") {
		if secret == "" {
			return nil, nil, nil, errors.New("SOUK_PSP_WEBHOOK_SECRET is not set, and the provider elsewhere has one")
		}
		return fake.Dial(where, fake.Config{Secret: []byte(secret), Clock: e.clock}), http.NotFoundHandler(), nil, nil
	}
	if secret == "" {
		secret = rand.Text() // the fake signs in this process, where the webhooks are checked too
	}
	// The buyer comes through the gateway, where there is one.
	public := or(or(e.of("gateway", "URL"), e.urls["gateway"]), e.urls["payments"])
	provider, err := fake.New(fake.Config{
		Secret: []byte(secret), File: where, PublicURL: public + "/psp/fake", WebhookURL: e.urls["payments"] + "/webhooks/" + fake.Name,
		Clock: e.clock, Log: e.log,
	})
	if err != nil {
		return nil, nil, nil, err
	}
	e.close = append(e.close, provider.Close)
	return provider, provider.Pages(), []func(context.Context) error{provider.Run}, nil
}
