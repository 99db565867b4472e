package altcha

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/altcha-org/altcha-lib-go"

	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/once"
	"github.com/souk-shop/souk/subgraphs/flashsale"
)

var (
	noon   = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	secret = []byte("a secret of thirty-two characters")
)

const sale, ann = "sale_01", "acc_ann"

func setup() (*Challenger, *clock.Held) {
	at := clock.Hold(noon)
	return New(once.NewMemory(at), secret), at
}

func issued(t testing.TB, c *Challenger) flashsale.Challenge {
	t.Helper()
	set, err := c.Issue(sale, ann, 1_000, noon)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func solved(t testing.TB, set flashsale.Challenge) string {
	t.Helper()
	payload, err := Solve(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

// rewritten returns a payload with something in it replaced.
func rewritten(t testing.TB, payload string, change func(map[string]any)) string {
	t.Helper()
	text, err := base64.StdEncoding.DecodeString(payload)
	if err != nil {
		t.Fatal(err)
	}
	var entries map[string]any
	if err := json.Unmarshal(text, &entries); err != nil {
		t.Fatal(err)
	}
	change(entries)
	if text, err = json.Marshal(entries); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(text)
}

func TestChallenge(t *testing.T) {
	c, _ := setup()
	set := issued(t, c)
	if set.Algorithm != "SHA-256" || set.MaxNumber != 1_000 || !set.ExpiresAt.Equal(noon.Add(5*time.Minute)) {
		t.Errorf("%+v", set)
	}
	if harder, err := c.Issue(sale, ann, 70_000, noon); err != nil || harder.MaxNumber != 70_000 {
		t.Errorf("of another difficulty: %+v, %v", harder, err)
	}
	payload := rewritten(t, solved(t, set), func(m map[string]any) { m["took"] = 12 }) // which widgets add
	if err := c.Verify(t.Context(), sale, ann, payload, noon.Add(4*time.Minute)); err != nil {
		t.Errorf("in time: %v", err)
	}
	if err := c.Verify(t.Context(), sale, ann, payload, noon.Add(4*time.Minute)); !errors.Is(err, flashsale.ErrChallengeFailed) || !strings.Contains(err.Error(), "used before") {
		t.Errorf("again: %v", err)
	}
}

// ALTCHA's own library solves our challenges and writes a solution that we take.
func TestTheLibrarySolves(t *testing.T) {
	c, _ := setup()
	set := issued(t, c)
	found, err := altcha.SolveChallenge(set.Challenge, set.Salt, altcha.Algorithm(set.Algorithm), int(set.MaxNumber), 0, nil)
	if err != nil || found == nil {
		t.Fatal(found, err)
	}
	text, err := json.Marshal(altcha.Payload{Algorithm: set.Algorithm, Challenge: set.Challenge, Number: int64(found.Number), Salt: set.Salt, Signature: set.Signature})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Verify(t.Context(), sale, ann, base64.StdEncoding.EncodeToString(text), noon); err != nil {
		t.Error(err)
	}
}

// Each way to cheat has its own words, one code, and spends nothing: what is in order is accepted afterwards.
func TestRefusals(t *testing.T) {
	c, at := setup()
	set := issued(t, c)
	good := solved(t, set)
	change := func(name string, value any) string {
		return rewritten(t, good, func(m map[string]any) { m[name] = value })
	}
	elsewhere, err := Solve(t.Context(), func() flashsale.Challenge {
		set, err := New(once.NewMemory(at), []byte("another secret of thirty-two char")).Issue(sale, ann, 10, noon)
		if err != nil {
			t.Fatal(err)
		}
		return set
	}())
	if err != nil {
		t.Fatal(err)
	}
	bare, err := altcha.CreateChallenge(altcha.ChallengeOptions{HMACKey: string(secret), MaxNumber: 10})
	if err != nil {
		t.Fatal(err)
	}
	withoutTerms := solved(t, flashsale.Challenge{Algorithm: bare.Algorithm, Challenge: bare.Challenge, Salt: bare.Salt, Signature: bare.Signature, MaxNumber: bare.MaxNumber})
	later := strings.Replace(set.Salt, fmt.Sprint(noon.Add(life).Unix()), fmt.Sprint(noon.Add(24*time.Hour).Unix()), 1)
	for _, r := range []struct{ name, sale, account, payload, why string }{
		{"nothing", sale, ann, "", "cannot be read"},
		{"no base64", sale, ann, "{}", "cannot be read"},
		{"no JSON", sale, ann, base64.StdEncoding.EncodeToString([]byte("{")), "cannot be read"},
		{"a number that is a text", sale, ann, change("number", "7"), "cannot be read"},
		{"too long", sale, ann, strings.Repeat("A", 1<<20), "cannot be read"},
		{"a weaker algorithm", sale, ann, change("algorithm", "SHA-1"), "cannot be read"},
		{"no algorithm", sale, ann, change("algorithm", ""), "cannot be read"},
		{"another number", sale, ann, change("number", 100_000), "not one of ours"},
		{"a signature of nobody", sale, ann, change("signature", strings.Repeat("0", 64)), "not one of ours"},
		{"another challenge", sale, ann, change("challenge", strings.Repeat("0", 64)), "not one of ours"},
		{"a later end", sale, ann, change("salt", later), "not one of ours"},
		{"signed elsewhere", sale, ann, elsewhere, "not one of ours"},
		{"signed for something else", sale, ann, withoutTerms, "not one of ours"},
		{"another sale", "sale_02", ann, good, "another sale"},
		{"another account", sale, "acc_bob", good, "another account"},
	} {
		err := c.Verify(t.Context(), r.sale, r.account, r.payload, noon)
		if !errors.Is(err, flashsale.ErrChallengeFailed) || !strings.Contains(err.Error(), r.why) {
			t.Errorf("%s: %v", r.name, err)
		}
	}
	if err := c.Verify(t.Context(), sale, ann, good, noon.Add(life)); !errors.Is(err, flashsale.ErrChallengeFailed) || !strings.Contains(err.Error(), "run out") {
		t.Errorf("too late: %v", err)
	}
	if err := c.Verify(t.Context(), sale, ann, good, noon.Add(life-time.Second)); err != nil {
		t.Errorf("in time after all: %v", err)
	}
}

// Digits moved from the number into the salt, or a delimiter taken off it, make no second solution of one challenge.
func TestNoSecondSolution(t *testing.T) {
	c, _ := setup()
	var set flashsale.Challenge
	var good string
	number := ""
	for len(number) < 2 {
		set = issued(t, c)
		good = solved(t, set)
		rewritten(t, good, func(m map[string]any) { number = fmt.Sprint(m["number"]) })
	}
	spliced := rewritten(t, good, func(m map[string]any) {
		m["salt"], m["number"] = set.Salt+number[:1], json.Number(strings.TrimLeft(number[1:], "0")+"")
		if m["number"] == json.Number("") {
			m["number"] = 0
		}
	})
	if err := c.Verify(t.Context(), sale, ann, spliced, noon); !errors.Is(err, flashsale.ErrChallengeFailed) {
		t.Errorf("spliced: %v", err)
	}
	if err := c.Verify(t.Context(), sale, ann, good, noon); err != nil {
		t.Fatal(err)
	}
	trimmed := rewritten(t, good, func(m map[string]any) { m["salt"] = strings.TrimSuffix(set.Salt, "&") })
	if err := c.Verify(t.Context(), sale, ann, trimmed, noon); !errors.Is(err, flashsale.ErrChallengeFailed) {
		t.Errorf("trimmed: %v", err)
	}
}

// Names that mean something in a URL stay what they are.
func TestNamesAreQuoted(t *testing.T) {
	c, _ := setup()
	const odd = "acc?x=1&account=acc_bob&sale=%26"
	set, err := c.Issue(sale, odd, 10, noon)
	if err != nil {
		t.Fatal(err)
	}
	payload := solved(t, set)
	if err := c.Verify(t.Context(), sale, "acc_bob", payload, noon); !errors.Is(err, flashsale.ErrChallengeFailed) {
		t.Errorf("as somebody else: %v", err)
	}
	if err := c.Verify(t.Context(), sale, odd, payload, noon); err != nil {
		t.Error(err)
	}
}

// However late within its time, a solution is good once.
func TestS102ASpentChallengeIsRememberedToItsEnd(t *testing.T) {
	c, at := setup()
	set := issued(t, c)
	payload := solved(t, set)
	if err := c.Verify(t.Context(), sale, ann, payload, at.Now()); err != nil {
		t.Fatal(err)
	}
	for at.Now().Before(set.ExpiresAt) {
		if err := c.Verify(t.Context(), sale, ann, payload, at.Now()); !errors.Is(err, flashsale.ErrChallengeFailed) {
			t.Errorf("%v before its end: %v", set.ExpiresAt.Sub(at.Now()), err)
		}
		at.Advance(time.Minute - time.Nanosecond)
	}
}

func TestSpentOnceAmongMany(t *testing.T) {
	c, _ := setup()
	payload := solved(t, issued(t, c))
	var accepted atomic.Int64
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			if c.Verify(t.Context(), sale, ann, payload, noon) == nil {
				accepted.Add(1)
			}
		})
	}
	all.Wait()
	if n := accepted.Load(); n != 1 {
		t.Errorf("accepted %d times", n)
	}
}

