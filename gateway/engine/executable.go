package engine

import (
	"encoding/binary"
	"fmt"
	"log/slog"

	"github.com/wundergraph/graphql-go-tools/v2/pkg/engine/plan"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/engine/resolve"
)

// An executable is a plan in one of its three forms; it is read by many requests at once and never
// written, its description apart.
type executable struct {
	id           uint64
	size         int                           // of the operation's text
	response     *resolve.GraphQLResponse      // always: the shape of the answer
	incremental  *resolve.GraphQLDeferResponse // for @defer
	subscription *resolve.GraphQLSubscription  // for subscriptions
	description  description
	log          *slog.Logger
}

func newExecutable(p plan.Plan, text, name string, log *slog.Logger) (*executable, error) {
	key := digestOf(text, name)
	x := &executable{id: binary.LittleEndian.Uint64(key[:]), size: len(text), log: log}
	switch p := p.(type) {
	case *plan.SynchronousResponsePlan:
		x.response = p.Response
	case *plan.DeferResponsePlan:
		x.response, x.incremental = p.Response.Response, p.Response
		parallelise(p.Response.DeferTree)
	case *plan.SubscriptionResponsePlan:
		x.response, x.subscription = p.Response.Response, p.Response
	default:
		return nil, fmt.Errorf("the planner made a %T", p)
	}
	x.guardFetches()
	return x, nil
}

// bytes is a rough measure: a plan is some times as large as the text of its operation.
func (x *executable) bytes() int { return 50*x.size + 8_192 }

func (x *executable) deferred() bool { return x.incremental != nil }
