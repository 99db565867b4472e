// Package gate joins two checks at the door of a sale: work that a machine has done, and a company's word that the visitor is a person.
//
// The caller sends the proofs in one text, separated by commas: the payload of ALTCHA's widget as it is, and a token of the company's
// widget after "turnstile:". The page must give the second widget the sale's id as its action and the account's id as its data, so that a
// token is good for nobody else.
package gate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/souk-shop/souk/clients/turnstile"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/subgraphs/flashsale"
)

// Prefix begins the proof of a person.
const Prefix = "turnstile:"

// Visitors tell people from machines; a turnstile.Client does.
type Visitors interface {
	// Verify returns what a token says, once. The error is a turnstile.Refusal, turnstile.ErrAway, or the context's. Remote is the
	// visitor's address, "" where it is not known.
	Verify(ctx context.Context, token, remote string) (turnstile.Verdict, error)
}

// A Policy says which proofs it takes.
type Policy string

// The policies.
const (
	// Either takes one proof, whichever the caller has. While the company is away, work is the way in.
	Either Policy = "either"
	// Both takes work and a person's token. While the company is away work is enough, and the log says so: a sale does not end because
	// somebody else's servers do, and an account has its share of units whatever it has proved.
	Both Policy = "both"
)

// Gate is a Challenger that takes more than work.
type Gate struct {
	work     flashsale.Challenger
	visitors Visitors
	policy   Policy
	log      *slog.Logger
}

var _ flashsale.Challenger = (*Gate)(nil)

// New returns a Gate.
func New(work flashsale.Challenger, visitors Visitors, p Policy, log *slog.Logger) (*Gate, error) {
	if p != Either && p != Both {
		return nil, fmt.Errorf("%q is no policy: either or both", p)
	}
	return &Gate{work: work, visitors: visitors, policy: p, log: log}, nil
}

// Issue sets work.
func (g *Gate) Issue(saleID, accountID string, difficulty int, now time.Time) (flashsale.Challenge, error) {
	return g.work.Issue(saleID, accountID, difficulty, now)
}

// Verify returns nil once for proofs that are enough. The token is asked about first, as what it costs is Cloudflare's.
func (g *Gate) Verify(ctx context.Context, saleID, accountID, payload string, now time.Time) error {
	solution, token := split(payload)
	switch {
	case g.policy == Either && token == "":
		return g.work.Verify(ctx, saleID, accountID, solution, now)
	case g.policy == Either:
		err := g.person(ctx, saleID, accountID, token)
		if errors.Is(err, turnstile.ErrAway) {
			if solution != "" {
				return g.work.Verify(ctx, saleID, accountID, solution, now)
			}
			return errAway
		}
		return err
	case token == "":
		return failed("a token of Turnstile's widget is missing: send it after " + Prefix)
	case solution == "":
		return failed("the solution of the challenge is missing")
	}
	if err := g.person(ctx, saleID, accountID, token); errors.Is(err, turnstile.ErrAway) {
		g.log.WarnContext(ctx, "flashsale: work alone opens the door, since Turnstile cannot be asked", "error", err)
	} else if err != nil {
		return err
	}
	return g.work.Verify(ctx, saleID, accountID, solution, now)
}

var errAway = fault.New(fault.Unavailable, "UNAVAILABLE", "Turnstile cannot be asked at the moment: solve the challenge instead")

// person returns nil when a token says that this account's visitor is a person, here for this sale.
func (g *Gate) person(ctx context.Context, saleID, accountID, token string) error {
	verdict, err := g.visitors.Verify(ctx, token, "")
	var refusal *turnstile.Refusal
	switch {
	case errors.As(err, &refusal) && refusal.Used():
		return failed("the token of Turnstile was used before, or is too old")
	case errors.As(err, &refusal):
		return failed("the token is not one of Turnstile's")
	case err != nil:
		return err
	case verdict.Action != saleID:
		return failed("the token of Turnstile is for another sale: its action has to be the sale's id")
	case verdict.Data != accountID:
		return failed("the token of Turnstile is another account's: its data has to be the account's id")
	}
	return nil
}

// split takes the proofs apart; of two of a kind the last counts.
func split(payload string) (solution, token string) {
	for part := range strings.SplitSeq(payload, ",") {
		if t, ok := strings.CutPrefix(part, Prefix); ok {
			token = t
		} else if part != "" {
			solution = part
		}
	}
	return solution, token
}

func failed(why string) error { return flashsale.ErrChallengeFailed.Says("%s", why) }
