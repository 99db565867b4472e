package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"syscall"

	"go.opentelemetry.io/otel"

	"github.com/souk-shop/souk/gateway"
	"github.com/souk-shop/souk/gateway/documents"
	"github.com/souk-shop/souk/gateway/rate"
	"github.com/souk-shop/souk/schema"
)

// startGateway starts the door to the shop, or to any other supergraph.
func startGateway(ctx context.Context, e *env) (*service, error) {
	sdl, err := e.supergraph()
	if err != nil {
		return nil, err
	}
	graphs, health := e.subgraphURLs()
	config := gateway.Config{
		SupergraphSDL: sdl, URLs: graphs, Health: health, Passport: e.passport,
		JWKS: e.get("SOUK_JWKS_URL"), Development: e.dev, Log: e.log, Metrics: e.metrics, Tracing: otel.GetTracerProvider(),
	}
	config.Sockets = e.mostSockets()
	if config.FetchTimeout, err = e.subgraphTimeout(); err != nil {
		return nil, err
	}
	switch accounts, here := e.urls["accounts"]; {
	case here:
		config.JWKS = accounts + "/.well-known/jwks.json"
	case e.supergraphFile != "":
		config.JWKS = e.getenv("SOUK_JWKS_URL") // another supergraph has no accounts of ours to ask
	}
	if err := e.budgets(&config); err != nil {
		return nil, err
	}
	if err := e.documents(&config); err != nil {
		return nil, err
	}
	if err := e.doors(&config); err != nil {
		return nil, err
	}
	if e.dev {
		if err := e.develop(ctx, &config); err != nil {
			return nil, err
		}
	}
	g, err := gateway.New(ctx, config)
	if err != nil {
		return nil, err
	}
	return &service{handler: g.Handler(), private: g.Private(), drain: g.Shutdown}, nil
}

const (
	fewSockets = 15_000 // less than this is worth a word
	otherFiles = 1_500  // open in a process with many sockets: requests, subgraphs, stores
)

// mostSockets is how many may be open at once so that files are left for everything else. Go has raised the limit as far as it may be.
func (e *env) mostSockets() int {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return 0
	}
	limit := int(min(uint64(files.Cur), 1<<30))
	most := limit - min(otherFiles, limit/4)
	if most < fewSockets {
		e.log.Warn("few sockets can be open at once: raise the limit of open files (LimitNOFILE=, ulimit -Hn)", "files", limit, "sockets", most)
	}
	return most
}

// supergraph returns the supergraph named on the command line, or souk's own.
func (e *env) supergraph() (string, error) {
	if e.supergraphFile == "" {
		return schema.Supergraph, nil
	}
	sdl, err := os.ReadFile(e.supergraphFile)
	return string(sdl), err
}

// subgraphURLs says where subgraphs are, going before what the supergraph says: those of this process, and those that the
// environment names. It also says where they tell how they are.
func (e *env) subgraphURLs() (graphs, health map[string]string) {
	graphs, health = map[string]string{}, map[string]string{}
	for _, p := range parts() {
		at := or(e.of(p.name, "URL"), e.urls[p.name])
		if at == "" || p.name == "gateway" {
			continue
		}
		graphs[p.name] = at + "/graphql"
		health[p.name] = at + "/healthz"
	}
	return graphs, health
}

// budgets bounds what one caller may ask for in a while; gateways that share a Redis agree on it.
func (e *env) budgets(c *gateway.Config) error {
	limits := rate.Config{Metrics: e.metrics}
	var sale rate.Budget
	for name, budget := range map[string]*rate.Budget{"SOUK_RATE_ACCOUNT": &limits.Account, "SOUK_RATE_IP": &limits.Address, "SOUK_RATE_SALE": &sale} {
		var err error
		if *budget, err = rate.ParseBudget(e.get(name)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	limits.Common = map[string]rate.Budget{"sale": sale} // as @bucket in the schema names it
	proxies, err := strconv.Atoi(e.get("SOUK_TRUSTED_PROXIES"))
	if err != nil || proxies < 0 || proxies > 10 {
		return fmt.Errorf("SOUK_TRUSTED_PROXIES: %q is not a number from 0 to 10", e.get("SOUK_TRUSTED_PROXIES"))
	}
	limits.Store = rate.NewMemory(e.clock)
	shared, err := e.redis()
	if err != nil {
		return err
	}
	if shared != nil {
		if limits.Store, err = rate.NewRedis(shared, e.clock, e.metrics); err != nil {
			return err
		}
	}
	c.Proxies = proxies
	c.Rate, err = rate.New(limits)
	return err
}

// documents reads those that the shop's own clients were built with.
func (e *env) documents(c *gateway.Config) error {
	only, err := strconv.ParseBool(e.get("SOUK_DOCUMENTS_ONLY"))
	if err != nil {
		return fmt.Errorf("SOUK_DOCUMENTS_ONLY: %q is neither true nor false", e.get("SOUK_DOCUMENTS_ONLY"))
	}
	var trusted map[string]string
	if file := e.get("SOUK_DOCUMENTS"); file != "" {
		manifest, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("SOUK_DOCUMENTS: %w", err)
		}
		if trusted, err = documents.Parse(manifest); err != nil {
			return fmt.Errorf("SOUK_DOCUMENTS: %w", err)
		}
	}
	if c.Documents, err = documents.New(trusted, only); err != nil {
		return fmt.Errorf("SOUK_DOCUMENTS_ONLY: %w", err)
	}
	return nil
}

// doors opens the gateway to payments for who does not speak GraphQL: the provider with its webhooks, which are signed, and the
// buyer who has to confirm a payment on the pages of the fake one, in development.
func (e *env) doors(c *gateway.Config) error {
	payments := or(e.of("payments", "URL"), e.urls["payments"])
	if payments == "" || e.supergraphFile != "" {
		return nil
	}
	at, err := url.Parse(payments)
	if err != nil {
		return fmt.Errorf("SOUK_PAYMENTS_URL: %w", err)
	}
	to := httputil.NewSingleHostReverseProxy(at)
	c.Routes = map[string]http.Handler{"POST /webhooks/": to}
	if e.dev {
		c.Routes["/psp/fake/"] = to // its pages show everybody's payments
	}
	return nil
}

// develop adds what is there in souk dev alone: the playground, and files out of a folder.
func (e *env) develop(ctx context.Context, c *gateway.Config) error {
	c.Examples, c.Notice = e.examples, e.notice
	blobs, err := e.blobs(ctx)
	if err != nil {
		return err
	}
	if folder, ok := blobs.(http.Handler); ok {
		c.Routes["/blobs/"] = folder
	}
	return nil
}
