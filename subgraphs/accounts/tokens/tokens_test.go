package tokens_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/subgraphs/accounts"
	"github.com/souk-shop/souk/subgraphs/accounts/tokens"
)

// memory is a store of keys for one machine.
type memory struct{ ring accounts.Keyring }

func (m *memory) SigningKeys(context.Context) (accounts.Keyring, error) {
	return slices.Clone(m.ring), nil
}

func (m *memory) AddSigningKey(_ context.Context, k accounts.SigningKey) error {
	m.ring = append(m.ring, k)
	return nil
}

func (m *memory) RetireSigningKeys(_ context.Context, before int) error {
	m.ring = slices.DeleteFunc(m.ring, func(k accounts.SigningKey) bool { return k.Generation < before })
	return nil
}

// check does what a verifier does: it fetches the keys and checks the token with them.
func check(t *testing.T, keys *tokens.Keys, token string, now time.Time) (jwt.MapClaims, error) {
	t.Helper()
	rec := httptest.NewRecorder()
	keys.ServeHTTP(rec, httptest.NewRequest("GET", tokens.Path, nil))
	if strings.Contains(rec.Body.String(), `"d":`) {
		t.Fatal("a private key is out")
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(rec.Body.Bytes(), &set); err != nil {
		t.Fatal(err)
	}
	c := jwt.MapClaims{}
	_, err := jwt.ParseWithClaims(token, c, func(token *jwt.Token) (any, error) {
		kid, _ := token.Header["kid"].(string)
		for _, k := range set.Key(kid) {
			return k.Key, nil
		}
		return nil, errors.New("unknown key")
	}, jwt.WithValidMethods([]string{"EdDSA"}), jwt.WithIssuer(tokens.Issuer), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithTimeFunc(func() time.Time { return now }))
	return c, err
}

func TestSign(t *testing.T) {
	t.Parallel()
	at := clock.Hold(time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC))
	keys, err := tokens.Open(t.Context(), new(memory), at)
	if err != nil {
		t.Fatal(err)
	}
	token, err := keys.Sign(accounts.Claims{
		AccountID: "acc_1", SessionID: "ses_1", SellerID: "sel_1", Scopes: []string{"seller"},
		IssuedAt: at.Now(), ExpiresAt: at.Now().Add(10 * time.Minute),
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := check(t, keys, token, at.Now().Add(599*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(c)
	if want := `{"exp":1795255800,"iat":1795255200,"iss":"souk","scopes":["seller"],"seller":"sel_1","sid":"ses_1","sub":"acc_1"}`; string(got) != want {
		t.Errorf("%s", got)
	}
	if _, err := check(t, keys, token, at.Now().Add(10*time.Minute)); !errors.Is(err, jwt.ErrTokenExpired) {
		t.Errorf("after ten minutes: %v", err)
	}
	parts := strings.Split(token, ".")
	for name, forged := range map[string]string{
		"unsigned":     parts[0] + "." + parts[1] + ".",
		"another body": parts[0] + "." + parts[1][:20] + "A" + parts[1][21:] + "." + parts[2],
		"another key":  signedElsewhere(t, at),
	} {
		if _, err := check(t, keys, forged, at.Now()); err == nil {
			t.Errorf("%s passed", name)
		}
	}
}

func signedElsewhere(t *testing.T, at clock.Clock) string {
	t.Helper()
	keys, err := tokens.Open(t.Context(), new(memory), at)
	if err != nil {
		t.Fatal(err)
	}
	token, err := keys.Sign(accounts.Claims{AccountID: "acc_1", IssuedAt: at.Now(), ExpiresAt: at.Now().Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestTokensOutliveTheTurnOfKeys(t *testing.T) {
	t.Parallel()
	at := clock.Hold(time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC))
	keys, err := tokens.Open(t.Context(), new(memory), at)
	if err != nil {
		t.Fatal(err)
	}
	at.Advance(30 * 24 * time.Hour)
	kids := map[any]bool{}
	for range 60 {
		if err := keys.Turn(t.Context()); err != nil {
			t.Fatal(err)
		}
		token, err := keys.Sign(accounts.Claims{AccountID: "acc_1", IssuedAt: at.Now(), ExpiresAt: at.Now().Add(10 * time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		parsed, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
		if err != nil {
			t.Fatal(err)
		}
		kids[parsed.Header["kid"]] = true
		at.Advance(time.Minute)
		if _, err := check(t, keys, token, at.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if len(kids) != 2 {
		t.Errorf("%d keys signed, not 2", len(kids))
	}
}
