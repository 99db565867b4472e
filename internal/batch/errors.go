package batch

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/souk-shop/souk/internal/fault"
)

var (
	// ErrFull is what a Refusal is when too many are waiting.
	ErrFull = fault.New(fault.Unavailable, "TOO_MANY_WAITING", "too many requests are waiting, please try again in a moment")

	// ErrClosed is what a Refusal is when the group is shutting down, and what those still waiting get
	// when the time for shutting down is over. Their requests did not run.
	ErrClosed = fault.New(fault.Unavailable, "SHUTTING_DOWN", "this server is shutting down, please try again in a moment")

	// ErrUndecided is for requests whose batch ended before they were decided: out of time, or out of runs.
	// Whether they took effect is unknown, so ask again with the same idempotency key.
	ErrUndecided = fault.New(fault.Unavailable, "UNDECIDED", "the request was not decided in time, please try again")
)

// A Reason says why a request was not let in.
type Reason string

const (
	KeyFull   Reason = "key_full"   // Depth requests are waiting under the same key
	GroupFull Reason = "group_full" // TotalDepth requests are waiting
	Closed    Reason = "closed"     // the group is shutting down
)

// A Refusal is the answer to a request that was not let in: a fault.Unavailable that says when to come back.
type Refusal struct {
	Reason    Reason
	PollAfter time.Time // when there should be room, spread so that not all return at once
}

// Error returns the message for people.
func (r *Refusal) Error() string { return r.Unwrap().Error() }

// Unwrap returns ErrFull or ErrClosed.
func (r *Refusal) Unwrap() error {
	if r.Reason == Closed {
		return ErrClosed
	}
	return ErrFull
}

// A PanicError is the answer to a request that makes run panic, even alone.
type PanicError struct {
	Value any
	Stack []byte
}

// Error tells what the panic said; the stack is for the log.
func (e *PanicError) Error() string { return fmt.Sprintf("batch: run panicked: %v", e.Value) }

// Unwrap returns the error that run panicked with, if it was one.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

const (
	soonest = 50 * time.Millisecond
	latest  = 10 * time.Second
)

// after returns a time to come back: wait from now within bounds, or up to half as much again.
func after(wait time.Duration) time.Time {
	wait = min(max(wait, soonest), latest)
	return time.Now().Add(wait + rand.N(wait/2))
}
