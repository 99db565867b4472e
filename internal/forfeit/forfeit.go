// Package forfeit is how a subgraph tells the gateway that a caller's proof was wrong: a header beside the answer, since the answer has
// what the caller chose to see. The gateway charges the caller for it.
package forfeit

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
)

// Header carries the code of the refusal from a subgraph to the gateway, once for each.
const Header = "Souk-Forfeit"

type (
	sayKey  struct{}
	hearKey struct{}
)

type voice struct {
	mu sync.Mutex
	h  http.Header
}

// Handler lets what runs inside it Say.
func Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), sayKey{}, &voice{h: w.Header()})))
	})
}

// Say tells the gateway of a proof that was refused, with the code of the refusal. It is for resolvers of mutations, which end before
// their answer begins.
func Say(ctx context.Context, code string) {
	if v, ok := ctx.Value(sayKey{}).(*voice); ok {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.h.Add(Header, code)
	}
}

// Heard counts the proofs of one operation that subgraphs refused.
type Heard struct{ n atomic.Int64 }

// Listen returns a context under which requests to subgraphs are listened to.
func Listen(ctx context.Context) (context.Context, *Heard) {
	h := &Heard{}
	return context.WithValue(ctx, hearKey{}, h), h
}

// Hear notes what a subgraph said beside an answer to a request with this context.
func Hear(ctx context.Context, said http.Header) {
	if n := len(said[Header]); n > 0 {
		if h, ok := ctx.Value(hearKey{}).(*Heard); ok {
			h.n.Add(int64(n))
		}
	}
}

// Take returns how many there are that nobody has taken.
func (h *Heard) Take() int { return int(h.n.Swap(0)) }
