// Package passport is the signed header by which the gateway tells a subgraph who asks.
//
// A passport is a JSON Web Token (RFC 7519, HS256) that holds the viewer, expires within seconds and names the SHA-256 of
// the request's body, so a leaked one opens nothing else. A subgraph answers nobody without one.
package passport

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/souk-shop/souk/internal/viewer"
)

// Header carries the passport from the gateway to a subgraph.
const Header = "Souk-Passport"

const (
	life   = 30 * time.Second // long enough for a retry and two clocks that disagree a little
	leeway = 5 * time.Second
	most   = 8 << 20 // bytes of a request body that a subgraph reads
)

// ErrRefused is every reason for which a passport does not open the door.
var ErrRefused = errors.New("passport refused")

// A Key signs and checks passports; the gateway and the subgraphs share it.
type Key []byte

type claims struct {
	viewer.Viewer
	Body    string           `json:"body"`
	Expires *jwt.NumericDate `json:"exp"`
}

// The token's own account claim is the viewer's; nothing else of the registered claims is used.
func (c claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.Expires, nil }
func (c claims) GetIssuedAt() (*jwt.NumericDate, error)       { return nil, nil }
func (c claims) GetNotBefore() (*jwt.NumericDate, error)      { return nil, nil }
func (c claims) GetIssuer() (string, error)                   { return "", nil }
func (c claims) GetSubject() (string, error)                  { return c.AccountID, nil }
func (c claims) GetAudience() (jwt.ClaimStrings, error)       { return nil, nil }

// Issue makes the header's value for a viewer and the body that goes with it.
func (k Key) Issue(v viewer.Viewer, body []byte) (string, error) {
	return jwt.NewWithClaims(jwt.SigningMethodHS256, claims{v, digest(body), jwt.NewNumericDate(time.Now().Add(life))}).SignedString([]byte(k))
}

// Check returns the viewer of a passport that is genuine, in date and made for this body.
func (k Key) Check(token string, body []byte) (viewer.Viewer, error) {
	var c claims
	_, err := jwt.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return []byte(k), nil },
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired(), jwt.WithLeeway(leeway))
	if err != nil {
		return viewer.Viewer{}, errors.Join(ErrRefused, err)
	}
	if subtle.ConstantTimeCompare([]byte(c.Body), []byte(digest(body))) != 1 {
		return viewer.Viewer{}, errors.Join(ErrRefused, errors.New("made for another body"))
	}
	return c.Viewer, nil
}

func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Guard lets requests with a passport through, with their viewer in the context, and answers 401 to all others.
func (k Key) Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
		if err != nil {
			http.Error(w, "request body too large or cut off", http.StatusBadRequest)
			return
		}
		v, err := k.Check(r.Header.Get(Header), body)
		if err != nil {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			io.WriteString(w, `{"errors":[{"message":"this subgraph answers the gateway alone","extensions":{"code":"UNAUTHENTICATED"}}]}`)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r.WithContext(viewer.With(r.Context(), v)))
	})
}

// Sign returns a round tripper that gives each request a passport for the viewer in its context.
func (k Key) Sign(next http.RoundTripper) http.RoundTripper { return signer{k, next} }

type signer struct {
	key  Key
	next http.RoundTripper
}

func (s signer) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	token, err := s.key.Issue(viewer.From(r.Context()), body)
	if err != nil {
		return nil, err
	}
	signed := r.Clone(r.Context())
	signed.Header.Set(Header, token)
	if body != nil {
		signed.Body = io.NopCloser(bytes.NewReader(body))
		signed.ContentLength = int64(len(body))
		signed.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	}
	return s.next.RoundTrip(signed)
}

func readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	defer r.Body.Close()
	return io.ReadAll(r.Body)
}
