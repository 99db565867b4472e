// Package turnstile asks Cloudflare's Turnstile whether a visitor is a person, as its widget on the page found.
//
// https://developers.cloudflare.com/turnstile/get-started/server-side-validation/
package turnstile

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sony/gobreaker"
)

// URL is where Cloudflare verifies tokens.
const URL = "https://challenges.cloudflare.com/turnstile/v0/siteverify"

const (
	longest  = 2_048 // characters of a token
	mostRead = 64 << 10
	attempts = 2
	hopeless = 5                // failures on end, after which nobody is kept waiting …
	respite  = 10 * time.Second // … for so long
)

// ErrAway says that nobody can tell about a visitor at the moment: Turnstile does not answer, or does not accept our secret.
var ErrAway = errors.New("turnstile: it cannot be asked")

// A Refusal is Turnstile's word that a token is no good: made up, too old, or seen before.
type Refusal struct{ Codes []string }

// Error names the codes.
func (r *Refusal) Error() string { return "turnstile: " + strings.Join(r.Codes, ", ") }

// Used tells whether the token was good once.
func (r *Refusal) Used() bool { return slices.Contains(r.Codes, "timeout-or-duplicate") }

// A Verdict is what Turnstile says of a good token.
type Verdict struct {
	Action string `json:"action"` // what the page asked for, in the widget's data-action
	Data   string `json:"cdata"`  // what the page said of the visitor, in data-cdata
}

// Config is what a Client needs; only Secret must be there.
type Config struct {
	Secret  string
	URL     string        // "" is Cloudflare's
	Timeout time.Duration // of one attempt; 0 means 2 s
	Base    http.RoundTripper
}

// A Client verifies tokens. It is safe for concurrent use.
type Client struct {
	config  Config
	http    *http.Client
	breaker *gobreaker.CircuitBreaker
}

// New returns a Client.
func New(c Config) *Client {
	c.URL, c.Timeout = cmp.Or(c.URL, URL), cmp.Or(c.Timeout, 2*time.Second)
	return &Client{
		config: c, http: &http.Client{Transport: c.Base, Timeout: c.Timeout},
		breaker: gobreaker.NewCircuitBreaker(gobreaker.Settings{
			Name: "turnstile", Timeout: respite,
			ReadyToTrip:  func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= hopeless },
			IsSuccessful: func(err error) bool { return !errors.Is(err, ErrAway) },
		}),
	}
}

// Verify returns what Turnstile says of a token, which is good once. The error is a Refusal, ErrAway, or the context's. Remote is the
// visitor's address, "" where it is not known.
func (c *Client) Verify(ctx context.Context, token, remote string) (Verdict, error) {
	if token == "" || len(token) > longest {
		return Verdict{}, &Refusal{Codes: []string{"invalid-input-response"}}
	}
	said, err := c.breaker.Execute(func() (any, error) { return c.verify(ctx, token, remote) })
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return Verdict{}, ErrAway
	}
	verdict, _ := said.(Verdict)
	return verdict, err
}

// verify asks, and asks again when there is no answer: under one key, so that the first attempt does not make the second a duplicate.
func (c *Client) verify(ctx context.Context, token, remote string) (Verdict, error) {
	question, err := json.Marshal(map[string]string{"secret": c.config.Secret, "response": token, "remoteip": remote, "idempotency_key": newKey()})
	if err != nil {
		return Verdict{}, err
	}
	var why error
	for range attempts {
		verdict, again, err := c.ask(ctx, question)
		if err == nil || !again {
			return verdict, err
		}
		if ctx.Err() != nil {
			return Verdict{}, ctx.Err()
		}
		why = err
	}
	return Verdict{}, fmt.Errorf("%w: %w", ErrAway, why)
}

func (c *Client) ask(ctx context.Context, question []byte) (v Verdict, again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.config.URL, bytes.NewReader(question))
	if err != nil {
		return v, false, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return v, true, err
	}
	defer res.Body.Close()
	var said struct {
		Verdict
		Success bool     `json:"success"`
		Codes   []string `json:"error-codes"`
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, mostRead))
	if err != nil {
		return v, true, err
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return v, true, fmt.Errorf("status %d and no JSON", res.StatusCode) // a page of something in between
	}
	switch has := func(code string) bool { return slices.Contains(said.Codes, code) }; {
	case said.Success && len(said.Codes) == 0 && res.StatusCode == http.StatusOK:
		return said.Verdict, false, nil
	case has("internal-error"), res.StatusCode >= 500, len(said.Codes) == 0:
		return v, true, fmt.Errorf("status %d, %v", res.StatusCode, said.Codes)
	case has("missing-input-secret"), has("invalid-input-secret"), has("bad-request"):
		return v, false, fmt.Errorf("%w: our own mistake: %v", ErrAway, said.Codes)
	}
	return v, false, &Refusal{Codes: said.Codes}
}

// newKey makes a UUID (RFC 9562, version 4), which is what Turnstile takes for a key.
func newKey() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
