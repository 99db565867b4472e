package passport_test

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
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
	send := func(v viewer.Viewer, change func(*http.Request)) (int, string) {
		t.Helper()
		req, _ := http.NewRequestWithContext(viewer.With(t.Context(), v), "POST", srv.URL, strings.NewReader("{a}"))
		change(req)
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(b)
	}
	ann := viewer.Viewer{AccountID: "acc_ann", Scopes: []string{"staff"}}

	stampedBy := func(k passport.Key) func(*http.Request) {
		return func(r *http.Request) {
			if err := k.Stamp(r); err != nil {
				t.Error(err)
			}
		}
	}
	if code, body := send(ann, stampedBy(key)); code != 200 || body != "acc_ann {a}" {
		t.Errorf("signed: %d %s", code, body)
	}
	if code, body := send(ann, func(r *http.Request) {
		r.Body, r.GetBody, r.ContentLength = io.NopCloser(strings.NewReader("{once}")), nil, -1
		stampedBy(key)(r)
	}); code != 200 || body != "acc_ann {once}" {
		t.Errorf("a body that can be read once: %d %s", code, body)
	}
	if code, _ := send(ann, func(*http.Request) {}); code != 401 {
		t.Errorf("unsigned: %d", code)
	}
	if code, _ := send(ann, stampedBy(passport.Key("another key"))); code != 401 {
		t.Errorf("foreign key: %d", code)
	}
	other, err := key.Issue(ann, []byte("{b}"))
	if err != nil {
		t.Fatal(err)
	}
	if code, _ := send(ann, func(r *http.Request) { r.Header.Set(passport.Header, other) }); code != 401 {
		t.Errorf("made for another body: %d", code)
	}
}

// What others make of the same key is read as a JSON Web Token is, and refused unless it is signed the one way that we sign.
func TestPassportsAreJSONWebTokens(t *testing.T) {
	key := passport.Key("a key of the shop")
	body := []byte("{a}")
	ann := viewer.Viewer{AccountID: "acc_ann", Scopes: []string{"staff"}, Country: "IN"}
	token, err := key.Issue(ann, body)
	if err != nil {
		t.Fatal(err)
	}
	if who, err := key.Check(token, body); err != nil || !reflect.DeepEqual(who, ann) {
		t.Errorf("%+v, %v", who, err)
	}
	said := jwt.MapClaims{}
	if _, err := jwt.ParseWithClaims(token, said, func(*jwt.Token) (any, error) { return []byte(key), nil }, jwt.WithExpirationRequired()); err != nil || said["sub"] != "acc_ann" {
		t.Errorf("%v, %v", said, err)
	}
	if at, err := said.GetExpirationTime(); err != nil || time.Until(at.Time) > time.Minute {
		t.Errorf("a passport lasts until %v: %v", at, err)
	}
	soon := func(d time.Duration) jwt.MapClaims {
		c := maps.Clone(said)
		c["exp"] = time.Now().Add(d).Unix()
		return c
	}
	forever := maps.Clone(said)
	delete(forever, "exp")
	for name, c := range map[string]struct {
		method jwt.SigningMethod
		key    any
		claims jwt.MapClaims
		passes bool
	}{
		"as ours":        {jwt.SigningMethodHS256, []byte(key), soon(time.Second), true},
		"a clock behind": {jwt.SigningMethodHS256, []byte(key), soon(-2 * time.Second), true},
		"expired":        {jwt.SigningMethodHS256, []byte(key), soon(-7 * time.Second), false},
		"for ever":       {jwt.SigningMethodHS256, []byte(key), forever, false},
		"not signed":     {jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, soon(time.Second), false},
		"another way":    {jwt.SigningMethodHS512, []byte(key), soon(time.Second), false},
		"another key":    {jwt.SigningMethodHS256, []byte("a guess"), soon(time.Second), false},
	} {
		token, err := jwt.NewWithClaims(c.method, c.claims).SignedString(c.key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := key.Check(token, body); (err == nil) != c.passes || err != nil && !errors.Is(err, passport.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	dot := strings.LastIndexByte(token, '.')
	for _, bad := range []string{"", ".", "..", "...", "a.b.c", token[:dot], token[:dot+1], token + ".", token + "A", "." + token, token[:dot-1] + token[dot:], strings.ToUpper(token)} {
		if who, err := key.Check(bad, body); !errors.Is(err, passport.ErrRefused) {
			t.Errorf("%q passes as %+v: %v", bad, who, err)
		}
	}
}

func BenchmarkPassport(b *testing.B) {
	key := passport.Key("a key of the shop")
	body := []byte(strings.Repeat("a body of a fetch ", 50))
	for b.Loop() {
		token, err := key.Issue(viewer.Viewer{AccountID: "acc_01J", SessionID: "ses_01J"}, body)
		if err == nil {
			_, err = key.Check(token, body)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
