package session_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/souk-shop/souk/gateway/session"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/viewer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func newKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return private
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

// sign makes a token of Ann's with some claims changed; a nil claim is left out.
func sign(t *testing.T, key any, method jwt.SigningMethod, kid string, change jwt.MapClaims) string {
	t.Helper()
	c := jwt.MapClaims{
		"iss": "souk", "sub": "acc_ann", "sid": "ses_1", "seller": "sel_1", "scopes": []string{"seller", "staff"},
		"iat": noon.Unix(), "exp": noon.Add(10 * time.Minute).Unix(), "country": "IN",
	}
	for name, v := range change {
		c[name] = v
		if v == nil {
			delete(c, name)
		}
	}
	token := jwt.NewWithClaims(method, c)
	token.Header["kid"] = kid
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestViewer(t *testing.T) {
	key, other := newKey(t), newKey(t)
	sessions := session.New(session.Keys{"k1": public(key)}, clock.Hold(noon))
	eddsa := jwt.SigningMethodEdDSA
	good := sign(t, key, eddsa, "k1", nil)
	parts := strings.Split(good, ".")
	forgedClaims := strings.Split(sign(t, other, eddsa, "k1", jwt.MapClaims{"scopes": []string{"staff"}}), ".")[1]

	for _, c := range []struct {
		name, header string
		want         error
	}{
		{"good", "Bearer " + good, nil},
		{"scheme in small letters", "bearer  " + good, nil},
		{"another scheme", "Basic YTpi", session.ErrScheme},
		{"no token", "Bearer ", session.ErrScheme},
		{"a bare token", good, session.ErrScheme},
		{"nonsense", "Bearer nonsense", session.ErrInvalid},
		{"a long text", "Bearer " + strings.Repeat("x", 1<<20), session.ErrInvalid},
		{"cut short", "Bearer " + good[:len(good)-5], session.ErrInvalid},
		{"claims changed", "Bearer " + parts[0] + "." + forgedClaims + "." + parts[2], session.ErrInvalid},
		{"another key", "Bearer " + sign(t, other, eddsa, "k1", nil), session.ErrInvalid},
		{"unknown key id", "Bearer " + sign(t, key, eddsa, "k2", nil), session.ErrInvalid},
		{"no key id", "Bearer " + sign(t, key, eddsa, "", nil), session.ErrInvalid},
		{"no signature", "Bearer " + sign(t, jwt.UnsafeAllowNoneSignatureType, jwt.SigningMethodNone, "k1", nil), session.ErrInvalid},
		{"public key as a secret", "Bearer " + sign(t, []byte(public(key)), jwt.SigningMethodHS256, "k1", nil), session.ErrInvalid},
		{"expired", "Bearer " + sign(t, key, eddsa, "k1", jwt.MapClaims{"exp": noon.Add(-time.Minute).Unix()}), session.ErrExpired},
		{"expires now", "Bearer " + sign(t, key, eddsa, "k1", jwt.MapClaims{"exp": noon.Unix()}), session.ErrExpired},
		{"expired, and forged", "Bearer " + sign(t, other, eddsa, "k1", jwt.MapClaims{"exp": noon.Add(-time.Minute).Unix()}), session.ErrInvalid},
		{"never expires", "Bearer " + sign(t, key, eddsa, "k1", jwt.MapClaims{"exp": nil}), session.ErrInvalid},
		{"of tomorrow", "Bearer " + sign(t, key, eddsa, "k1", jwt.MapClaims{"iat": noon.Add(time.Hour).Unix()}), session.ErrInvalid},
		{"of a clock that runs ahead a little", "Bearer " + sign(t, key, eddsa, "k1", jwt.MapClaims{"iat": noon.Add(2 * time.Second).Unix()}), nil},
		{"another issuer", "Bearer " + sign(t, key, eddsa, "k1", jwt.MapClaims{"iss": "bazaar"}), session.ErrInvalid},
		{"no issuer", "Bearer " + sign(t, key, eddsa, "k1", jwt.MapClaims{"iss": nil}), session.ErrInvalid},
		{"nobody's", "Bearer " + sign(t, key, eddsa, "k1", jwt.MapClaims{"sub": nil}), session.ErrInvalid},
		{"scopes of another kind", "Bearer " + sign(t, key, eddsa, "k1", jwt.MapClaims{"scopes": 7}), session.ErrInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			who, until, err := sessions.Viewer(t.Context(), c.header)
			if !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			if c.want != nil {
				if who.SignedIn() {
					t.Errorf("let in as %v", who)
				}
				return
			}
			ann := viewer.Viewer{AccountID: "acc_ann", SessionID: "ses_1", SellerID: "sel_1", Scopes: []string{"seller", "staff"}}
			if diff := cmp.Diff(ann, who); diff != "" || !until.Equal(noon.Add(10*time.Minute)) {
				t.Errorf("until %v\n%s", until, diff)
			}
		})
	}
	if who, until, err := sessions.Viewer(t.Context(), ""); err != nil || who.SignedIn() || !until.IsZero() {
		t.Errorf("a guest: %v %v %v", who, until, err)
	}
}

