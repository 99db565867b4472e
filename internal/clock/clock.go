// Package clock is time that tests can hold.
package clock

import (
	"sync"
	"time"
)

// A Clock tells the time. The zero rules of the shop use UTC and microseconds, what PostgreSQL keeps.
type Clock interface{ Now() time.Time }

// System is the machine's clock.
var System Clock = system{}

type system struct{}

func (system) Now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// A Held clock stands still until it is moved.
type Held struct {
	mu  sync.Mutex
	now time.Time
}

// Hold returns a clock that stands at now.
func Hold(now time.Time) *Held { return &Held{now: now.UTC().Truncate(time.Microsecond)} }

// Now returns the time the clock was last set to.
func (h *Held) Now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

// Advance moves the clock on.
func (h *Held) Advance(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}
