package session

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"

	"github.com/souk-shop/souk/internal/clock"
)

// Keys are keys known beforehand, by id.
type Keys map[string]ed25519.PublicKey

// Key returns the key or ErrUnknownKey.
func (k Keys) Key(_ context.Context, id string) (ed25519.PublicKey, error) {
	if key, ok := k[id]; ok {
		return key, nil
	}
	return nil, ErrUnknownKey
}

const (
	freshFor   = 10 * time.Minute // before the set is fetched again; a withdrawn key lasts no longer
	usableFor  = time.Hour        // while it cannot be fetched
	pauseAfter = 10 * time.Second // a fetch, so that tokens with made-up key ids cause no storm
	pauseError = time.Second      // after a failed fetch
	fetchWait  = 5 * time.Second
	largestSet = 64 << 10 // bytes
)

// JWKS is a KeySource behind a URL that serves a JSON Web Key Set (RFC 7517). It fetches on demand: when it has no keys, when
// they are old, and when it meets an id that it does not know, since keys rotate.
type JWKS struct {
	url    string
	client *http.Client
	clock  clock.Clock
	flight singleflight.Group // many callers, one fetch

	mu      sync.Mutex
	keys    Keys
	fetched time.Time // when keys were true
	next    time.Time // no fetch before
	failed  error     // of the last fetch
}

// NewJWKS returns the key set at url. Nothing is fetched yet.
func NewJWKS(url string, client *http.Client, c clock.Clock) *JWKS {
	return &JWKS{url: url, client: client, clock: c}
}

// Key returns the key, ErrUnknownKey, or why the set cannot be had.
func (j *JWKS) Key(ctx context.Context, id string) (ed25519.PublicKey, error) {
	key, due := j.look(id)
	if due {
		fetched := j.flight.DoChan("", func() (any, error) { return nil, j.fetch() })
		select {
		case <-fetched:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		key, _ = j.look(id)
	}
	if key != nil {
		return key, nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed != nil {
		return nil, j.failed
	}
	return nil, ErrUnknownKey
}

// look returns the key, when there is one that may be used, and whether a fetch could tell better.
func (j *JWKS) look(id string) (key ed25519.PublicKey, due bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := j.clock.Now()
	age := now.Sub(j.fetched)
	if age < usableFor {
		key = j.keys[id]
	}
	return key, (key == nil || age >= freshFor) && !now.Before(j.next)
}

func (j *JWKS) fetch() error {
	if _, due := j.look(""); !due { // another fetch came back just before this one began
		return nil
	}
	// Its own deadline: the caller who happened to start the fetch may leave, while others wait for it.
	ctx, cancel := context.WithTimeout(context.Background(), fetchWait)
	defer cancel()
	keys, err := j.get(ctx)

	j.mu.Lock()
	defer j.mu.Unlock()
	now := j.clock.Now()
	j.failed = err
	if err != nil {
		j.next = now.Add(pauseError)
		return err
	}
	j.keys, j.fetched, j.next = keys, now, now.Add(pauseAfter)
	return nil
}

func (j *JWKS) get(ctx context.Context) (Keys, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, j.url, nil)
	if err != nil {
		return nil, err
	}
	res, err := j.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("key set: %s", res.Status)
	}
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(io.LimitReader(res.Body, largestSet)).Decode(&set); err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	keys := Keys{}
	for _, k := range set.Keys {
		if public, ok := k.Key.(ed25519.PublicKey); ok && k.KeyID != "" && (k.Use == "" || k.Use == "sig") {
			keys[k.KeyID] = public
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("key set: no Ed25519 key in it")
	}
	return keys, nil
}
