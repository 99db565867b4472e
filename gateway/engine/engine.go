// Package engine answers GraphQL operations over a supergraph: it prepares documents, plans them and runs the plans.
//
// It wraps graphql-go-tools. What this package adds is what a shop front needs around a planner: bounded caches shared by
// all values of a document's variables, errors that name the subgraph and nothing inside it, and rules about who sees what.
package engine

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/ast"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/engine/resolve"

	"github.com/souk-shop/souk/gateway/limits"
	"github.com/souk-shop/souk/gateway/supergraph"
	"github.com/souk-shop/souk/internal/clock"
)

// Config is what an engine needs to know.
type Config struct {
	SupergraphSDL string
	Transport     http.RoundTripper     // to the subgraphs
	URLs          map[string]string     // subgraph name → URL, going before the file's
	Limits        limits.Limits         // zero fields take their defaults
	Documents     int                   // prepared documents kept; 0 means 2,000
	Plans         int                   // plans kept; 0 means 1,000
	PlanBudget    time.Duration         // longest time spent on one plan; 0 means 2 s
	Concurrency   int                   // operations executed at once; 0 means 1,024
	Metrics       prometheus.Registerer // nil means none
	Development   bool                  // answer introspection
	Log           *slog.Logger          // nil means slog.Default()
	Clock         clock.Clock           // nil is the machine's
}

// Engine answers operations over one supergraph. It is safe for concurrent use.
type Engine struct {
	schema     string
	client     *ast.Document // what callers may ask for
	rules      supergraph.Rules
	prices     supergraph.Prices
	buckets    supergraph.Buckets
	hints      supergraph.Hints
	shared     map[supergraph.Coordinate]bool
	broadcasts broadcasts
	limits     limits.Limits
	planner    *planner
	sources    *cache[*source]
	documents  *cache[*document]
	answers    *cache[*kept]
	clock      clock.Clock
	resolver   *resolve.Resolver
	flights    flights
	upstream   *http.Client
	introspect bool
	log        *slog.Logger
}

// New reads the supergraph and returns an engine that lives until ctx ends.
func New(ctx context.Context, c Config) (*Engine, error) {
	c = c.withDefaults()
	graph, err := supergraph.Parse(c.SupergraphSDL)
	if err != nil {
		return nil, err
	}
	e := &Engine{schema: graph.ClientSDL(), rules: graph.Rules(), prices: graph.Prices(), buckets: graph.Buckets(), hints: graph.Hints(), shared: graph.Shared(), limits: c.Limits, introspect: c.Development, upstream: client(c.Transport), log: c.Log, clock: c.Clock, broadcasts: broadcasts{log: c.Log}}
	if e.client, err = graph.ClientSchema(); err != nil {
		return nil, fmt.Errorf("client schema: %w", err)
	}
	m, err := newMetrics(c.Metrics)
	if err != nil {
		return nil, err
	}
	if e.sources, err = newCache[*source](c.Documents, m.lookups, c.Log, "sources"); err != nil {
		return nil, err
	}
	if e.documents, err = newCache[*document](c.Documents, m.lookups, c.Log, "documents"); err != nil {
		return nil, err
	}
	if e.answers, err = newCache[*kept](mostKept, m.lookups, c.Log, "answers"); err != nil {
		return nil, err
	}
	if e.planner, err = newPlanner(ctx, graph, e.upstream, c, m); err != nil {
		return nil, err
	}
	e.resolver = resolve.New(ctx, resolve.ResolverOptions{
		MaxConcurrency:                         c.Concurrency,
		PropagateSubgraphErrors:                true,
		SubgraphErrorPropagationMode:           resolve.SubgraphErrorPropagationModePassThrough,
		RewriteSubgraphErrorPaths:              true,
		OmitSubgraphErrorLocations:             true, // they point into documents that the client never saw
		AllowedErrorExtensionFields:            []string{"code", "field", "subgraph"},
		DefaultErrorExtensionCode:              CodeSubgraphError,
		SetDeduplicationShardCountToGOMAXPROCS: true,
	})
	return e, nil
}

func (c Config) withDefaults() Config {
	if c.Documents == 0 {
		c.Documents = 2_000
	}
	if c.Plans == 0 {
		c.Plans = 1_000
	}
	if c.PlanBudget == 0 {
		c.PlanBudget = 2 * time.Second
	}
	if c.Concurrency == 0 {
		c.Concurrency = 1_024
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Clock == nil {
		c.Clock = clock.System
	}
	if c.Transport == nil {
		c.Transport = http.DefaultTransport
	}
	return c
}

// Schema returns the SDL of what callers may ask for: nothing @inaccessible, no federation machinery.
func (e *Engine) Schema() string { return e.schema }

// client follows no redirects: where subgraphs are is the supergraph's to say, and a signed request goes nowhere else.
func client(t http.RoundTripper) *http.Client {
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// planners bounds the planning done at once: the library cannot be interrupted, and a plan that takes for ever takes a slot.
func planners() int { return max(4, runtime.GOMAXPROCS(0)) }
