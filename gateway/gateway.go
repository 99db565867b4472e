// Package gateway is the one door to the shop: it answers GraphQL operations by asking the subgraphs.
//
// It knows the supergraph and no subgraph. The way of a request is Execute, below.
package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/souk-shop/souk/gateway/documents"
	"github.com/souk-shop/souk/gateway/engine"
	"github.com/souk-shop/souk/gateway/limits"
	"github.com/souk-shop/souk/gateway/playground"
	"github.com/souk-shop/souk/gateway/rate"
	"github.com/souk-shop/souk/gateway/session"
	"github.com/souk-shop/souk/gateway/transport"
	"github.com/souk-shop/souk/gateway/upstream"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/forfeit"
	"github.com/souk-shop/souk/internal/passport"
	"github.com/souk-shop/souk/internal/viewer"
)

// Config is what a gateway needs to know; only SupergraphSDL must be there.
type Config struct {
	SupergraphSDL string
	URLs          map[string]string       // subgraph name → URL, going before the supergraph's
	Health        map[string]string       // part name → URL that answers 200 while the part is well; /readyz asks them all
	Passport      passport.Key            // tells the subgraphs who asks; without one they are not told
	Upstream      http.RoundTripper       // connections to the subgraphs; nil means a pool of our own
	Keys          session.KeySource       // of access tokens …
	JWKS          string                  // … or where to fetch them; without either, no token is good
	Routes        map[string]http.Handler // patterns served beside the graph as they are: files, webhooks
	Origins       []string                // hosts of pages, beside our own, that may open a socket
	Sockets       int                     // open at once; 0 is no bound but the system's
	Limits        limits.Limits           // zero fields take their defaults
	Rate          *rate.Limiter           // what one caller may ask for in a while; nil bounds nothing
	Documents     *documents.Store        // what clients may name instead of sending; nil knows what it has been sent alone
	Proxies       int                     // in front, whose X-Forwarded-For is believed
	Timeout       time.Duration           // of a query or mutation: 30 s
	FetchTimeout  time.Duration           // of one request to a subgraph: 10 s

	Development bool                        // playground, introspection, query plans
	Examples    func() []playground.Example // asked for each page
	Notice      string                      // which accounts the playground shows

	Log     *slog.Logger
	Metrics *prometheus.Registry
	Tracing trace.TracerProvider
}

// Gateway answers the graph's operations. End it with Shutdown.
type Gateway struct {
	config    Config
	engine    *engine.Engine
	locales   *locales
	watch     *watch
	health    *health
	sessions  *session.Sessions
	transport *transport.Handler
	public    http.Handler
}

