package admission

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/souk-shop/souk/subgraphs/flashsale"
)

var (
	noon   = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	secret = []byte("a secret of thirty-two characters")
	anns   = flashsale.Admission{TicketID: "fst_1", SaleID: "sale_1", AccountID: "acc_ann", ExpiresAt: noon.Add(time.Minute)}
)

func signed(t testing.TB, tokens *Tokens, a flashsale.Admission) string {
	t.Helper()
	token, err := tokens.Sign(a)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestAdmission(t *testing.T) {
	tokens := New(secret)
	token := signed(t, tokens, anns)
	got, err := tokens.Check(token, "sale_1", "acc_ann", noon.Add(time.Minute-time.Second))
	if err != nil || got != anns {
		t.Errorf("%+v %v", got, err)
	}
	for _, c := range []struct {
		name, token, sale, account string
		at                         time.Time
		why                        string
	}{
		{"another sale", token, "sale_2", "acc_ann", noon, "another sale"},
		{"no sale", token, "", "acc_ann", noon, "another sale"},
		{"another account", token, "sale_1", "acc_bob", noon, "another account's"},
		{"a guest", token, "sale_1", "", noon, "another account's"},
		{"too late", token, "sale_1", "acc_ann", noon.Add(time.Minute), "run out"},
		{"nothing", "", "sale_1", "acc_ann", noon, "not one of ours"},
		{"very long", strings.Repeat(token, 100), "sale_1", "acc_ann", noon, "not one of ours"},
		{"cut short", token[:len(token)-1], "sale_1", "acc_ann", noon, "not one of ours"},
	} {
		if _, err := tokens.Check(c.token, c.sale, c.account, c.at); !errors.Is(err, flashsale.ErrNotAdmitted) || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestNothingIsLeftOut(t *testing.T) {
	for _, a := range []flashsale.Admission{
		{SaleID: "s", AccountID: "a", ExpiresAt: noon}, {TicketID: "t", AccountID: "a", ExpiresAt: noon},
		{TicketID: "t", SaleID: "s", ExpiresAt: noon}, {TicketID: "t", SaleID: "s", AccountID: "a"},
	} {
		if token, err := New(secret).Sign(a); err == nil {
			t.Errorf("%+v: %s", a, token)
		}
	}
}

// No token passes but one that was signed by HMAC-SHA256, with a secret of ours, to be an admission.
func TestForgeries(t *testing.T) {
	tokens := New(secret)
	claims := func() jwt.MapClaims {
		return jwt.MapClaims{"iss": issuer, "aud": []string{"sale_1"}, "sub": "acc_ann", "jti": "fst_1", "exp": noon.Add(time.Minute).Unix()}
	}
	header := map[string]any{"kid": keyID(secret), "typ": kind}
	forge := func(method jwt.SigningMethod, key any, change func(h map[string]any, c jwt.MapClaims)) string {
		t.Helper()
		c := claims()
		token := jwt.NewWithClaims(method, c)
		maps.Copy(token.Header, header)
		if change != nil {
			change(token.Header, c)
		}
		text, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if _, err := tokens.Check(forge(jwt.SigningMethodHS256, secret, nil), "sale_1", "acc_ann", noon); err != nil {
		t.Fatalf("the token that the others are changed from: %v", err)
	}
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	good := strings.Split(signed(t, tokens, anns), ".")
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	for name, token := range map[string]string{
		"no algorithm":          forge(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		"NONE in capitals":      part(`{"alg":"NONE","kid":"`+keyID(secret)+`","typ":"`+kind+`"}`) + "." + good[1] + ".",
		"HS512, the same key":   forge(jwt.SigningMethodHS512, secret, nil),
		"a public key's":        forge(jwt.SigningMethodEdDSA, private, nil),
		"another secret":        forge(jwt.SigningMethodHS256, []byte("another secret of 32 characters!"), nil),
		"an empty secret":       forge(jwt.SigningMethodHS256, []byte{}, nil),
		"an unknown key":        forge(jwt.SigningMethodHS256, secret, func(h map[string]any, _ jwt.MapClaims) { h["kid"] = "x" }),
		"no key":                forge(jwt.SigningMethodHS256, secret, func(h map[string]any, _ jwt.MapClaims) { delete(h, "kid") }),
		"a key that is a list":  forge(jwt.SigningMethodHS256, secret, func(h map[string]any, _ jwt.MapClaims) { h["kid"] = []string{keyID(secret)} }),
		"a key it brings along": forge(jwt.SigningMethodHS256, []byte("mine"), func(h map[string]any, _ jwt.MapClaims) { h["jwk"] = map[string]string{"kty": "oct", "k": "bWluZQ"} }),
		"for something else":    forge(jwt.SigningMethodHS256, secret, func(h map[string]any, _ jwt.MapClaims) { h["typ"] = "JWT" }),
		"by somebody else":      forge(jwt.SigningMethodHS256, secret, func(_ map[string]any, c jwt.MapClaims) { c["iss"] = "souk" }),
		"for ever":              forge(jwt.SigningMethodHS256, secret, func(_ map[string]any, c jwt.MapClaims) { delete(c, "exp") }),
		"for two sales":         forge(jwt.SigningMethodHS256, secret, func(_ map[string]any, c jwt.MapClaims) { c["aud"] = []string{"sale_1", "sale_2"} }),
		"of no ticket":          forge(jwt.SigningMethodHS256, secret, func(_ map[string]any, c jwt.MapClaims) { delete(c, "jti") }),
		"another body":          good[0] + "." + part(`{"iss":"`+issuer+`","aud":["sale_1"],"sub":"acc_ann","jti":"fst_2","exp":9999999999}`) + "." + good[2],
		"no signature":          good[0] + "." + good[1] + ".",
		"a signature with more": strings.Join(good, ".") + "=",
	} {
		if a, err := tokens.Check(token, "sale_1", "acc_ann", noon); !errors.Is(err, flashsale.ErrNotAdmitted) {
			t.Errorf("%s: %+v %v", name, a, err)
		}
	}
}

// While secrets are replaced, processes with the old and those with both understand each other.
func TestSecretsTurn(t *testing.T) {
	next := []byte("the next secret, of 32 characters")
	before, both, after := New(secret), New(secret, next), New(next, secret)
	for _, c := range []struct {
		by, with *Tokens
		passes   bool
	}{{before, both, true}, {both, before, true}, {after, both, true}, {both, after, true}, {after, before, false}} {
		if _, err := c.with.Check(signed(t, c.by, anns), "sale_1", "acc_ann", noon); (err == nil) != c.passes {
			t.Errorf("%v", err)
		}
	}
}

func FuzzCheck(f *testing.F) {
	tokens := New(secret)
	token := signed(f, tokens, anns)
	f.Add(token)
	f.Add("..")
	f.Add(strings.Replace(token, ".", "..", 1))
	f.Fuzz(func(t *testing.T, other string) {
		a, err := tokens.Check(other, "sale_1", "acc_ann", noon)
		if err == nil && (other != token || a != anns) {
			t.Errorf("%q: %+v", other, a)
		}
		if err != nil && !errors.Is(err, flashsale.ErrNotAdmitted) {
			t.Errorf("%q: %v", other, err)
		}
	})
}
