package engine

import (
	"context"
	"errors"
	"io"

	"github.com/wundergraph/graphql-go-tools/v2/pkg/engine/resolve"
)

// Subscribe passes each event, as one JSON response, to event until ctx ends (nil), the subgraph completes (nil) or
// something fails. event is called by one goroutine at a time; when it fails, the subscription ends with its error.
func (e *Engine) Subscribe(ctx context.Context, op *Operation, event func(payload []byte) error) error {
	if op.Kind() != Subscription {
		return errors.New("engine: Subscribe runs subscriptions")
	}
	return internal()
}

type asyncErrors struct{}

func (asyncErrors) WriteError(_ *resolve.Context, _ error, _ *resolve.GraphQLResponse, _ io.Writer) {
}
