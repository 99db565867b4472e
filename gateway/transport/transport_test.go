package transport_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"
	"go.uber.org/goleak"

	"github.com/souk-shop/souk/gateway/engine"
	"github.com/souk-shop/souk/gateway/transport"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/viewer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const schema = `
directive @defer(if: Boolean) on INLINE_FRAGMENT | FRAGMENT_SPREAD
type Query { hello(id: ID): String whoami: String slow: String broken: String large: String kept: String }
type Mutation { greet(name: String!): String }
type Subscription { ticks: Int forever: Int flood: Int broken: Int }`

// shop is an executor whose every move the test decides.
type shop struct {
	schema  *ast.Schema
	ticks   chan int      // what the subscription "ticks" says; it completes when closed
	release chan struct{} // "slow" answers when it is closed
	started chan string   // the root field of an operation that waits
	ended   chan string   // the root field of an operation that waited
	given   chan struct{} // "large" was handed over
	large   int           // bytes that "large" and each event of "flood" hold
}

func newShop() *shop {
	return &shop{
		schema: gqlparser.MustLoadSchema(&ast.Source{Input: schema}),
		ticks:  make(chan int), release: make(chan struct{}),
		started: make(chan string, 1000), ended: make(chan string, 1000), given: make(chan struct{}, 1), large: 64 << 10,
	}
}

func listed(code string, err error) engine.Errors {
	return engine.Errors{{Message: err.Error(), Extensions: map[string]any{"code": code}}}
}

func (s *shop) Execute(ctx context.Context, r engine.Request, to transport.Reply) {
	doc, err := gqlparser.LoadQueryWithRules(s.schema, r.Query, rules.NewDefaultRules())
	if err != nil {
		to.Fail(listed(engine.CodeValidation, err))
		return
	}
	op := doc.Operations.ForName(r.OperationName)
	if op == nil {
		to.Fail(listed(engine.CodeValidation, fmt.Errorf("no such operation")))
		return
	}
	variables := map[string]any{}
	if r.Variables != nil {
		json.Unmarshal(r.Variables, &variables)
	}
	if _, err := validator.VariableValues(s.schema, op, variables); err != nil {
		to.Fail(listed(engine.CodeInput, err))
		return
	}
	kind := map[ast.Operation]engine.Kind{ast.Query: engine.Query, ast.Mutation: engine.Mutation, ast.Subscription: engine.Subscription}[op.Operation]
	deferred := strings.Contains(r.Query, "@defer")
	if err := to.Accept(kind, deferred); err != nil {
		to.Fail(err.(engine.Errors))
		return
	}
	if deferred {
		if to.Next([]byte(`{"data":{"hello":"world"},"hasNext":true}`), true) == nil {
			to.Next([]byte(`{"incremental":[{"data":{"slow":"late"},"path":[]}],"hasNext":false}`), false)
		}
		return
	}
	field := op.SelectionSet[0].(*ast.Field).Name
	if kind == engine.Subscription {
		s.subscribe(ctx, field, to)
		return
	}
	switch field {
	case "hello", "greet":
		to.Next([]byte(`{"data":{"hello":"world"}}`), false)
	case "kept":
		to.Keep(time.Minute)
		to.Next([]byte(`{"data":{"kept":"for a minute"}}`), false)
	case "whoami":
		to.Next(fmt.Appendf(nil, `{"data":{"whoami":%q}}`, viewer.From(ctx).AccountID), false)
	case "slow":
		s.started <- field
		select {
		case <-s.release:
			to.Next([]byte(`{"data":{"slow":"at last"}}`), false)
		case <-ctx.Done():
		}
		s.ended <- field
	case "broken":
		to.Next([]byte(`{"errors":[{"message":"broken","path":["broken"],"extensions":{"code":"SUBGRAPH_UNAVAILABLE"}}],"data":{"broken":null}}`), false)
	case "large":
		to.Next(fmt.Appendf(nil, `{"data":{"large":%q}}`, strings.Repeat("x", s.large)), false)
		s.given <- struct{}{}
	default:
		to.Next([]byte(`{"data":{"__typename":"Query"}}`), false)
	}
}

func (s *shop) subscribe(ctx context.Context, field string, to transport.Reply) {
	s.started <- field
	defer func() { s.ended <- field }()
	if field == "flood" {
		for to.Next(fmt.Appendf(nil, `{"data":{"flood":%q}}`, strings.Repeat("x", s.large)), true) == nil {
		}
		return
	}
	for {
		select {
		case n, more := <-s.ticks:
			if !more || to.Next(fmt.Appendf(nil, `{"data":{"ticks":%d}}`, n), true) != nil {
				return
			}
			if field == "broken" {
				to.Fail(listed(engine.CodeSubgraph, fmt.Errorf("inventory went away")))
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// door knows the sessions by heart: "Bearer ann" is acc_ann.
type door struct{ until time.Time }

func (d door) Viewer(_ context.Context, authorization string) (viewer.Viewer, time.Time, error) {
	switch authorization {
	case "":
		return viewer.Viewer{}, time.Time{}, nil
	case "Bearer ann":
		return viewer.Viewer{AccountID: "acc_ann"}, d.until, nil
	case "Bearer later":
		return viewer.Viewer{}, time.Time{}, fault.New(fault.Unavailable, "SESSIONS_UNAVAILABLE", "come back later")
	}
	return viewer.Viewer{}, time.Time{}, fault.New(fault.Unauthenticated, "TOKEN_EXPIRED", "the access token has expired")
}

type gauge struct {
	mu   sync.Mutex
	n    int
	zero chan struct{} // gets a value whenever the gauge comes back to zero
}

func (g *gauge) Inc() { g.mu.Lock(); g.n++; g.mu.Unlock() }
func (g *gauge) Dec() {
	g.mu.Lock()
	g.n--
	if g.n == 0 {
		g.zero <- struct{}{}
	}
	g.mu.Unlock()
}

// house is a served handler. When the test is over, everything that ran for it must have ended.
type house struct {
	*shop
	handler *transport.Handler
	url     string
	addr    string
	sockets *gauge
}

func open(t *testing.T, change func(*transport.Config)) house {
	t.Helper()
	before := goleak.IgnoreCurrent()
	h := house{shop: newShop(), sockets: &gauge{zero: make(chan struct{}, 1000)}}
	c := transport.Config{Executor: h.shop, Sessions: door{}, Sockets: h.sockets}
	if change != nil {
		change(&c)
	}
	h.handler = transport.New(c)
	srv := httptest.NewServer(h.handler)
	h.url, h.addr = srv.URL, srv.Listener.Addr().String()
	t.Cleanup(func() {
		if err := h.handler.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		srv.Client().CloseIdleConnections()
		srv.Close()
		goleak.VerifyNone(t, before)
	})
	return h
}

// contextThatEndsAfter makes a context that ends at the first signal.
func contextThatEndsAfter(signal <-chan string) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		select {
		case <-signal:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