// A secret that is replaced is good for what it signed.
func TestSecretsTurn(t *testing.T) {
	at := clock.Hold(noon)
	spent := once.NewMemory(at)
	before, after := New(spent, secret), New(spent, []byte("the next secret, of 32 characters"), secret)
	if err := after.Verify(t.Context(), sale, ann, solved(t, issued(t, before)), noon); err != nil {
		t.Errorf("signed before: %v", err)
	}
	if err := before.Verify(t.Context(), sale, ann, solved(t, issued(t, after)), noon); !errors.Is(err, flashsale.ErrChallengeFailed) {
		t.Errorf("signed with the next, checked without: %v", err)
	}
}

type full struct{}

func (full) Claim(context.Context, string, string, time.Duration) (string, error) {
	return "", once.ErrFull
}

// Where nobody can tell whether it was spent, the caller did nothing wrong.
func TestStoreIsFull(t *testing.T) {
	c := New(full{}, secret)
	err := c.Verify(t.Context(), sale, ann, solved(t, issued(t, c)), noon)
	if fault.KindOf(err) != fault.Unavailable {
		t.Errorf("%v", err)
	}
}

func TestDifficulty(t *testing.T) {
	c, _ := setup()
	for _, d := range []int{-1, 0, hardest + 1} {
		if _, err := c.Issue(sale, ann, d, noon); err == nil {
			t.Errorf("%d", d)
		}
	}
}

