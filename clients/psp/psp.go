// Package psp is what the shop asks of whoever moves its money: a payment service provider.
//
// Every request carries a key of ours. A request repeated under its key has the effect of one, and the answer of the
// first. A payment is known by the key under which it was authorised, so that it can be asked about even when the answer
// to the first request was lost.
package psp

import (
	"context"
	"errors"
	"time"

	"github.com/souk-shop/souk/internal/money"
)

// A Provider moves money. An error, whichever it is, means that nobody knows whether the request had an effect, unless
// it is one of the errors below.
type Provider interface {
	// Name says who it is, for the books.
	Name() string
	// Describe names a token for people: "Card ending in 4242". ErrToken when it is none of the provider's.
	Describe(ctx context.Context, kind, token string) (string, error)
	// Authorize has the money promised. Its key becomes the payment's.
	Authorize(ctx context.Context, a Authorization) (Answer, error)
	// Capture takes promised money, once, all or in part; the rest is let go.
	Capture(ctx context.Context, m Move) (Answer, error)
	// Void lets the payment go. One that is not known yet, or still waits for the buyer, is refused from then on. One that
	// is being decided may come out well all the same, and has to be let go again then: its record is Unknown until it is
	// decided. What is captured cannot be let go: Declined.
	Void(ctx context.Context, m Move) (Answer, error)
	// Refund gives captured money back, all or in part.
	Refund(ctx context.Context, m Move) (Answer, error)
	// Lookup tells how a payment stands in the provider's books; ErrNoPayment when it is not there.
	Lookup(ctx context.Context, payment string) (Record, error)
	// Event reads what the provider sent to the shop by itself. ErrSignature when the provider did not, or too long ago.
	Event(header func(name string) string, body []byte, now time.Time) (Event, error)
}

// The errors of a provider that leave no doubt.
var (
	ErrToken     = errors.New("psp: no such token")
	ErrNoPayment = errors.New("psp: no such payment")
	ErrSignature = errors.New("psp: the signature is missing, wrong or too old")
	ErrEvent     = errors.New("psp: the event cannot be read")
)

// An Authorization asks for the promise of money.
type Authorization struct {
	Key    string // ours, and the payment's from now on
	Token  string
	Amount money.Money
}

// A Move asks for money to be taken, let go or given back.
type Move struct {
	Key     string // ours, for this move alone
	Payment string // the key of its authorisation
	Amount  money.Money
}

// An Outcome is how a request went.
type Outcome string

// The outcomes of a request.
const (
	Unknown        Outcome = "" // not decided yet: ask again
	Approved       Outcome = "APPROVED"
	Declined       Outcome = "DECLINED"
	ActionRequired Outcome = "ACTION_REQUIRED" // of an authorisation: the buyer has to go somewhere first
)

// An Answer is what the provider says to a request.
type Answer struct {
	Outcome     Outcome
	Reference   string // the provider's own id: of the payment, or of the refund
	Code        string // why it was declined
	RedirectURL string // where the buyer has to go
}

// A Kind is what can be done with money.
type Kind string

// The kinds of moves.
const (
	Authorize Kind = "AUTHORIZE"
	Capture   Kind = "CAPTURE"
	Void      Kind = "VOID"
	Refund    Kind = "REFUND"
)

// A Record is how a payment stands in the provider's books.
type Record struct {
	Key         string
	Reference   string
	Outcome     Outcome // of its authorisation
	Code        string
	RedirectURL string
	Amount      money.Money // what was asked for
	Authorized  int64       // what was promised, in minor units
	Captured    int64
	Refunded    int64
	Voided      bool
	Refunds     []Refunded
}

// A Refunded is one time that money was given back.
type Refunded struct {
	Key       string // ours, or the provider's when it was its own doing
	Reference string
	Amount    int64
}

// Kept is what the shop has of the payment: what it was given and, as long as it can still take it, what it was promised.
func (r Record) Kept() int64 {
	kept := r.Captured - r.Refunded
	if r.Captured == 0 && !r.Voided {
		kept += r.Authorized
	}
	return kept
}

// An Event is something that the provider tells by itself. It may be told again, and later than what came after it. That a
// payment was let go is told of one that was promised.
type Event struct {
	ID        string
	Kind      Kind
	Success   bool
	Payment   string // our key, "" if the provider does not say
	Reference string // the provider's id of the payment
	Move      string // the key of the move, "" if the provider does not say
	Code      string // why it failed
	Amount    *money.Money
}
