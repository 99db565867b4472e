package accounts

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"time"

	"github.com/souk-shop/souk/internal/id"
)

const (
	keyLife = 30 * 24 * time.Hour // after which another takes over
	keyLead = 5 * time.Minute     // in which whoever checks tokens learns of a new key, before it signs
	keyID   = id.Prefix("key")
)

// A SigningKey signs access tokens.
type SigningKey struct {
	ID         string
	Generation int // 1 for the shop's first key; the constraint on it decides who makes the next
	Private    ed25519.PrivateKey
	CreatedAt  time.Time
}

// A KeyStore keeps the signing keys for all machines of the shop.
type KeyStore interface {
	// SigningKeys returns all keys, oldest first.
	SigningKeys(ctx context.Context) (Keyring, error)
	// AddSigningKey keeps the key, unless there is one of its generation.
	AddSigningKey(ctx context.Context, k SigningKey) error
	// RetireSigningKeys deletes the keys older than a generation.
	RetireSigningKeys(ctx context.Context, before int) error
}

// A Keyring is the keys that still vouch for tokens, oldest first.
type Keyring []SigningKey

// Signing returns the key that signs now: the newest that everybody had time to learn of.
func (r Keyring) Signing(now time.Time) (SigningKey, bool) {
	if len(r) == 0 {
		return SigningKey{}, false
	}
	signing := r[0]
	for _, k := range r[1:] {
		if !now.Before(k.CreatedAt.Add(keyLead)) {
			signing = k
		}
	}
	return signing, true
}

// Due returns the key to add now, if it is time for one.
func (r Keyring) Due(now time.Time) (SigningKey, bool) {
	generation := 1
	if len(r) > 0 {
		newest := r[len(r)-1]
		if now.Before(newest.CreatedAt.Add(keyLife)) {
			return SigningKey{}, false
		}
		generation = newest.Generation + 1
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return SigningKey{ID: id.New(keyID), Generation: generation, Private: private, CreatedAt: now}, true
}

// Oldest returns the generation of the oldest key that may have signed a token which still lives.
func (r Keyring) Oldest(now time.Time) int {
	oldest := 0
	for _, k := range r {
		if oldest == 0 || !now.Before(k.CreatedAt.Add(2*keyLead+accessLife)) {
			oldest = k.Generation
		}
	}
	return oldest
}
