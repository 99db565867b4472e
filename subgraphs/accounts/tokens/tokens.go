// Package tokens makes access tokens and publishes the keys to check them with.
//
// A token is a JSON Web Token (RFC 7519) signed with Ed25519 (RFC 8037); the keys are a JSON Web Key Set (RFC 7517).
// All machines share the keys through the store; a new one is published before it signs and an old one until its last token ended.
package tokens

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/subgraphs/accounts"
)

// Issuer is the claim iss of every token.
const Issuer = "souk"

// Path is where the keys are served, to everybody.
const Path = "/.well-known/jwks.json"

// Keys signs tokens and serves the public halves of the keys as an http.Handler.
type Keys struct {
	store accounts.KeyStore
	clock clock.Clock
	ring  atomic.Pointer[accounts.Keyring]
}

var _ accounts.Signer = (*Keys)(nil)

// Open returns the shop's keys, and makes the first when there is none.
func Open(ctx context.Context, s accounts.KeyStore, c clock.Clock) (*Keys, error) {
	k := &Keys{store: s, clock: c}
	return k, k.Turn(ctx)
}

// Turn adds a key when it is time, retires those that vouch for nothing any more, and learns of what other machines did.
// Call it every minute. Machines that turn at once agree on one key.
func (k *Keys) Turn(ctx context.Context) error {
	ring, err := k.store.SigningKeys(ctx)
	if err != nil {
		return fmt.Errorf("signing keys: %w", err)
	}
	now := k.clock.Now()
	if next, due := ring.Due(now); due {
		if err := k.store.AddSigningKey(ctx, next); err != nil {
			return fmt.Errorf("signing keys: %w", err)
		}
	}
	if err := k.store.RetireSigningKeys(ctx, ring.Oldest(now)); err != nil {
		return fmt.Errorf("signing keys: %w", err)
	}
	if ring, err = k.store.SigningKeys(ctx); err != nil {
		return fmt.Errorf("signing keys: %w", err)
	}
	k.ring.Store(&ring)
	return nil
}

// claims are the registered ones and what the gateway makes a viewer of.
type claims struct {
	jwt.RegisteredClaims
	SessionID string   `json:"sid"`
	SellerID  string   `json:"seller,omitempty"`
	Scopes    []string `json:"scopes"`
}

// Sign makes an access token.
func (k *Keys) Sign(c accounts.Claims) (string, error) {
	key, ok := k.ring.Load().Signing(k.clock.Now())
	if !ok {
		return "", errors.New("no signing key")
	}
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: Issuer, Subject: c.AccountID, IssuedAt: jwt.NewNumericDate(c.IssuedAt), ExpiresAt: jwt.NewNumericDate(c.ExpiresAt),
		},
		SessionID: c.SessionID, SellerID: c.SellerID, Scopes: c.Scopes,
	})
	token.Header["kid"] = key.ID
	return token.SignedString(key.Private)
}

// ServeHTTP answers with the public keys, which may be kept for a minute.
func (k *Keys) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, key := range *k.ring.Load() {
		set.Keys = append(set.Keys, jose.JSONWebKey{
			Key: key.Private.Public().(ed25519.PublicKey), KeyID: key.ID, Algorithm: string(jose.EdDSA), Use: "sig",
		})
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "public, max-age=60")
	json.NewEncoder(w).Encode(set)
}
