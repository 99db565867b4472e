// Package passport is the signed header by which the gateway tells a subgraph who asks.
//
// A passport is a JSON Web Token (RFC 7519, HS256) that holds the viewer, expires within seconds and names the SHA-256 of
// the request's body, so a leaked one opens nothing else. A subgraph answers nobody without one.
package passport

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

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

// claims are what a passport says; account, seller, session, scopes and locale are the viewer's.
type claims struct {
	viewer.Viewer
	Body    string `json:"body"`
	Expires int64  `json:"exp"` // in seconds since 1970
}

// header is the first part of every passport. There is one way to sign them, so nothing in it is left to who sends one.
var header = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`))

// Issue makes the header's value for a viewer and the body that goes with it.
func (k Key) Issue(v viewer.Viewer, body []byte) (string, error) {
	return k.issue(v, sha256.Sum256(body))
}

func (k Key) issue(v viewer.Viewer, body [sha256.Size]byte) (string, error) {
	said, err := json.Marshal(claims{v, base64.RawURLEncoding.EncodeToString(body[:]), time.Now().Add(life).Unix()})
	if err != nil {
		return "", err
	}
	token := make([]byte, 0, len(header)+2+base64.RawURLEncoding.EncodedLen(len(said))+base64.RawURLEncoding.EncodedLen(sha256.Size))
	token = append(append(token, header...), '.')
	token = base64.RawURLEncoding.AppendEncode(token, said)
	mac := k.sign(token)
	return string(base64.RawURLEncoding.AppendEncode(append(token, '.'), mac)), nil
}

func (k Key) sign(text []byte) []byte {
	mac := hmac.New(sha256.New, k)
	mac.Write(text)
	return mac.Sum(nil)
}

// Check returns the viewer of a passport that is genuine, in date and made for this body.
func (k Key) Check(token string, body []byte) (viewer.Viewer, error) {
	c, err := k.read(token)
	if err != nil {
		return viewer.Viewer{}, err
	}
	sum := sha256.Sum256(body)
	switch {
	case c.Expires == 0 || !time.Now().Add(-leeway).Before(time.Unix(c.Expires, 0)):
		return viewer.Viewer{}, fmt.Errorf("%w: out of date", ErrRefused)
	case c.Body != base64.RawURLEncoding.EncodeToString(sum[:]):
		return viewer.Viewer{}, fmt.Errorf("%w: made for another body", ErrRefused)
	}
	return c.Viewer, nil
}

// read returns what a genuine passport says.
func (k Key) read(token string) (c claims, err error) {
	end := strings.LastIndexByte(token, '.')
	said, ours := strings.CutPrefix(token[:max(end, 0)], header+".")
	if !ours {
		return c, fmt.Errorf("%w: not one of ours", ErrRefused)
	}
	mac, err := base64.RawURLEncoding.Strict().DecodeString(token[end+1:])
	if err != nil || !hmac.Equal(mac, k.sign([]byte(token[:end]))) {
		return c, fmt.Errorf("%w: signed by somebody else", ErrRefused)
	}
	text, err := base64.RawURLEncoding.DecodeString(said)
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		return c, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return c, nil
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
	digest := sha256.New()
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
		if _, err := io.Copy(digest, body); err != nil {
			return err
		}
	}
	token, err := k.issue(viewer.From(r.Context()), [sha256.Size]byte(digest.Sum(nil)))
	if err != nil {
		return err
	}
	r.Header.Set(Header, token)
	return nil
}
