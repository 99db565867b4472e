package payments

import (
	"context"
	"errors"

	"github.com/souk-shop/souk/clients/psp"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/viewer"
)

// An Action is money moved by hand.
type Action struct {
	PaymentID string
	Amount    *money.Money // nil is all there is
	Key       string
}

// ErrNotPlaced says that an order's money cannot be taken yet, or any more.
var ErrNotPlaced = ErrState.Says("the order is not placed")

// CaptureByHand takes the money of an authorised payment whose order is placed.
func (ps *Payments) CaptureByHand(ctx context.Context, who viewer.Viewer, a Action) (Payment, error) {
	p, err := ps.byHand(ctx, a)
	if err != nil {
		return Payment{}, err
	}
	placed, err := ps.orders.Placed(ctx, p.OrderID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Payment{}, err
	}
	return ps.act(ctx, who, psp.Capture, a, func(p *Payment) (int64, error) {
		switch {
		case p.Status != Authorized || p.Abandoned:
			return 0, ErrState.Says("a payment that is %s cannot be captured", p.Status)
		case !placed:
			return 0, ErrNotPlaced
		}
		if _, asked := p.open(psp.Capture, ""); asked {
			return 0, ErrState.Says("the payment is being captured")
		}
		return amountOf(a, p, p.Authorized.Amount)
	})
}

// VoidByHand lets an authorised payment go.
func (ps *Payments) VoidByHand(ctx context.Context, who viewer.Viewer, a Action) (Payment, error) {
	if _, err := ps.byHand(ctx, a); err != nil {
		return Payment{}, err
	}
	return ps.act(ctx, who, psp.Void, a, func(p *Payment) (int64, error) {
		if p.Status != Authorized {
			return 0, ErrState.Says("a payment that is %s cannot be let go", p.Status)
		}
		for _, k := range []Kind{psp.Capture, psp.Void} {
			if _, asked := p.open(k, ""); asked {
				return 0, ErrState.Says("the payment is being captured or let go")
			}
		}
		amount, err := amountOf(a, p, p.Authorized.Amount)
		if err == nil && amount != p.Authorized.Amount {
			err = ErrAmount.Says("a promise is let go whole")
		}
		return amount, err
	})
}

// RefundByHand gives captured money back, all or in part.
func (ps *Payments) RefundByHand(ctx context.Context, who viewer.Viewer, a Action) (Payment, error) {
	if _, err := ps.byHand(ctx, a); err != nil {
		return Payment{}, err
	}
	return ps.act(ctx, who, psp.Refund, a, func(p *Payment) (int64, error) {
		if p.Status != Captured && p.Status != PartiallyRefunded {
			return 0, ErrState.Says("a payment that is %s cannot be refunded", p.Status)
		}
		left := p.refundable()
		if left == 0 {
			return 0, ErrTooLarge.Says("all of it is being given back already")
		}
		return amountOf(a, p, left)
	})
}

// byHand checks an action and finds its payment.
func (ps *Payments) byHand(ctx context.Context, a Action) (Payment, error) {
	if err := id.Check(id.Payment, a.PaymentID, "input", "paymentId"); err != nil {
		return Payment{}, err
	}
	if err := checkKey(a.Key, "input", "idempotencyKey"); err != nil {
		return Payment{}, err
	}
	p, err := ps.now(ctx, a.PaymentID)
	if errors.Is(err, ErrNotFound) {
		err = ErrNotFound.At("input", "paymentId")
	}
	return p, err
}

func amountOf(a Action, p *Payment, most int64) (int64, error) {
	switch {
	case a.Amount == nil:
		return most, nil
	case a.Amount.Amount <= 0 || a.Amount.Currency != p.Amount.Currency:
		return 0, ErrAmount
	case a.Amount.Amount > most:
		return 0, ErrTooLarge.Says("%s are more than the %s that are there", *a.Amount, money.Money{Amount: most, Currency: p.Amount.Currency})
	}
	return a.Amount.Amount, nil
}

// act asks the provider for what a rule allows, once for every key, and returns the payment after it. While the provider
// has not answered, that is the payment as it was.
func (ps *Payments) act(ctx context.Context, who viewer.Viewer, k Kind, a Action, rule func(*Payment) (int64, error)) (Payment, error) {
	hash, err := hashOf(k, a.PaymentID, a.Amount)
	if err != nil {
		return Payment{}, err
	}
	p, op, err := ps.store.ChangeOnce(ctx, a.PaymentID, Once{Caller: who.AccountID, Key: a.Key, Input: hash}, func(p *Payment) (Operation, error) {
		amount, err := rule(p)
		if err != nil {
			return Operation{}, err
		}
		return p.want(ps.clock.Now(), k, amount, false), nil
	})
	if errors.Is(err, ErrKeyReused) {
		err = ErrKeyReused.At("input", "idempotencyKey")
	}
	if err != nil {
		return Payment{}, err
	}
	ps.startAll(p)
	ps.await(ctx, p.ID)
	if err := ps.outcome(ctx, op.ID); err != nil && !errors.Is(err, ErrWaiting) {
		return Payment{}, err
	}
	return ps.now(ctx, p.ID)
}
