// Package history judges what clients of a flash sale were told: whether some sequence of single steps, each at a moment between
// question and answer, explains all of it under the rules of a sale. Who has no answer may have been heard at any time, or never.
package history

import (
	"math"
	"sync"
	"time"

	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/subgraphs/flashsale"
)

// A Kind is what an operation asks for.
type Kind string

// The kinds of operation. Those below look and change nothing, but for Sweep, which ends what is due.
const (
	Book    Kind = "BOOK"
	Release Kind = "RELEASE"
	Pay     Kind = "PAY"     // an order begins to pay
	Confirm Kind = "CONFIRM" // it has paid
	Decline Kind = "DECLINE" // it will not
	Cancel  Kind = "CANCEL"  // it had paid, and was cancelled
	Sweep   Kind = "SWEEP"
	Look    Kind = "LOOK"   // at one booking
	Count   Kind = "COUNT"  // the units
	Census  Kind = "CENSUS" // all bookings there ever were, and the units
)

// What buyers ask the whole shop for. The shop pays, confirms, declines and cancels by itself then, when it comes to it.
const (
	Checkout    Kind = "CHECKOUT"
	CancelOrder Kind = "CANCEL_ORDER"
)

// An Input is the question of an operation.
type Input struct {
	Kind    Kind
	Account string
	Variant string
	Key     string // of a Book
	Booking string // of all that concern one
	Order   string // of all that concern one; of a Checkout whatever names its order, such as its key
}

// What an operation was answered, where it is not the code of a refusal.
const (
	OK            = "OK"
	SoldOut       = "SOLD_OUT"
	AlreadyBooked = "ALREADY_BOOKED"
	Busy          = "BUSY" // nothing was tried

	Placed         = "PLACED"
	PaymentFailed  = "PAYMENT_FAILED"
	ActionRequired = "ACTION_REQUIRED"
	OutOfStock     = "OUT_OF_STOCK" // the booking ended before it could be sold
)

// An Output is the answer to an operation.
type Output struct {
	Code   string
	Shown  *flashsale.Booking  // the booking, as the answer shows it
	Public bool                // what is shown is what buyers see: nothing of its order, and of its key what they know
	Status string              // of the booking, where the answer shows no more of it; of the order, for a Checkout and a CancelOrder
	Ends   time.Time           // until when a booking is kept, where the answer says so
	Held   int                 // of the variant, when it is sold out
	Counts []flashsale.Offer   // of a Count and a Census
	All    []flashsale.Booking // of a Census
	Log    []Moved             // of a Census: in what order the sale says that units moved, which is a suggestion and no more
}

// A Moved is one line of a sale's log.
type Moved struct {
	Booking string
	Kind    flashsale.Kind
}

// Never is when an operation returned whose outcome is unknown.
const Never = time.Duration(math.MaxInt64)

// An Operation is one question with its answer, and when these were.
type Operation struct {
	Client int
	Input
	Output
	Call, Return  time.Duration // since the recorder began
	Before, After time.Time     // by the shop's clock: at or before what it was at the call, at or after what it was at the return
}

// Known tells whether the operation was answered.
func (o Operation) Known() bool { return o.Return != Never }

// A Recorder writes operations down. Any number of clients may use it at once.
type Recorder struct {
	began time.Time
	clock clock.Clock
	mu    sync.Mutex
	ops   []Operation
}

// NewRecorder returns a recorder that reads the clock by which the sale runs.
func NewRecorder(c clock.Clock) *Recorder { return &Recorder{began: time.Now(), clock: c} }

// Begin notes that a client asks. The function returned notes the answer, or with nil that there will be none.
func (r *Recorder) Begin(client int, in Input) func(*Output) {
	op := Operation{Client: client, Input: in, Before: r.clock.Now(), Call: time.Since(r.began)}
	return func(out *Output) {
		op.Return, op.After = time.Since(r.began), r.clock.Now()
		if out == nil {
			op.Return = Never
		} else {
			op.Output = *out
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ops = append(r.ops, op)
	}
}

// Operations returns what was recorded so far.
func (r *Recorder) Operations() []Operation {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Operation(nil), r.ops...)
}
