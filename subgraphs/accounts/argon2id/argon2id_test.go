package argon2id

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

var cheap = Cost{Memory: 8, Passes: 1, Lanes: 1}

func TestVerify(t *testing.T) {
	t.Parallel()
	h := New(Recommended)
	hash, err := h.Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("not the format everybody reads: %s", hash)
	}
	// From the tests of the reference implementation, phc-winner-argon2: salt "somesalt", t=2, m=2^16, p=1.
	const reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	for _, c := range []struct {
		hash, password string
		match, weak    bool
	}{
		{hash, "correct horse", true, false},
		{hash, "correct horse ", false, false},
		{hash, "", false, false},
		{"", "correct horse", false, false},
		{"", "", false, false},
		{reference, "password", true, false},
		{reference, "Password", false, false},
	} {
		match, weak, err := h.Verify(t.Context(), c.hash, c.password)
		if err != nil || match != c.match || weak != c.weak {
			t.Errorf("%q by %q: %v, %v, %v", c.password, c.hash, match, weak, err)
		}
	}
	older, err := New(cheap).Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if match, weak, err := h.Verify(t.Context(), older, "correct horse"); !match || !weak || err != nil {
		t.Errorf("a hash of lower cost: %v, %v, %v", match, weak, err)
	}
	if again, _ := h.Hash(t.Context(), "correct horse"); again == hash {
		t.Error("two hashes of one password are the same")
	}
}

func TestWhatIsNoHashIsRefused(t *testing.T) {
	t.Parallel()
	h := New(cheap)
	good, err := h.Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	for _, hash := range []string{
		"correct horse", "$", good + "$", good[:len(good)-1], strings.Replace(good, "argon2id", "argon2i", 1),
		strings.Replace(good, "v=19", "v=16", 1), strings.Replace(good, "t=1", "t=0", 1), strings.Replace(good, "p=1", "p=0", 1),
	} {
		if match, _, err := h.Verify(t.Context(), hash, "correct horse"); match || err == nil || strings.Contains(err.Error(), "horse") {
			t.Errorf("%q: %v, %v", hash, match, err)
		}
	}
}

func TestTooManyAreTurnedAway(t *testing.T) {
	t.Parallel()
	h := New(cheap)
	h.slots, h.most = make(chan struct{}, 1), 2
	h.slots <- struct{}{} // somebody is at work

	ctx, cancel := context.WithCancel(t.Context())
	late, cancelLate := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancelLate()
	if _, err := h.Hash(late, "x"); !errors.Is(err, ErrBusy) {
		t.Errorf("whose deadline came: %v", err)
	}
	waiting := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := h.Hash(ctx, "x")
			waiting <- err
		}()
	}
	for h.waiting.Load() < 2 {
		time.Sleep(time.Millisecond)
	}
	if _, err := h.Hash(t.Context(), "x"); !errors.Is(err, ErrBusy) {
		t.Errorf("who came to a full queue: %v", err)
	}
	cancel()
	for range 2 {
		if err := <-waiting; !errors.Is(err, context.Canceled) {
			t.Errorf("who left: %v", err)
		}
	}
	if n := h.Derivations(); n != 0 {
		t.Errorf("%d derivations while there was no slot", n)
	}
	<-h.slots
	if _, err := h.Hash(t.Context(), "x"); err != nil || h.waiting.Load() != 0 || len(h.slots) != 0 {
		t.Errorf("afterwards: %v, %d waiting, %d at work", err, h.waiting.Load(), len(h.slots))
	}
}

func BenchmarkVerify(b *testing.B) {
	h := New(Recommended)
	for b.Loop() {
		h.Verify(b.Context(), "", "correct horse")
	}
}
