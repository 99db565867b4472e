package fake

import (
	"context"
	"regexp"

	"github.com/souk-shop/souk/clients/psp"
)

// The tokens of the cards: tok_ and the last four digits.
const (
	Succeeds    = "tok_4242"
	IsDeclined  = "tok_0002"
	NeedsAction = "tok_3220" // the buyer has to confirm
	IsSlow      = "tok_0069" // succeeds after 3 s
	IsSilent    = "tok_0044" // never answers, unless it is told to
)

// moment is when a card is decided.
type moment int

const (
	now moment = iota
	soon
	never
)

func cards(token string) (psp.Outcome, string, moment) {
	switch token {
	case Succeeds:
		return psp.Approved, "", now
	case IsDeclined:
		return psp.Declined, "card_declined", now
	case NeedsAction:
		return psp.ActionRequired, "", now
	case IsSlow:
		return psp.Unknown, "", soon
	case IsSilent, "": // without a token it is a payment that was let go before it came
		return psp.Unknown, "", never
	}
	return psp.Declined, "invalid_token", now
}

var tokens = regexp.MustCompile(`^tok_[0-9]{4}$`)

var kinds = map[string]string{"CARD": "Card", "UPI": "UPI account", "WALLET": "Wallet", "NET_BANKING": "Bank account"}

// Describe names a token for people.
func (*Provider) Describe(_ context.Context, kind, token string) (string, error) {
	return describe(kind, token)
}

func describe(kind, token string) (string, error) {
	if !tokens.MatchString(token) || kinds[kind] == "" {
		return "", psp.ErrToken
	}
	return kinds[kind] + " ending in " + token[4:], nil
}
