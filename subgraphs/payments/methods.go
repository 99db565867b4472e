package payments

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"github.com/souk-shop/souk/clients/psp"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
)

const mostMethods = 50 // of one account

// The refusals of a payment method. None repeats the token: it might be something that must not be written down.
var (
	ErrCardNumber = fault.New(fault.Invalid, "INVALID", "this looks like a card number; send the token that the provider's form gives").At("input", "token")
	ErrToken      = fault.New(fault.Invalid, "INVALID", "the provider does not know this token").At("input", "token")
	ErrTooMany    = fault.New(fault.Invalid, "INVALID", "an account keeps at most 50 payment methods")
)

// cardNumber is 13 digits or more, of any script, with whatever people write between them.
var cardNumber = regexp.MustCompile(`(?:\p{Nd}[^\p{L}\p{Nd}]*){13}`)

// AddMethod keeps a way to pay. The same token twice is one method.
func (ps *Payments) AddMethod(ctx context.Context, who viewer.Viewer, token string, kind MethodKind, isDefault bool) (Method, error) {
	token = strings.TrimSpace(token)
	switch {
	case !who.SignedIn():
		return Method{}, ErrUnauthenticated
	case cardNumber.MatchString(token):
		return Method{}, ErrCardNumber
	case token == "" || len(token) > 200:
		return Method{}, ErrToken
	}
	label, err := ps.provider.Describe(ctx, string(kind), token)
	if errors.Is(err, psp.ErrToken) {
		return Method{}, ErrToken
	}
	if err != nil {
		return Method{}, fault.New(fault.Unavailable, "PROVIDER_DOWN", "the payment provider does not answer right now")
	}
	return ps.store.AddMethod(ctx, Method{
		ID: id.New(id.PaymentMethod), AccountID: who.AccountID, Provider: ps.provider.Name(), Token: token, Kind: kind, Label: label,
		Default: isDefault, CreatedAt: ps.clock.Now(),
	}, mostMethods)
}