// A remembered token is not verified twice, and no longer taken once it has expired.
func TestRemembered(t *testing.T) {
	key := newKey(t)
	asked := 0
	held := clock.Hold(noon)
	sessions := session.New(source(func(string) (ed25519.PublicKey, error) { asked++; return public(key), nil }), held)
	header := "Bearer " + sign(t, key, jwt.SigningMethodEdDSA, "k1", nil)
	if who, ok := sessions.Known(header); ok || asked != 0 {
		t.Errorf("%+v is known before anybody asked (%d)", who, asked)
	}
	for range 3 {
		if _, _, err := sessions.Viewer(t.Context(), header); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 1 {
		t.Errorf("verified %d times", asked)
	}
	if who, ok := sessions.Known(header); !ok || who.AccountID != "acc_ann" {
		t.Errorf("%+v %v", who, ok)
	}
	for _, unknown := range []string{"", "Bearer ", "Basic " + header[7:], header + "x", header[7:]} {
		if who, ok := sessions.Known(unknown); ok {
			t.Errorf("%q is %+v", unknown, who)
		}
	}
	held.Advance(10 * time.Minute)
	if _, ok := sessions.Known(header); ok {
		t.Error("an expired token is known")
	}
	for range 2 {
		if _, _, err := sessions.Viewer(t.Context(), header); !errors.Is(err, session.ErrExpired) {
			t.Errorf("after its end: %v", err)
		}
	}
}

type source func(id string) (ed25519.PublicKey, error)

func (s source) Key(_ context.Context, id string) (ed25519.PublicKey, error) { return s(id) }

func TestKeysUnavailable(t *testing.T) {
	sessions := session.New(source(func(string) (ed25519.PublicKey, error) { return nil, errors.New("no route to host") }), clock.Hold(noon))
	_, _, err := sessions.Viewer(t.Context(), "Bearer "+sign(t, newKey(t), jwt.SigningMethodEdDSA, "k1", nil))
	if !errors.Is(err, session.ErrUnavailable) {
		t.Error(err)
	}
}

// ring serves a key set that a test can change.
type ring struct {
	mu      sync.Mutex
	set     jose.JSONWebKeySet
	broken  bool
	fetches atomic.Int32
}

func (r *ring) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	r.fetches.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	json.NewEncoder(w).Encode(r.set)
}

func (r *ring) hold(broken bool, keys map[string]any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken, r.set = broken, jose.JSONWebKeySet{}
	for id, k := range keys {
		r.set.Keys = append(r.set.Keys, jose.JSONWebKey{Key: k, KeyID: id, Use: "sig", Algorithm: "EdDSA"})
	}
}

func TestJWKS(t *testing.T) {
	first, second := public(newKey(t)), public(newKey(t))
	r := &ring{}
	srv := httptest.NewServer(r)
	defer srv.Close()
	defer srv.Client().CloseIdleConnections()
	held := clock.Hold(noon)
	set := session.NewJWKS(srv.URL, srv.Client(), held)
	check := func(id string, want ed25519.PublicKey, wantErr bool, fetches int32) {
		t.Helper()
		got, err := set.Key(t.Context(), id)
		if (err != nil) != wantErr || !got.Equal(want) {
			t.Errorf("%s: %v %v", id, got, err)
		}
		if n := r.fetches.Load(); n != fetches {
			t.Errorf("%s: %d fetches so far, want %d", id, n, fetches)
		}
	}
	unknown := func(id string) {
		t.Helper()
		if _, err := set.Key(t.Context(), id); !errors.Is(err, session.ErrUnknownKey) {
			t.Errorf("%s: %v", id, err)
		}
	}

	r.hold(true, nil) // the gateway may start before accounts does
	check("k1", nil, true, 1)
	check("k1", nil, true, 1)
	held.Advance(2 * time.Second)
	r.hold(false, map[string]any{"k1": first, "sym": []byte("a secret that is none of our business")})
	check("k1", first, false, 2)
	check("k1", first, false, 2)
	for range 100 { // made-up ids are no reason to ask again and again
		unknown("k2")
		unknown("sym")
	}
	check("k1", first, false, 2)

	r.hold(false, map[string]any{"k1": first, "k2": second}) // a key is added
	held.Advance(time.Minute)
	check("k2", second, false, 3)

	r.hold(false, map[string]any{"k2": second}) // and the older one withdrawn
	held.Advance(11 * time.Minute)
	check("k2", second, false, 4)
	unknown("k1")

	r.hold(true, nil) // accounts is down: what we have serves for a while
	held.Advance(30 * time.Minute)
	check("k2", second, false, 5)
	held.Advance(31 * time.Minute)
	check("k2", nil, true, 6)
}

func TestJWKSAtOnce(t *testing.T) {
	key := public(newKey(t))
	r := &ring{}
	r.hold(false, map[string]any{"k1": key})
	srv := httptest.NewServer(r)
	defer srv.Close()
	defer srv.Client().CloseIdleConnections()
	set := session.NewJWKS(srv.URL, srv.Client(), clock.Hold(noon))
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if got, err := set.Key(context.Background(), "k1"); err != nil || !got.Equal(key) {
				t.Error(got, err)
			}
		})
	}
	all.Wait()
	if n := r.fetches.Load(); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

func BenchmarkRemembered(b *testing.B) {
	_, key, _ := ed25519.GenerateKey(nil)
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"iss": "souk", "sub": "acc_ann", "exp": noon.Add(time.Hour).Unix()})
	token.Header["kid"] = "k1"
	text, _ := token.SignedString(key)
	sessions := session.New(session.Keys{"k1": public(key)}, clock.Hold(noon))
	for b.Loop() {
		if _, _, err := sessions.Viewer(b.Context(), "Bearer "+text); err != nil {
			b.Fatal(err)
		}
	}
}
