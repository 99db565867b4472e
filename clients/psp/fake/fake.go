// Package fake is a payment provider that moves no money, for development and tests. It keeps books, hangs, declines and
// sends signed webhooks as real ones do.
package fake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/souk-shop/souk/clients/psp"
	"github.com/souk-shop/souk/internal/clock"
)

// Name is what the provider is called in the books.
const Name = "fake"

// A Config says how the provider behaves. Only the secret is needed.
type Config struct {
	Secret     []byte // signs the webhooks
	WebhookURL string // where they go; they wait while it is empty
	PublicURL  string // where Pages is mounted, for buyers to confirm
	File       string // keeps the books over a restart; "" keeps them in memory
	Delivery   Delivery

	Slow   time.Duration                              // how long 0069 takes; 0 means 3 s
	Wait   func(context.Context, time.Duration) error // how time passes; nil waits for real
	Clock  clock.Clock                                // dates the signatures; nil is the machine's
	Client *http.Client                               // sends the webhooks; nil is one with a deadline
	Log    *slog.Logger                               // hears of webhooks that nobody takes; nil is silent
}

// A Provider is the fake. It is a psp.Provider.
type Provider struct {
	cfg Config

	mu       sync.Mutex
	payments map[string]*payment // by our key
	outgoing []webhook
	bell     chan struct{}
	file     *os.File
}

var _ psp.Provider = (*Provider)(nil)

// A payment is one line of the books.
type payment struct {
	psp.Record
	Token string
	Moves map[string]move // by key
	seq   ulid.ULID       // orders the books

	decided chan struct{} // closed once the outcome is known
}

type move struct {
	Kind   psp.Kind
	Amount int64
	Answer psp.Answer
}

// New opens the provider's books.
func New(cfg Config) (*Provider, error) {
	p := &Provider{cfg: cfg.withDefaults(), payments: map[string]*payment{}, bell: make(chan struct{}, 1)}
	return p, p.open()
}

