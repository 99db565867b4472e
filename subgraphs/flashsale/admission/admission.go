// Package admission turns the right to book in a sale into a token that its buyer carries, and back.
//
// A token is a JSON Web Token (RFC 7519) signed with HMAC-SHA256: the processes that check it are those that sign it. It says for which
// ticket, account and sale, and until when. Whether it was used before is the ticket's to say, in the database.
package admission

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/souk-shop/souk/subgraphs/flashsale"
)

const (
	issuer = "souk/flashsale"
	// kind stands in the header (RFC 8725, 3.11), so that no token for something else passes for an admission.
	kind    = "flashsale-admission+jwt"
	longest = 2 << 10 // bytes of a token
)

// Tokens signs and checks admissions.
type Tokens struct {
	signing signingKey
	known   map[string][]byte // by key id
}

type signingKey struct {
	id  string
	key []byte
}

var _ flashsale.Tokens = (*Tokens)(nil)

// New returns Tokens that sign with the first secret and accept what any of them signed.
func New(secrets ...[]byte) *Tokens {
	t := &Tokens{known: map[string][]byte{}}
	for i, key := range secrets {
		s := signingKey{id: keyID(key), key: key}
		t.known[s.id] = key
		if i == 0 {
			t.signing = s
		}
	}
	return t
}

// keyID names a secret without telling it.
func keyID(key []byte) string {
	sum := sha256.Sum256(append([]byte("souk admission key id\x00"), key...))
	return base64.RawURLEncoding.EncodeToString(sum[:6])
}

// Sign makes the token of an admission.
func (t *Tokens) Sign(a flashsale.Admission) (string, error) {
	if a.TicketID == "" || a.SaleID == "" || a.AccountID == "" || a.ExpiresAt.IsZero() {
		return "", errors.New("admission: it says not all it has to")
	}
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
		Issuer: issuer, Audience: jwt.ClaimStrings{a.SaleID}, Subject: a.AccountID, ID: a.TicketID, ExpiresAt: jwt.NewNumericDate(a.ExpiresAt),
	})
	token.Header["kid"], token.Header["typ"] = t.signing.id, kind
	return token.SignedString(t.signing.key)
}

// Check returns the admission of a token that was signed for this account and sale and has not run out.
func (t *Tokens) Check(token, saleID, accountID string, now time.Time) (flashsale.Admission, error) {
	if len(token) > longest {
		return flashsale.Admission{}, refused("the admission is not one of ours")
	}
	var c jwt.RegisteredClaims
	_, err := jwt.ParseWithClaims(token, &c, t.key, jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithIssuer(issuer),
		jwt.WithExpirationRequired(), jwt.WithStrictDecoding(), jwt.WithTimeFunc(func() time.Time { return now }))
	switch {
	case errors.Is(err, jwt.ErrTokenExpired) && !errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return flashsale.Admission{}, refused("the admission has run out")
	case err != nil || c.ID == "" || c.Subject == "" || len(c.Audience) != 1:
		return flashsale.Admission{}, refused("the admission is not one of ours")
	case c.Audience[0] != saleID:
		return flashsale.Admission{}, refused("the admission is for another sale")
	case c.Subject != accountID:
		return flashsale.Admission{}, refused("the admission is another account's")
	}
	return flashsale.Admission{TicketID: c.ID, SaleID: saleID, AccountID: accountID, ExpiresAt: c.ExpiresAt.UTC()}, nil
}

// key finds the secret that a token names. What else its header says decides nothing.
func (t *Tokens) key(token *jwt.Token) (any, error) {
	id, _ := token.Header["kid"].(string)
	key, ok := t.known[id]
	if !ok || token.Header["typ"] != kind {
		return nil, errors.New("signed by nobody known")
	}
	return key, nil
}

func refused(why string) error { return flashsale.ErrNotAdmitted.Says("%s", why) }