// No payload is accepted whose challenge is not signed with the secret, and none brings the parser down.
func FuzzVerify(f *testing.F) {
	c, _ := setup()
	f.Add(solved(f, issued(f, c)))
	f.Add("")
	f.Add(base64.StdEncoding.EncodeToString([]byte(`{"algorithm":"SHA-256","number":-1,"salt":"?expires=1&"}`)))
	f.Add(base64.StdEncoding.EncodeToString([]byte(`[]`)))
	f.Fuzz(func(t *testing.T, payload string) {
		err := New(once.NewMemory(clock.Hold(noon)), secret).Verify(t.Context(), sale, ann, payload, noon)
		if err == nil {
			p, _ := parse(payload)
			sum := hmac.New(sha256.New, secret)
			sum.Write([]byte(p.Challenge))
			if hex.EncodeToString(sum.Sum(nil)) != p.Signature {
				t.Errorf("%q was accepted", payload)
			}
			return
		}
		if !errors.Is(err, flashsale.ErrChallengeFailed) {
			t.Errorf("%q: %v", payload, err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	c := New(free{}, secret)
	payload := solved(b, issued(b, c))
	for b.Loop() {
		if err := c.Verify(b.Context(), sale, ann, payload, noon); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSolve(b *testing.B) {
	c, _ := setup()
	for b.Loop() {
		set, err := c.Issue(sale, ann, 50_000, noon)
		if err != nil {
			b.Fatal(err)
		}
		solved(b, set)
	}
}

type free struct{}

func (free) Claim(_ context.Context, _, value string, _ time.Duration) (string, error) {
	return value, nil
}
