package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/souk-shop/souk/gateway/engine"
	"github.com/souk-shop/souk/gateway/transport"
)

// PlanHeader asks for the query plan in the answer's extensions, as the query parameter ?plan does; in development only.
const PlanHeader = "Souk-Plan"

type explainKey struct{}

// explaining notes in the context that the caller wants to see the plan.
func (g *Gateway) explaining(next http.Handler) http.Handler {
	if !g.config.Development {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(PlanHeader) != "" || r.URL.Query().Has("plan") {
			r = r.WithContext(context.WithValue(r.Context(), explainKey{}, true))
		}
		next.ServeHTTP(w, r)
	})
}

// explained returns a reply that puts the plan into the first result, if the caller wants to see it.
func explained(ctx context.Context, op *engine.Operation, to transport.Reply) transport.Reply {
	if ctx.Value(explainKey{}) == nil {
		return to
	}
	return &extender{Reply: to, name: "plan", value: op.Plan()}
}

// An extender adds one entry to the extensions of the first result.
type extender struct {
	transport.Reply
	name  string
	value json.RawMessage // nil once it was shown
}

// Keep says nothing: an answer with something added is this caller's.
func (x *extender) Keep(time.Duration) {}

func (x *extender) Next(result []byte, more bool) error {
	if x.value != nil {
		result = withExtension(result, x.name, x.value)
		x.value = nil
	}
	return x.Reply.Next(result, more)
}

// withExtension adds one entry to a result's extensions; a result that is not an object stays as it is.
func withExtension(result []byte, name string, value json.RawMessage) []byte {
	var entries, extensions map[string]json.RawMessage
	if json.Unmarshal(result, &entries) != nil || entries == nil {
		return result
	}
	if had, ok := entries["extensions"]; ok && json.Unmarshal(had, &extensions) != nil {
		return result
	}
	if extensions == nil {
		extensions = map[string]json.RawMessage{}
	}
	extensions[name] = value
	var err error
	if entries["extensions"], err = json.Marshal(extensions); err != nil {
		return result
	}
	extended, err := json.Marshal(entries)
	if err != nil {
		return result
	}
	return extended
}
