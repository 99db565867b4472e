package payments

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/souk-shop/souk/clients/psp"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/money"
)

// A Report is something that a provider tells by itself, or somebody in its name.
type Report struct {
	Provider   string
	EventID    string // the provider's; each counts once
	Reference  string // the provider's id of the payment; ours will do
	PaymentID  string // ours, "" when the provider does not say
	Kind       Kind
	Success    bool
	Amount     *money.Money // nil is all there is
	Operation  string       // the key of the move, "" when nobody says
	Code       string       // why it failed
	ReceivedAt time.Time
	Attempts   int
}

// A Reported is what came of a report.
type Reported struct {
	Payment Payment // the payment it is about; without an id as long as none is known
	Verdict
}

// A Verdict is what a report meant for its payment.
type Verdict struct {
	TransactionID string       // what it stands for, "" when it changed nothing
	Early         bool         // it cannot count before something else is told
	Refusal       *fault.Error // why it will never count
}

// The refusals of a report.
var (
	ErrProvider  = fault.New(fault.Invalid, "UNKNOWN_PROVIDER", "there is no such provider").At("input", "provider")
	ErrEventID   = fault.New(fault.Invalid, "INVALID", "an event's id has 1 to 200 characters").At("input", "eventId")
	ErrReference = fault.New(fault.Invalid, "INVALID", "a reference has 1 to 200 characters").At("input", "reference")
	ErrUnheardOf = fault.New(fault.NotFound, "NOT_FOUND", "no payment has this reference yet; the event is kept, and counts once there is one").At("input", "reference")
)

// Report takes in what the provider said and returns the payment after it. It counts once, and in any order: what depends
// on something that was not told yet, or is about a payment that nobody knows yet, is kept and tried again.
func (ps *Payments) Report(ctx context.Context, r Report) (Payment, error) {
	switch {
	case r.Provider != ps.provider.Name():
		return Payment{}, ErrProvider
	case r.EventID == "" || len(r.EventID) > 200:
		return Payment{}, ErrEventID
	case r.Reference == "" || len(r.Reference) > 200:
		return Payment{}, ErrReference
	case r.Amount != nil && r.Amount.Amount <= 0:
		return Payment{}, ErrAmount
	}
	r.ReceivedAt = ps.clock.Now()
	reported, err := ps.count(ctx, r)
	switch {
	case err != nil:
		return Payment{}, err
	case reported.Payment.ID == "":
		return Payment{}, ErrUnheardOf
	case reported.Refusal != nil:
		return Payment{}, reported.Refusal
	}
	return reported.Payment, nil
}

// count lets a report count, unless it did so before.
func (ps *Payments) count(ctx context.Context, r Report) (Reported, error) {
	reported, err := ps.store.Report(ctx, r, ps.clock.Now().Add(r.wait()), func(p *Payment, r Report) (Verdict, error) {
		f := r.fact()
		if p.ID == r.Reference {
			f.Payment = ""
		}
		if r.Amount != nil {
			if r.Amount.Currency != p.Amount.Currency {
				return Verdict{Refusal: ErrAmount}, nil
			}
			f.Amount = r.Amount.Amount
		}
		t, err := p.learn(ps.clock.Now(), f)
		refusal, refused := fault.ForUser(err)
		switch {
		case errors.Is(err, errEarly):
			return Verdict{Early: true}, nil
		case refused:
			return Verdict{Refusal: refusal}, nil
		}
		return Verdict{TransactionID: t.ID}, err
	})
	if err == nil {
		ps.startAll(reported.Payment)
	}
	return reported, err
}

func (r Report) fact() Fact {
	f := Fact{Kind: r.Kind, Outcome: psp.Approved, Operation: r.Operation, Payment: r.Reference, Code: r.Code, told: true}
	if !r.Success {
		f.Outcome = psp.Declined
	}
	return f
}

// wait is how long a report that did not count yet is left alone.
func (r Report) wait() time.Duration { return min(soonest<<min(r.Attempts, 12), time.Hour) }

// Webhook takes in what a provider sent. It is an error only where the provider shall send it again, or has no business to.
func (ps *Payments) Webhook(ctx context.Context, provider string, header func(string) string, body []byte) error {
	if provider != ps.provider.Name() {
		return ErrProvider
	}
	e, err := ps.provider.Event(header, body, ps.clock.Now())
	if err != nil {
		return err
	}
	if !slices.Contains([]Kind{psp.Authorize, psp.Capture, psp.Void, psp.Refund}, e.Kind) {
		return psp.ErrEvent
	}
	_, err = ps.Report(ctx, Report{
		Provider: provider, EventID: e.ID, Reference: e.Reference, PaymentID: e.Payment, Kind: e.Kind, Success: e.Success, Amount: e.Amount,
		Operation: e.Move, Code: e.Code,
	})
	return err
}
