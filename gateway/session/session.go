// Package session turns an Authorization header into the viewer of a request.
//
// Access tokens are JSON Web Tokens (RFC 7519) that the accounts subgraph signs with Ed25519. They live for minutes and are
// not asked about anywhere: who signs out keeps an access token that works until it expires, and gets no new one.
package session

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/viewer"
)

// Issuer is the iss claim of our access tokens.
const Issuer = "souk"

const (
	longest    = 4 << 10         // bytes of a token
	remembered = 10_000          // verified tokens
	leeway     = 5 * time.Second // between the clock that signed and ours
)

// The ways in which a caller is not let in. All but ErrUnavailable are the caller's to mend, by signing in or refreshing.
var (
	ErrScheme      = fault.New(fault.Unauthenticated, "TOKEN_SCHEME", `the Authorization header must be "Bearer" and an access token`)
	ErrExpired     = fault.New(fault.Unauthenticated, "TOKEN_EXPIRED", "the access token has expired: refresh it and try again")
	ErrInvalid     = fault.New(fault.Unauthenticated, "TOKEN_INVALID", "the access token is not one of ours")
	ErrUnavailable = fault.New(fault.Unavailable, "TOKEN_UNCHECKED", "access tokens cannot be checked at the moment")
)

// ErrUnknownKey is a KeySource's answer for a key that does not exist.
var ErrUnknownKey = errors.New("unknown key")

// A KeySource has the public keys with which tokens are verified, by key id.
type KeySource interface {
	// Key returns the key, ErrUnknownKey, or another error when it cannot tell now.
	Key(ctx context.Context, id string) (ed25519.PublicKey, error)
}

// Sessions verifies access tokens and remembers those it has verified. It is safe for concurrent use.
type Sessions struct {
	keys     KeySource
	clock    clock.Clock
	verified *lru.Cache[[sha256.Size]byte, session]
}

type session struct {
	viewer  viewer.Viewer
	expires time.Time
}

// New returns Sessions that trust the keys.
func New(keys KeySource, c clock.Clock) *Sessions {
	verified, _ := lru.New[[sha256.Size]byte, session](remembered) // fails for a size below 1 alone
	return &Sessions{keys: keys, clock: c, verified: verified}
}

type claims struct {
	jwt.RegisteredClaims
	Session string   `json:"sid"`
	Seller  string   `json:"seller"`
	Scopes  []string `json:"scopes"`
}

// Viewer returns who an Authorization header speaks for and until when. No header is a guest, for ever; a header that is
// not in order is an error, never a guest.
func (s *Sessions) Viewer(ctx context.Context, authorization string) (viewer.Viewer, time.Time, error) {
	if authorization == "" {
		return viewer.Viewer{}, time.Time{}, nil
	}
	token, ok := tokenOf(authorization)
	if !ok {
		return viewer.Viewer{}, time.Time{}, ErrScheme
	}
	if len(token) > longest {
		return viewer.Viewer{}, time.Time{}, ErrInvalid
	}
	digest := sha256.Sum256([]byte(token)) // so that no token lies about in memory
	known, ok := s.verified.Get(digest)
	if !ok {
		var err error
		if known, err = s.verify(ctx, token); err != nil {
			return viewer.Viewer{}, time.Time{}, err
		}
		s.verified.Add(digest, known)
	}
	if !s.clock.Now().Before(known.expires) {
		s.verified.Remove(digest)
		return viewer.Viewer{}, time.Time{}, ErrExpired
	}
	return known.viewer, known.expires, nil
}

// Known returns who a header speaks for if its token was verified before and still holds; it verifies nothing.
func (s *Sessions) Known(authorization string) (viewer.Viewer, bool) {
	token, ok := tokenOf(authorization)
	if !ok || len(token) > longest {
		return viewer.Viewer{}, false
	}
	known, ok := s.verified.Get(sha256.Sum256([]byte(token)))
	return known.viewer, ok && s.clock.Now().Before(known.expires)
}

func tokenOf(authorization string) (token string, ok bool) {
	scheme, token, _ := strings.Cut(authorization, " ")
	token = strings.TrimSpace(token)
	return token, strings.EqualFold(scheme, "Bearer") && token != ""
}

// verify takes 60 µs, most of it for the signature.
func (s *Sessions) verify(ctx context.Context, token string) (session, error) {
	var unavailable error
	key := func(t *jwt.Token) (any, error) {
		id, _ := t.Header["kid"].(string)
		key, err := s.keys.Key(ctx, id)
		if err != nil && !errors.Is(err, ErrUnknownKey) {
			unavailable = err
		}
		return key, err
	}
	var c claims
	_, err := jwt.ParseWithClaims(token, &c, key, jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}),
		jwt.WithIssuer(Issuer), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway), jwt.WithTimeFunc(s.clock.Now))
	switch {
	case unavailable != nil:
		return session{}, ErrUnavailable
	case errors.Is(err, jwt.ErrTokenExpired) && !errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return session{}, ErrExpired
	case err != nil || c.Subject == "":
		return session{}, ErrInvalid
	}
	return session{
		viewer:  viewer.Viewer{AccountID: c.Subject, SessionID: c.Session, SellerID: c.Seller, Scopes: c.Scopes},
		expires: c.ExpiresAt.Time,
	}, nil
}
