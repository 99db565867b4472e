package fake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/souk-shop/souk/clients/psp"
	"github.com/souk-shop/souk/internal/money"
)

// SignatureHeader is the header that vouches for a webhook.
const SignatureHeader = "Souk-Psp-Signature"

// A Delivery is how webhooks reach the shop.
type Delivery struct {
	Twice     bool // as providers do that missed the first answer
	Backwards bool // the newest first
}

// A webhook is the body of what is sent.
type webhook struct {
	ID        string       `json:"id"`
	Kind      psp.Kind     `json:"kind"`
	Success   bool         `json:"success"`
	Payment   string       `json:"payment"`
	Reference string       `json:"reference"`
	Move      string       `json:"move,omitempty"`
	Code      string       `json:"code,omitempty"`
	Amount    *money.Money `json:"amount,omitempty"`
}

// tell queues a webhook. A payment that never came has nothing to be told of.
func (p *Provider) tell(pay *payment, kind psp.Kind, move string, amount int64, success bool, code string) {
	if pay.Token == "" {
		return
	}
	p.outgoing = append(p.outgoing, webhook{
		ID: "fake_evt_" + ulid.Make().String(), Kind: kind, Success: success, Payment: pay.Key, Reference: pay.Reference,
		Move: move, Code: code, Amount: &money.Money{Amount: amount, Currency: pay.Amount.Currency},
	})
	select {
	case p.bell <- struct{}{}:
	default:
	}
}

// Event reads a webhook.
func (p *Provider) Event(header func(string) string, body []byte, now time.Time) (psp.Event, error) {
	return event(p.cfg.Secret, header, body, now)
}

func event(secret []byte, header func(string) string, body []byte, now time.Time) (psp.Event, error) {
	if err := psp.Verify(secret, header(SignatureHeader), body, now); err != nil {
		return psp.Event{}, err
	}
	var w webhook
	if err := json.Unmarshal(body, &w); err != nil || w.ID == "" || w.Reference == "" {
		return psp.Event{}, psp.ErrEvent
	}
	return psp.Event{
		ID: w.ID, Kind: w.Kind, Success: w.Success, Payment: w.Payment, Reference: w.Reference, Move: w.Move, Code: w.Code, Amount: w.Amount,
	}, nil
}

// Untold returns how many webhooks wait to be taken.
func (p *Provider) Untold() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.outgoing)
}

// Deliver sends the webhooks that wait. What the shop does not take with a 2xx goes on waiting.
func (p *Provider) Deliver(ctx context.Context, d Delivery) error {
	p.mu.Lock()
	waiting := p.outgoing
	p.outgoing = nil
	p.mu.Unlock()
	if d.Backwards {
		slices.Reverse(waiting)
	}
	var refused []webhook
	var failed []error
	for _, w := range waiting {
		err := p.send(ctx, w)
		if err == nil && d.Twice {
			err = p.send(ctx, w)
		}
		if err != nil {
			refused, failed = append(refused, w), append(failed, err)
		}
	}
	p.mu.Lock()
	p.outgoing = append(refused, p.outgoing...)
	p.mu.Unlock()
	return errors.Join(failed...)
}

func (p *Provider) send(ctx context.Context, w webhook) error {
	body, err := json.Marshal(w)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.cfg.WebhookURL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(SignatureHeader, psp.Sign(p.cfg.Secret, body, p.cfg.Clock.Now()))
	res, err := p.cfg.Client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
	if res.StatusCode >= 300 {
		return fmt.Errorf("psp/fake: webhook %s: %s", w.ID, res.Status)
	}
	return nil
}

// Run sends webhooks as they come up, again when they are not taken, until ctx ends.
func (p *Provider) Run(ctx context.Context) error {
	const soonest, latest = time.Second, 30 * time.Second
	again := soonest
	for {
		var retry <-chan time.Time
		if p.cfg.WebhookURL != "" {
			if err := p.Deliver(ctx, p.cfg.Delivery); err != nil && ctx.Err() == nil {
				p.cfg.Log.Warn("webhooks are not taken", "provider", Name, "error", err, "retry_in", again)
				retry = time.After(again)
				again = min(2*again, latest)
			} else {
				again = soonest
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.bell:
			if retry != nil { // news does not make the shop answer sooner
				select {
				case <-ctx.Done():
					return nil
				case <-retry:
				}
			}
		case <-retry:
		}
	}
}
