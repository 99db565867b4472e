package turnstile_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/clients/turnstile"
	"github.com/souk-shop/souk/clients/turnstile/fake"
)

const secret = "0x4AAA"

var anns = turnstile.Verdict{Action: "sale_1", Data: "acc_ann"}

func setup(t *testing.T, timeout time.Duration) (*fake.Turnstile, *turnstile.Client) {
	t.Helper()
	theirs := fake.New(secret)
	served := httptest.NewServer(theirs)
	t.Cleanup(served.Close)
	return theirs, turnstile.New(turnstile.Config{Secret: secret, URL: served.URL, Timeout: timeout})
}

func TestVerify(t *testing.T) {
	t.Parallel()
	theirs, c := setup(t, 0)
	token := theirs.Give(anns)
	if v, err := c.Verify(t.Context(), token, "192.0.2.1"); err != nil || v != anns {
		t.Errorf("%+v %v", v, err)
	}
	var refusal *turnstile.Refusal
	if _, err := c.Verify(t.Context(), token, ""); !errors.As(err, &refusal) || !refusal.Used() {
		t.Errorf("again: %v", err)
	}
	if _, err := c.Verify(t.Context(), "made up", ""); !errors.As(err, &refusal) || refusal.Used() {
		t.Errorf("made up: %v", err)
	}
	before := theirs.Asked()
	for _, token := range []string{"", strings.Repeat("x", 2_049)} {
		if _, err := c.Verify(t.Context(), token, ""); !errors.As(err, &refusal) {
			t.Errorf("%d characters: %v", len(token), err)
		}
	}
	if theirs.Asked() != before {
		t.Error("what can be no token was asked about")
	}
}

// One bad moment passes unnoticed, even when the answer was lost after the token was spent. Two do not.
func TestBadMoments(t *testing.T) {
	t.Parallel()
	for name, mishap := range map[string]fake.Mishap{"fails": fake.Fails, "is confused": fake.Confused, "loses the answer": fake.Lost, "hangs": fake.Hangs} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			theirs, c := setup(t, 300*time.Millisecond)
			theirs.Next(mishap)
			if v, err := c.Verify(t.Context(), theirs.Give(anns), ""); err != nil || v != anns {
				t.Errorf("once: %+v %v", v, err)
			}
			theirs.Next(mishap, mishap)
			if _, err := c.Verify(t.Context(), theirs.Give(anns), ""); !errors.Is(err, turnstile.ErrAway) {
				t.Errorf("twice: %v", err)
			}
		})
	}
}

// While it is away for long, nobody waits for it.
func TestOutage(t *testing.T) {
	t.Parallel()
	theirs, c := setup(t, 0)
	for range 10 {
		theirs.Next(fake.Fails, fake.Fails)
	}
	token := theirs.Give(anns)
	for range 10 {
		if _, err := c.Verify(t.Context(), token, ""); !errors.Is(err, turnstile.ErrAway) {
			t.Fatal(err)
		}
	}
	if n := theirs.Asked(); n != 10 { // five times two
		t.Errorf("asked %d times", n)
	}
}

// Refusals, and callers who hang up, are no outage.
func TestRefusalsAreNoOutage(t *testing.T) {
	t.Parallel()
	theirs, c := setup(t, 0)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 10 {
		if _, err := c.Verify(t.Context(), "made up", ""); errors.Is(err, turnstile.ErrAway) {
			t.Fatal(err)
		}
		if _, err := c.Verify(gone, "made up", ""); !errors.Is(err, context.Canceled) || errors.Is(err, turnstile.ErrAway) {
			t.Fatal(err)
		}
	}
	if _, err := c.Verify(t.Context(), theirs.Give(anns), ""); err != nil {
		t.Error(err)
	}
}

func TestAWrongSecret(t *testing.T) {
	t.Parallel()
	theirs := fake.New("another")
	served := httptest.NewServer(theirs)
	defer served.Close()
	c := turnstile.New(turnstile.Config{Secret: secret, URL: served.URL})
	if _, err := c.Verify(t.Context(), theirs.Give(anns), ""); !errors.Is(err, turnstile.ErrAway) || strings.Contains(err.Error(), secret) {
		t.Error(err)
	}
}