func (cfg Config) withDefaults() Config {
	cfg.Slow = cmp.Or(cfg.Slow, 3*time.Second)
	if cfg.Wait == nil {
		cfg.Wait = wait
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System
	}
	if cfg.Client == nil {
		cfg.Client = &http.Client{Timeout: 5 * time.Second}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return cfg
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Name says who it is.
func (*Provider) Name() string { return Name }

// ErrKey says that a key was used before for something else.
var ErrKey = errors.New("psp/fake: this key was used for something else")

// Authorize decides as the card says, or never.
func (p *Provider) Authorize(ctx context.Context, a psp.Authorization) (psp.Answer, error) {
	p.mu.Lock()
	pay, known := p.payments[a.Key]
	switch {
	case known && pay.Token == "": // let go before it came
		p.mu.Unlock()
		return psp.Answer{Outcome: psp.Declined, Reference: pay.Reference, Code: "voided"}, nil
	case known && (pay.Token != a.Token || pay.Amount != a.Amount):
		p.mu.Unlock()
		return psp.Answer{}, ErrKey
	case !known:
		pay = p.add(a)
		if outcome, code, at := cards(a.Token); at == now {
			p.decide(pay, outcome, code)
		} else if at == soon {
			p.decideSoon(pay)
		}
	}
	decided := pay.decided
	p.mu.Unlock()
	select {
	case <-decided:
	case <-ctx.Done():
		return psp.Answer{}, ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return answer(pay.Record), nil
}

func answer(r psp.Record) psp.Answer {
	return psp.Answer{Outcome: r.Outcome, Reference: r.Reference, Code: r.Code, RedirectURL: r.RedirectURL}
}

func (p *Provider) add(a psp.Authorization) *payment {
	seq := ulid.Make()
	pay := &payment{
		Record: psp.Record{Key: a.Key, Reference: "fake_" + seq.String(), Amount: a.Amount},
		Token:  a.Token, Moves: map[string]move{}, decided: make(chan struct{}), seq: seq,
	}
	p.payments[a.Key] = pay
	p.save(pay)
	return pay
}

// decide settles an authorisation. A buyer who has to confirm first decides it again.
func (p *Provider) decide(pay *payment, outcome psp.Outcome, code string) {
	if pay.Outcome == psp.Unknown {
		close(pay.decided)
	}
	pay.Outcome, pay.Code, pay.RedirectURL = outcome, code, ""
	switch outcome {
	case psp.ActionRequired:
		pay.RedirectURL = p.cfg.PublicURL + "/payments/" + pay.Key
	case psp.Approved:
		pay.Authorized, pay.Voided = pay.Amount.Amount, false
		p.tell(pay, psp.Authorize, "", pay.Amount.Amount, true, "")
	case psp.Declined:
		p.tell(pay, psp.Authorize, "", pay.Amount.Amount, false, code)
	}
	p.save(pay)
}

// decideSoon approves a payment after a while, whether or not anybody still waits for it.
func (p *Provider) decideSoon(pay *payment) {
	go func() {
		if p.cfg.Wait(context.Background(), p.cfg.Slow) != nil {
			return
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		switch {
		case pay.Outcome == psp.Unknown && pay.Voided:
			p.decide(pay, psp.Declined, "voided")
		case pay.Outcome == psp.Unknown:
			p.decide(pay, psp.Approved, "")
		}
	}()
}

// move does what a key asks for, once.
func (p *Provider) move(kind psp.Kind, m psp.Move, do func(*payment) psp.Answer) (psp.Answer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pay, known := p.payments[m.Payment]
	if !known && kind == psp.Void {
		pay, known = p.add(psp.Authorization{Key: m.Payment}), true
	}
	if !known {
		return psp.Answer{}, psp.ErrNoPayment
	}
	if done, again := pay.Moves[m.Key]; again {
		if done.Kind != kind || done.Amount != m.Amount.Amount {
			return psp.Answer{}, ErrKey
		}
		return done.Answer, nil
	}
	a := do(pay)
	if a.Outcome == psp.Unknown {
		return a, nil
	}
	pay.Moves[m.Key] = move{kind, m.Amount.Amount, a}
	if kind != psp.Void || pay.Authorized > 0 { // else there was nothing to let go
		p.tell(pay, kind, m.Key, m.Amount.Amount, a.Outcome == psp.Approved, a.Code)
	}
	p.save(pay)
	return a, nil
}

func declined(code string) psp.Answer { return psp.Answer{Outcome: psp.Declined, Code: code} }

// Capture takes promised money.
func (p *Provider) Capture(_ context.Context, m psp.Move) (psp.Answer, error) {
	return p.move(psp.Capture, m, func(pay *payment) psp.Answer {
		switch {
		case pay.Outcome != psp.Approved || pay.Voided:
			return declined("not_authorized")
		case pay.Captured > 0:
			return declined("already_captured")
		case m.Amount.Amount < 1 || m.Amount.Amount > pay.Authorized || m.Amount.Currency != pay.Amount.Currency:
			return declined("invalid_amount")
		}
		pay.Captured = m.Amount.Amount
		return psp.Answer{Outcome: psp.Approved, Reference: pay.Reference}
	})
}

// Void lets a payment go, also one that never came.
func (p *Provider) Void(_ context.Context, m psp.Move) (psp.Answer, error) {
	return p.move(psp.Void, m, func(pay *payment) psp.Answer {
		switch {
		case pay.Captured > 0:
			return declined("already_captured")
		case pay.Token == "" && pay.Outcome == psp.Unknown:
			close(pay.decided)
			fallthrough
		case pay.Outcome == psp.ActionRequired:
			pay.Outcome, pay.Code, pay.RedirectURL = psp.Declined, "voided", ""
		}
		pay.Voided = true
		return psp.Answer{Outcome: psp.Approved, Reference: pay.Reference}
	})
}

// Refund gives captured money back.
func (p *Provider) Refund(_ context.Context, m psp.Move) (psp.Answer, error) {
	return p.move(psp.Refund, m, func(pay *payment) psp.Answer { return refund(pay, m.Key, m) })
}

func refund(pay *payment, key string, m psp.Move) psp.Answer {
	if m.Amount.Amount < 1 || m.Amount.Amount > pay.Captured-pay.Refunded || m.Amount.Currency != pay.Amount.Currency {
		return declined("invalid_amount")
	}
	reference := "fake_re_" + ulid.Make().String()
	pay.Refunded += m.Amount.Amount
	pay.Refunds = append(pay.Refunds, psp.Refunded{Key: key, Reference: reference, Amount: m.Amount.Amount})
	return psp.Answer{Outcome: psp.Approved, Reference: reference}
}

// Lookup reads the books.
func (p *Provider) Lookup(_ context.Context, key string) (psp.Record, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pay, known := p.payments[key]
	if !known {
		return psp.Record{}, psp.ErrNoPayment
	}
	return record(pay), nil
}

func record(pay *payment) psp.Record {
	r := pay.Record
	r.Refunds = slices.Clone(r.Refunds)
	return r
}

// Books returns every payment, oldest first.
func (p *Provider) Books() []psp.Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := slices.SortedFunc(maps.Values(p.payments), func(a, b *payment) int { return a.seq.Compare(b.seq) })
	records := make([]psp.Record, len(all))
	for i, pay := range all {
		records[i] = record(pay)
	}
	return records
}

// Kept returns what the provider holds for the shop of all payments, by currency: promised or taken.
func (p *Provider) Kept() map[string]int64 {
	kept := map[string]int64{}
	for _, r := range p.Books() {
		if n := r.Kept(); n != 0 {
			kept[r.Amount.Currency] += n
		}
	}
	return kept
}

// Succeed lets a payment that is being decided succeed: the late success of a card that did not answer. The bank has not
// heard that the payment was let go meanwhile.
func (p *Provider) Succeed(key string) error { return p.settle(key, psp.Unknown, psp.Approved, "") }

// Fail lets a payment that is being decided fail.
func (p *Provider) Fail(key string) error {
	return p.settle(key, psp.Unknown, psp.Declined, "card_declined")
}

// Confirm is the buyer who agrees to pay.
func (p *Provider) Confirm(key string) error {
	return p.settle(key, psp.ActionRequired, psp.Approved, "")
}

// Refuse is the buyer who does not.
func (p *Provider) Refuse(key string) error {
	return p.settle(key, psp.ActionRequired, psp.Declined, "authentication_failed")
}

func (p *Provider) settle(key string, from, to psp.Outcome, code string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	pay, known := p.payments[key]
	switch {
	case !known:
		return psp.ErrNoPayment
	case pay.Outcome != from:
		return fmt.Errorf("psp/fake: the payment is decided: %q", pay.Outcome)
	}
	p.decide(pay, to, code)
	return nil
}

// GiveBack is somebody at the provider who gives money back without asking the shop.
func (p *Provider) GiveBack(key string, amount int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	pay, known := p.payments[key]
	if !known {
		return psp.ErrNoPayment
	}
	m := psp.Move{Key: "fake_desk_" + ulid.Make().String(), Payment: key, Amount: pay.Amount}
	m.Amount.Amount = amount
	if a := refund(pay, m.Key, m); a.Outcome != psp.Approved {
		return errors.New("psp/fake: " + a.Code)
	}
	p.tell(pay, psp.Refund, m.Key, amount, true, "")
	p.save(pay)
	return nil
}
