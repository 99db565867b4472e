// Package fake stands in for Cloudflare's Turnstile in tests: it gives tokens to visitors and verifies each once, and has bad days as
// the real one does.
package fake

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/souk-shop/souk/clients/turnstile"
)

// A Mishap is what becomes of one request instead of an answer.
type Mishap int

// The mishaps.
const (
	Fails    Mishap = iota // 502 and a page, the token untouched
	Confused               // 200, internal-error, the token untouched
	Lost                   // the token is verified, and the answer lost
	Hangs                  // until the caller gives up
)

// Turnstile is the fake; serve it over HTTP.
type Turnstile struct {
	secret string

	mu      sync.Mutex
	given   map[string]turnstile.Verdict // by token
	used    map[string]string            // token → the key it was verified under
	mishaps []Mishap
	asked   int
}

// New returns a Turnstile that knows one secret.
func New(secret string) *Turnstile {
	return &Turnstile{secret: secret, given: map[string]turnstile.Verdict{}, used: map[string]string{}}
}

// Give makes a token, as the widget would for a visitor whom it believes.
func (f *Turnstile) Give(v turnstile.Verdict) (token string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	token = fmt.Sprintf("0.visitor-%d", len(f.given)+1)
	f.given[token] = v
	return token
}

// Next has the requests to come meet with mishaps, one each.
func (f *Turnstile) Next(m ...Mishap) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mishaps = append(f.mishaps, m...)
}

// Asked is how many requests came.
func (f *Turnstile) Asked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

// ServeHTTP is siteverify.
func (f *Turnstile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Secret   string
		Response string
		Key      string `json:"idempotency_key"`
	}
	body, _ := io.ReadAll(r.Body)
	err := json.Unmarshal(body, &q)
	f.mu.Lock()
	f.asked++
	mishap := Mishap(-1)
	if len(f.mishaps) > 0 {
		mishap, f.mishaps = f.mishaps[0], f.mishaps[1:]
	}
	f.mu.Unlock()
	switch mishap {
	case Fails:
		w.WriteHeader(http.StatusBadGateway)
		io.WriteString(w, "<html>bad gateway</html>")
		return
	case Confused:
		refuse(w, "internal-error")
		return
	case Hangs:
		<-r.Context().Done()
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	verdict, given := f.given[q.Response]
	before, used := f.used[q.Response]
	switch {
	case err != nil:
		refuse(w, "bad-request")
	case q.Secret != f.secret:
		refuse(w, "invalid-input-secret")
	case !given:
		refuse(w, "invalid-input-response")
	case used && (q.Key == "" || before != q.Key):
		refuse(w, "timeout-or-duplicate")
	default:
		f.used[q.Response] = q.Key
		if mishap == Lost {
			panic(http.ErrAbortHandler)
		}
		json.NewEncoder(w).Encode(map[string]any{"success": true, "error-codes": []string{}, "hostname": "souk.test", "action": verdict.Action, "cdata": verdict.Data})
	}
}

func refuse(w http.ResponseWriter, code string) {
	json.NewEncoder(w).Encode(map[string]any{"success": false, "error-codes": []string{code}})
}
