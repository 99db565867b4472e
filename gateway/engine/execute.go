package engine

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/wundergraph/astjson"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/engine/resolve"
	"golang.org/x/sync/singleflight"

	"github.com/souk-shop/souk/internal/viewer"
)

// Result says how an execution went.
type Result struct {
	Errors       Errors // as sent to the client
	Deduplicated bool   // the answer was made for somebody who asked the same at the same time
	Kept         bool   // … or some time ago

	// MaxAge says for how long from now anybody may keep the answer; 0 is not at all.
	MaxAge time.Duration
}

// HasErrors tells whether the response carries errors.
func (r Result) HasErrors() bool { return len(r.Errors) > 0 }

// flights lets callers who are the same, and ask the same at the same time, share one execution.
type flights struct{ singleflight.Group }

type answer struct {
	body   []byte
	errors Errors
	until  time.Time // anybody may keep it; zero is not at all
	kept   bool      // it was
}

// Execute runs a query or a mutation and writes one JSON response, errors included. It fails only when nothing was
// written: the context has ended, or the operation is of another kind.
func (e *Engine) Execute(ctx context.Context, op *Operation, w io.Writer) (Result, error) {
	var (
		a   answer
		r   Result
		err error
	)
	switch {
	case op.Kind() == Subscription || op.Deferred():
		return r, errors.New("engine: Execute runs operations that have one response")
	case op.Kind() == Query:
		a, r.Deduplicated, err = e.share(ctx, op)
	default:
		a, err = e.respond(ctx, op)
	}
	if err != nil {
		return r, err
	}
	r.Errors, r.Kept = a.errors, a.kept
	if !a.until.IsZero() {
		r.MaxAge = max(0, a.until.Sub(e.clock.Now()))
	}
	_, err = w.Write(a.body)
	return r, err
}

// share runs a query, or joins one already under way, or has its answer from before. The execution does not end with the request that began it, since
// others may be waiting for its answer; the deadlines of its fetches bound it.
func (e *Engine) share(ctx context.Context, op *Operation) (answer, bool, error) {
	who := viewer.From(ctx)
	key := digestOf(strconv.FormatUint(op.document.plan.id, 16), callerOf(who).fingerprint, string(op.variables))
	keeps := mayKeep(op, who)
	if keeps {
		if a, ok := e.recall(key); ok {
			return a, false, nil
		}
	}
	done := e.flights.DoChan(string(key[:]), func() (any, error) {
		a, err := e.respond(context.WithoutCancel(ctx), op)
		if err == nil && keeps {
			a = e.keep(key, a, op.MaxAge())
		}
		return a, err
	})
	select {
	case <-ctx.Done():
		return answer{}, false, ctx.Err()
	case r := <-done:
		a, _ := r.Val.(answer)
		return a, r.Shared, r.Err
	}
}

func (e *Engine) respond(ctx context.Context, op *Operation) (answer, error) {
	a, err := contained(e.log, func() (answer, error) {
		var out bytes.Buffer
		rc := e.context(ctx, op)
		// The library's own sharing of whole requests is off: a leader that ends badly leaves its followers waiting.
		rc.ExecutionOptions.DisableInboundRequestDeduplication = true
		if _, err := e.resolver.ArenaResolveGraphQLResponse(rc, op.document.plan.response, &out); err != nil {
			if ctx.Err() != nil {
				return answer{}, ctx.Err()
			}
			e.log.ErrorContext(ctx, "gateway: execution failed", "operation", op.Name(), "error", err)
			if unfit := (resolve.ErrMergeResult{}); errors.As(err, &unfit) {
				return failed(unavailable(unfit.Subgraph, nil)), nil // it answered something that fits nowhere
			}
			return failed(internal()), nil
		}
		return e.finish(op, out.Bytes())
	})
	if err == nil || ctx.Err() != nil {
		return a, err
	}
	return failed(internal()), nil
}

// context makes what the library needs to run an operation once.
func (e *Engine) context(ctx context.Context, op *Operation) *resolve.Context {
	rc := resolve.NewContext(ctx)
	rc.Variables = astjson.MustParseBytes(op.variables)
	rc.RemapVariables = op.document.names
	rc.Request.ID = op.document.plan.id
	c := callerOf(viewer.From(ctx))
	rc.SubgraphHeadersBuilder = c
	rc.SetPreFetchFieldAuthorizer(access{rules: e.rules, caller: c})
	// Fetches are shared between queries alone: after a write, or on an event, an answer to a question that was asked
	// before would be a stale one.
	// And only where a caller who leaves does not take the answer along.
	rc.ExecutionOptions.DisableSubgraphRequestDeduplication = op.Kind() != Query || op.Deferred()
	return rc
}
