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

type digest [sha256.Size]byte

func (d digest) String() string { return base64.RawURLEncoding.EncodeToString(d[:]) }

// Issue makes the header's value for a viewer and the body that goes with it.
func (k Key) Issue(v viewer.Viewer, body []byte) (string, error) {
	return k.issue(v, sha256.Sum256(body))
}

func (k Key) issue(v viewer.Viewer, body digest) (string, error) {
	return jwt.NewWithClaims(jwt.SigningMethodHS256, claims{v, body.String(), jwt.NewNumericDate(time.Now().Add(life))}).SignedString([]byte(k))
}

var parser = jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired(), jwt.WithLeeway(leeway))

// Check returns the viewer of a passport that is genuine, in date and made for this body.
func (k Key) Check(token string, body []byte) (viewer.Viewer, error) {
	var c claims
	_, err := parser.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return []byte(k), nil })
	if err != nil {
		return viewer.Viewer{}, errors.Join(ErrRefused, err)
	}
	if subtle.ConstantTimeCompare([]byte(c.Body), []byte(digest(sha256.Sum256(body)).String())) != 1 {
		return viewer.Viewer{}, errors.Join(ErrRefused, errors.New("made for another body"))
	}
	return c.Viewer, nil
}

// Guard lets requests with a passport through, with their viewer in the context, and answers 401 to all others.
func (k Key) Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := read(http.MaxBytesReader(w, r.Body, most), r.ContentLength)
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

// read reads to the end what was said to be so many bytes, or -1 if nobody said.
func read(r io.Reader, said int64) ([]byte, error) {
	var all bytes.Buffer
	if said > 0 {
		all.Grow(int(min(said, most)) + bytes.MinRead)
	}
	_, err := all.ReadFrom(r)
	return all.Bytes(), err
}

// Stamp puts into a request that is about to leave a passport for the viewer in its context, good for its body alone.
func (k Key) Stamp(r *http.Request) error {
	sum := sha256.New()
	if r.Body != nil && r.Body != http.NoBody {
		if r.GetBody == nil {
			body, err := read(r.Body, r.ContentLength)
			r.Body.Close()
			if err != nil {
				return err
			}
			r.ContentLength = int64(len(body))
			r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
			r.Body, _ = r.GetBody()
		}
		body, err := r.GetBody()
		if err != nil {
			return err
		}
		if _, err := io.Copy(sum, body); err != nil {
			return err
		}
	}
	token, err := k.issue(viewer.From(r.Context()), digest(sum.Sum(nil)))
	if err != nil {
		return err
	}
	r.Header.Set(Header, token)
	return nil
}
