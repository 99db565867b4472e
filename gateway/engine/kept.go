package engine

import (
	"time"

	"github.com/souk-shop/souk/internal/viewer"
)

const (
	mostKept    = 1_000     // answers
	largestKept = 256 << 10 // bytes of one
)

// A kept answer is one that anybody may have until it is too old.
type kept struct {
	body  []byte
	until time.Time
}

func (k *kept) bytes() int { return len(k.body) + 256 }

// mayKeep tells whether an answer to this caller may be given to others who ask the same: guests get what guests get. What somebody
// who is signed in sees may be more than the schema lets on, such as a seller's drafts, and is never kept.
func mayKeep(op *Operation, who viewer.Viewer) bool {
	return op.MaxAge() > 0 && !who.SignedIn() && len(who.Scopes) == 0
}

// recall returns an answer that was kept under a key, if it is not too old.
func (e *Engine) recall(key digest) (answer, bool) {
	k, ok := e.answers.entries.Get(key)
	switch {
	case !ok:
	case e.clock.Now().Before(k.until):
		e.answers.hits.Inc()
		return answer{body: k.body, until: k.until, kept: true}, true
	default:
		e.answers.entries.Remove(key)
	}
	e.answers.misses.Inc()
	return answer{}, false
}

// keep keeps an answer that has no errors.
func (e *Engine) keep(key digest, a answer, maxAge time.Duration) answer {
	if len(a.errors) > 0 {
		return a
	}
	a.until = e.clock.Now().Add(maxAge)
	if len(a.body) <= largestKept {
		e.answers.entries.Remove(key) // or its bytes would count twice
		e.answers.add(key, &kept{body: a.body, until: a.until})
	}
	return a
}
