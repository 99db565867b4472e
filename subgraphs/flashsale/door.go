package flashsale

import (
	"context"
	"errors"
	"time"

	"github.com/souk-shop/souk/internal/fault"
)

// A Challenge is work that a client has to have done before it may join a waiting room, in the words of ALTCHA: to find the number,
// up to MaxNumber, that hashes with the salt to the challenge.
type Challenge struct {
	Algorithm string
	Challenge string
	Salt      string
	Signature string
	MaxNumber int64
	ExpiresAt time.Time
}

// An Admission is the right of an account to book in a sale, once and for a short time. The ticket says whether it still holds.
type Admission struct {
	TicketID  string
	SaleID    string
	AccountID string
	ExpiresAt time.Time
}

// A Challenger sets work, and tells whether it was done.
type Challenger interface {
	// Issue sets an account work for joining a sale; the difficulty is how many numbers there are to try.
	Issue(saleID, accountID string, difficulty int, now time.Time) (Challenge, error)
	// Verify returns nil once for a challenge of this account and sale that was solved in time, and ErrChallengeFailed otherwise.
	Verify(ctx context.Context, saleID, accountID, payload string, now time.Time) error
}

// Tokens turn admissions into something to carry, and back.
type Tokens interface {
	Sign(a Admission) (string, error)
	// Check returns the admission of a token that was signed for this account and sale and has not run out; ErrNotAdmitted otherwise.
	Check(token, saleID, accountID string, now time.Time) (Admission, error)
}

// The refusals at the door.
var (
	ErrChallengeFailed = fault.New(fault.Conflict, "CHALLENGE_FAILED", "the challenge is not solved, not yours, run out or used before").At("input", "solution")
	ErrNotAdmitted     = fault.New(fault.Conflict, "NOT_ADMITTED", "it takes an admission from the waiting room that is yours, unused and not run out").At("input", "admissionToken")
)

// WrongProof returns the code of an error that says that a caller came without the proof it takes. An honest one does so once in a while,
// when it came too late; who does it again and again tries his luck.
func WrongProof(err error) (code string, ok bool) {
	for _, e := range []*fault.Error{ErrChallengeFailed, ErrNotAdmitted} {
		if errors.Is(err, e) {
			return e.Code, true
		}
	}
	return "", false
}
