package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/wundergraph/graphql-go-tools/v2/pkg/engine/datasource/graphql_datasource"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/engine/resolve"

	"github.com/souk-shop/souk/gateway/supergraph"
	"github.com/souk-shop/souk/gateway/upstream"
	"github.com/souk-shop/souk/internal/viewer"
)

// Subscribe passes each event, as one JSON response, to event until ctx ends (nil), the subgraph completes (nil) or
// something fails (Errors, or what event returned). It runs in the caller's goroutine: one stream to the subgraph for each
// subscription, closed when Subscribe returns, and a slow client slows its own stream alone. Those who ask the same of a subscription
// that tells everybody the same share one; see broadcast.
func (e *Engine) Subscribe(ctx context.Context, op *Operation, event func(payload []byte) error) error {
	if op.Kind() != Subscription {
		return errors.New("engine: Subscribe runs subscriptions")
	}
	run := e.stream
	if e.tellsAllTheSame(op) {
		run = e.join
	}
	if err := e.mayListen(ctx, op); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return e.outcome(ctx, op, run(ctx, op, event))
}

// outcome makes what a subscription ended with what the caller may know.
func (e *Engine) outcome(ctx context.Context, op *Operation, err error) error {
	subgraph := op.document.plan.subscription.Trigger.SourceName
	switch es := (Errors)(nil); {
	case ctx.Err() != nil:
		return nil
	case err == nil || errors.Is(err, errComplete):
		return nil
	case errors.As(err, &es):
		return es
	case errors.Is(err, errSubgraph):
		if !errors.Is(err, upstream.ErrOpen) {
			e.log.WarnContext(ctx, "gateway: subgraph failed", "subgraph", subgraph, "error", err)
		}
		return unavailable(subgraph, op.rootPath())
	}
	return err
}

// stream is a subscription that has a stream of its own.
func (e *Engine) stream(ctx context.Context, op *Operation, event func([]byte) error) error {
	stream, err := contained(e.log, func() (*stream, error) { return e.open(ctx, op) })
	if err != nil {
		return err
	}
	defer stream.Close()
	return e.listen(ctx, op, stream, event)
}

// mayListen refuses, before the subgraph hears of it, a subscription to a field that the caller may not see.
func (e *Engine) mayListen(ctx context.Context, op *Operation) error {
	a := access{rules: e.rules, caller: callerOf(viewer.From(ctx))}
	for _, f := range op.document.plan.response.Data.Fields {
		if f.Info == nil {
			continue
		}
		var es Errors
		switch a.judge(f.Info.ExactParentTypeName, f.Info.Name) {
		case supergraph.Unauthenticated:
			es = failure(CodeUnauthenticated, signIn)
		case supergraph.Forbidden:
			es = failure(CodeForbidden, mayNot)
		default:
			continue
		}
		es[0].Path = op.rootPath()
		return es
	}
	return nil
}

// rootPath is the response key of a subscription's one field.
func (op *Operation) rootPath() []any {
	for _, f := range op.document.plan.response.Data.Fields {
		return []any{string(f.Name)}
	}
	return nil
}

func (e *Engine) open(ctx context.Context, op *Operation) (*stream, error) {
	var input bytes.Buffer
	trigger := &op.document.plan.subscription.Trigger
	if err := trigger.InputTemplate.Render(e.context(ctx, op), nil, &input); err != nil {
		return nil, err
	}
	var o graphql_datasource.GraphQLSubscriptionOptions
	if err := json.Unmarshal(input.Bytes(), &o); err != nil {
		return nil, err
	}
	body, err := json.Marshal(o.Body)
	if err != nil {
		return nil, err
	}
	return openStream(upstream.Named(ctx, trigger.SourceName), e.upstream, o.URL, body)
}

// listen resolves each event of a stream: what other subgraphs know about it is fetched before it is passed on. A stream that begins
// with an error and is complete after it was never there: who subscribed is refused, and not told that it is over.
func (e *Engine) listen(ctx context.Context, op *Operation, s *stream, event func([]byte) error) error {
	first, err := s.Next()
	if err != nil {
		return err
	}
	refusal := refusalIn(first)
	next, err := first, error(nil)
	if refusal != nil {
		if next, err = s.Next(); errors.Is(err, errComplete) {
			return reported(refusal)
		}
		if err := e.pass(ctx, op, first, event); err != nil {
			return err
		}
	}
	for ; err == nil; next, err = s.Next() {
		if err := e.pass(ctx, op, next, event); err != nil {
			return err
		}
	}
	return err
}

// refusalIn returns the errors of an event that has nothing else.
func refusalIn(raw []byte) Errors {
	var result struct {
		Data   json.RawMessage `json:"data"`
		Errors []Error         `json:"errors"`
	}
	if json.Unmarshal(raw, &result) != nil || len(result.Data) > 0 && string(result.Data) != "null" {
		return nil
	}
	return result.Errors
}

// pass resolves one event and passes it on.
func (e *Engine) pass(ctx context.Context, op *Operation, data []byte, event func([]byte) error) error {
	payload, err := contained(e.log, func() ([]byte, error) { return e.happen(ctx, op, data) })
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var es Errors
	if errors.As(err, &es) {
		payload, err = failed(es).body, nil
	}
	if err != nil {
		return err
	}
	return event(payload)
}

// happen completes one event.
func (e *Engine) happen(ctx context.Context, op *Operation, raw []byte) ([]byte, error) {
	var result struct {
		Data   json.RawMessage `json:"data"`
		Errors []Error         `json:"errors"`
	}
	trigger := &op.document.plan.subscription.Trigger
	if err := json.Unmarshal(raw, &result); err != nil {
		return nil, unavailable(trigger.SourceName, op.rootPath())
	}
	data := bytes.TrimSpace(result.Data)
	if len(data) == 0 || string(data) == "null" {
		data = []byte("{}")
	}
	var out bytes.Buffer
	if _, err := e.resolver.ResolveGraphQLResponse(e.context(ctx, op), op.document.plan.response, data, &out); err != nil {
		e.log.ErrorContext(ctx, "gateway: execution failed", "operation", op.Name(), "error", err)
		if unfit := (resolve.ErrMergeResult{}); errors.As(err, &unfit) {
			return nil, unavailable(unfit.Subgraph, op.rootPath())
		}
		return nil, internal()
	}
	a, err := e.finish(op, out.Bytes(), reported(result.Errors)...)
	return a.body, err
}

// reported are the errors of a subgraph's event with what clients may see of them.
func reported(es Errors) Errors {
	for i := range es {
		code := es[i].Code()
		if code == "" {
			code = CodeSubgraphError
		}
		shown := map[string]any{"code": code}
		if f, ok := es[i].Extensions["field"]; ok {
			shown["field"] = f
		}
		es[i].Extensions = shown
	}
	return slices.Clip(es)
}
