package fake

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/souk-shop/souk/clients/psp"
)

// longestRequest bounds what a desk reads, and what of an answer a shop does.
const longestRequest = 1 << 20

// Desk serves the provider to shops in other processes, which know it as a Remote. Requests are signed as webhooks are.
//
//	POST /desk/{what}
func (p *Provider) Desk() http.Handler {
	mux := http.NewServeMux()
	at(p, mux, "authorize", p.Authorize)
	at(p, mux, "capture", p.Capture)
	at(p, mux, "void", p.Void)
	at(p, mux, "refund", p.Refund)
	at(p, mux, "lookup", p.Lookup)
	return mux
}

// at serves one thing that the provider can be asked for.
func at[In, Out any](p *Provider, mux *http.ServeMux, what string, do func(context.Context, In) (Out, error)) {
	mux.HandleFunc("POST /desk/"+what, func(w http.ResponseWriter, r *http.Request) {
		var in In
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, longestRequest))
		if err != nil || psp.Verify(p.cfg.Secret, r.Header.Get(SignatureHeader), body, p.cfg.Clock.Now()) != nil || json.Unmarshal(body, &in) != nil {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		out, err := do(r.Context(), in)
		switch {
		case errors.Is(err, psp.ErrNoPayment):
			http.Error(w, err.Error(), http.StatusNotFound)
		case errors.Is(err, ErrKey):
			http.Error(w, err.Error(), http.StatusConflict)
		case err != nil:
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		default:
			json.NewEncoder(w).Encode(out)
		}
	})
}

// A Remote is the fake in another process, whose books outlive the shop's. It is a psp.Provider.
type Remote struct {
	cfg Config
	url string
}

var _ psp.Provider = (*Remote)(nil)

// Dial returns the provider whose Desk is served at a URL. It connects to nothing yet.
func Dial(url string, cfg Config) *Remote {
	cfg.Client = cmp.Or(cfg.Client, &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}) // callers bring their deadlines
	return &Remote{cfg.withDefaults(), strings.TrimSuffix(url, "/")}
}

// Name says who it is.
func (*Remote) Name() string { return Name }

// Describe names a token for people.
func (*Remote) Describe(_ context.Context, kind, token string) (string, error) {
	return describe(kind, token)
}

// Authorize has the money promised.
func (r *Remote) Authorize(ctx context.Context, a psp.Authorization) (psp.Answer, error) {
	return ask[psp.Answer](ctx, r, "authorize", a)
}

// Capture takes promised money.
func (r *Remote) Capture(ctx context.Context, m psp.Move) (psp.Answer, error) {
	return ask[psp.Answer](ctx, r, "capture", m)
}

// Void lets a payment go.
func (r *Remote) Void(ctx context.Context, m psp.Move) (psp.Answer, error) {
	return ask[psp.Answer](ctx, r, "void", m)
}

// Refund gives captured money back.
func (r *Remote) Refund(ctx context.Context, m psp.Move) (psp.Answer, error) {
	return ask[psp.Answer](ctx, r, "refund", m)
}

// Lookup reads the books.
func (r *Remote) Lookup(ctx context.Context, payment string) (psp.Record, error) {
	return ask[psp.Record](ctx, r, "lookup", payment)
}

// Event reads a webhook.
func (r *Remote) Event(header func(string) string, body []byte, now time.Time) (psp.Event, error) {
	return event(r.cfg.Secret, header, body, now)
}

func ask[Out any](ctx context.Context, r *Remote, what string, in any) (out Out, err error) {
	body, err := json.Marshal(in)
	if err != nil {
		return out, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+"/desk/"+what, bytes.NewReader(body))
	if err != nil {
		return out, err
	}
	req.Header.Set(SignatureHeader, psp.Sign(r.cfg.Secret, body, r.cfg.Clock.Now()))
	res, err := r.cfg.Client.Do(req)
	if err != nil {
		return out, err
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
		return out, json.NewDecoder(io.LimitReader(res.Body, longestRequest)).Decode(&out)
	case http.StatusNotFound:
		return out, psp.ErrNoPayment
	case http.StatusConflict:
		return out, ErrKey
	}
	return out, fmt.Errorf("psp/fake: %s: %s", what, res.Status)
}
