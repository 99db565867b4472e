package passport_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/souk-shop/souk/internal/passport"
	"github.com/souk-shop/souk/internal/viewer"
)

func TestGuard(t *testing.T) {
	key := passport.Key("a key of the shop")
	srv := httptest.NewServer(key.Guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		io.WriteString(w, viewer.From(r.Context()).AccountID+" "+string(body))
	})))
	defer srv.Close()
	send := func(rt http.RoundTripper, v viewer.Viewer, change func(*http.Request)) (int, string) {
		t.Helper()
		req, _ := http.NewRequestWithContext(viewer.With(t.Context(), v), "POST", srv.URL, strings.NewReader("{a}"))
		if change != nil {
			change(req)
		}
		res, err := rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(b)
	}
	ann := viewer.Viewer{AccountID: "acc_ann", Scopes: []string{"staff"}}

	if code, body := send(key.Sign(http.DefaultTransport), ann, nil); code != 200 || body != "acc_ann {a}" {
		t.Errorf("signed: %d %s", code, body)
	}
	if code, _ := send(http.DefaultTransport, ann, nil); code != 401 {
		t.Errorf("unsigned: %d", code)
	}
	if code, _ := send(passport.Key("another key").Sign(http.DefaultTransport), ann, nil); code != 401 {
		t.Errorf("foreign key: %d", code)
	}
	other, err := key.Issue(ann, []byte("{b}"))
	if err != nil {
		t.Fatal(err)
	}
	if code, _ := send(http.DefaultTransport, ann, func(r *http.Request) { r.Header.Set(passport.Header, other) }); code != 401 {
		t.Errorf("made for another body: %d", code)
	}
}

// A passport is good for seconds, and only as its maker signed it: one that has run out, that never does, or that nobody signed opens nothing.
func TestAPassportRunsOut(t *testing.T) {
	key, body := passport.Key("a key of the shop"), []byte("{a}")
	sum := sha256.Sum256(body)
	claims := func(expires any) jwt.MapClaims {
		c := jwt.MapClaims{"sub": "acc_ann", "body": base64.RawURLEncoding.EncodeToString(sum[:])}
		if expires != nil {
			c["exp"] = expires
		}
		return c
	}
	signed := func(m jwt.SigningMethod, key any, c jwt.MapClaims) string {
		t.Helper()
		token, err := jwt.NewWithClaims(m, c).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	soon, past := time.Now().Add(time.Minute).Unix(), time.Now().Add(-time.Minute).Unix()
	if _, err := key.Check(signed(jwt.SigningMethodHS256, []byte(key), claims(soon)), body); err != nil {
		t.Errorf("in date: %v", err)
	}
	for name, token := range map[string]string{
		"ran out":           signed(jwt.SigningMethodHS256, []byte(key), claims(past)),
		"never runs out":    signed(jwt.SigningMethodHS256, []byte(key), claims(nil)),
		"another algorithm": signed(jwt.SigningMethodHS512, []byte(key), claims(soon)),
		"unsigned":          signed(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims(soon)),
		"empty":             "",
	} {
		if v, err := key.Check(token, body); !errors.Is(err, passport.ErrRefused) || v.SignedIn() {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
	issued, err := key.Issue(viewer.Viewer{AccountID: "acc_ann"}, body)
	if err != nil {
		t.Fatal(err)
	}
	var made jwt.RegisteredClaims
	if _, _, err := jwt.NewParser().ParseUnverified(issued, &made); err != nil || made.ExpiresAt == nil || time.Until(made.ExpiresAt.Time) > 2*time.Minute {
		t.Errorf("a passport lasts until %v: %v", made.ExpiresAt, err)
	}
}