// New returns a gateway that lives until ctx ends.
func New(ctx context.Context, c Config) (*Gateway, error) {
	c = c.withDefaults()
	g := &Gateway{config: c, locales: newLocales(), health: newHealth(c.Health)}
	var err error
	if g.watch, err = newWatch(c.Log, c.Metrics, c.Tracing); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	subgraphs, err := upstream.New(upstream.Config{Key: c.Passport, Deadline: c.FetchTimeout, Base: c.Upstream, Metrics: c.Metrics, Log: c.Log})
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	g.engine, err = engine.New(ctx, engine.Config{
		SupergraphSDL: c.SupergraphSDL, URLs: c.URLs, Transport: subgraphs,
		Limits: c.Limits, Metrics: c.Metrics, Development: c.Development, Log: c.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	g.prewarm(ctx)
	g.sessions = session.New(c.Keys, clock.System)
	g.transport = transport.New(transport.Config{
		Executor: g, Sessions: g.sessions, Origins: c.Origins,
		Sockets: g.watch.sockets, MostSockets: c.Sockets, Log: c.Log, Refused: g.refused,
	})
	if g.public, err = g.routes(); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	return g, nil
}

func (c Config) withDefaults() Config {
	switch {
	case c.Keys != nil:
	case c.JWKS != "":
		c.Keys = session.NewJWKS(c.JWKS, &http.Client{Timeout: 5 * time.Second}, clock.System)
	default:
		c.Keys = session.Keys{}
	}
	if c.Documents == nil {
		c.Documents, _ = documents.New(nil, false) // fails for a store that trusts nothing else alone
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Metrics == nil {
		c.Metrics = prometheus.NewRegistry()
	}
	return c
}

// prewarm plans the trusted documents, so that no caller waits for it, and says which of them the graph does not know how to answer.
func (g *Gateway) prewarm(ctx context.Context) {
	for id, text := range g.config.Documents.Trusted() {
		_, err := g.engine.Prepare(ctx, engine.Request{Query: text})
		var es engine.Errors
		if errors.As(err, &es) && es[0].Code() == engine.CodeInput { // it needs variables, which come with a request
			err = nil
		}
		if err != nil {
			g.config.Log.WarnContext(ctx, "gateway: a trusted document will be refused", "document", id, "error", err)
		}
	}
}

// Execute is the way of a request, from a transport that has decoded it and knows who asks, back to the same transport.
func (g *Gateway) Execute(ctx context.Context, r engine.Request, to transport.Reply) {
	r, unknown := g.config.Documents.Resolve(r)
	ctx, seen := g.watch.begin(ctx, r)
	defer func() {
		if p := recover(); p != nil {
			to.Fail(seen.failed(ctx, fmt.Errorf("panic: %v\n%s", p, debug.Stack())))
		}
		if !seen.stays {
			seen.end(ctx)
		}
	}()
	if unknown != nil {
		g.misnamed(ctx)
		to.Fail(seen.failed(ctx, unknown))
		return
	}
	if err := g.answer(ctx, r, to, seen); err != nil {
		to.Fail(seen.failed(ctx, err))
	}
}

func (g *Gateway) answer(ctx context.Context, r engine.Request, to transport.Reply, seen *sighting) error {
	if err := g.afford(ctx); err != nil {
		return err
	}
	op, err := g.engine.Prepare(ctx, r) // document → limits → plan, each found in a cache or made
	if err != nil {
		g.misunderstood(ctx)
		return err
	}
	seen.operation(op)
	g.config.Documents.Learn(r)
	cost, err := g.pay(ctx, op)
	if err != nil {
		return err
	}
	if err := to.Accept(op.Kind(), op.Deferred()); err != nil {
		return err
	}
	who, err := g.locales.applied(viewer.From(ctx), r)
	if err != nil {
		return err
	}
	ctx = viewer.With(ctx, who)
	ctx, wrong := forfeit.Listen(ctx)
	bare := explained(ctx, op, to)
	to = priced(ctx, cost, bare)

	switch op.Kind() {
	case engine.Subscription:
		if h, ok := to.(transport.Hearer); ok && g.engine.TellsAllTheSame(op) {
			g.follow(ctx, op, h, seen)
			return nil
		}
		return g.engine.Subscribe(ctx, op, func(event []byte) error { return to.Next(event, true) })
	case engine.Mutation:
		ctx = context.WithoutCancel(ctx) // what was begun is brought to its end, even if the caller hangs up
	}
	ctx, cancel := context.WithTimeout(ctx, g.config.Timeout)
	defer cancel()
	if op.Deferred() {
		return g.engine.Incremental(ctx, op, func(part []byte, more bool) error {
			g.charge(ctx, wrong, cost)
			return to.Next(part, more)
		})
	}
	var body bytes.Buffer
	result, err := g.engine.Execute(ctx, op, &body)
	if err != nil {
		return err
	}
	seen.answered(result)
	if d, charged := g.charge(ctx, wrong, cost); charged {
		to = priced(ctx, d, bare)
	}
	to.Keep(result.MaxAge)
	return to.Next(body.Bytes(), false)
}

// follow lets the caller hear what all who ask the same are told, after Execute has returned.
func (g *Gateway) follow(ctx context.Context, op *engine.Operation, to transport.Hearer, seen *sighting) {
	done := to.Stay()
	seen.stays = true
	g.engine.Follow(ctx, op, to.Hear, func(err error) {
		if err != nil {
			to.Fail(seen.failed(ctx, err))
		}
		seen.end(ctx)
		done()
	})
}

// Schema returns the SDL of what callers may ask for.
func (g *Gateway) Schema() string { return g.engine.Schema() }

// Shutdown refuses new work, closes sockets (1001) and event streams, and waits for them until ctx ends. Answers that are under
// way go on: call it before the server's own Shutdown, which waits for those.
func (g *Gateway) Shutdown(ctx context.Context) error {
	g.health.drain()
	return g.transport.Shutdown(ctx)
}
