package payments

import (
	"context"

	"github.com/souk-shop/souk/clients/psp"
	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
)

// Authorize has an order's money promised. It waits for the provider as long as a buyer would, then answers PENDING. The same
// key gives the same payment. One for an order that was abandoned meanwhile ends at once.
func (ps *Payments) Authorize(ctx context.Context, r events.AuthorizeRequest) (events.Payment, error) {
	if err := checkAuthorize(r); err != nil {
		return events.Payment{}, err
	}
	hash, err := hashOf(r.OrderID, r.AccountID, r.PaymentMethodID, r.Amount)
	if err != nil {
		return events.Payment{}, err
	}
	now, none := ps.clock.Now(), money.Money{Currency: r.Amount.Currency}
	p := Payment{
		ID: id.New(id.Payment), OrderID: r.OrderID, AccountID: r.AccountID, MethodID: r.PaymentMethodID, Provider: ps.provider.Name(), Status: Pending,
		Amount: r.Amount, Authorized: none, Captured: none, Refunded: none, ExpiresAt: r.ExpiresAt, CreatedAt: now, UpdatedAt: now,
	}
	p, begun, err := ps.store.Begin(ctx, p, Once{Key: r.IdempotencyKey, Input: hash}, func(p *Payment, o Order) {
		if o.Abandoned {
			p.abandon(now, o.TimedOut)
			return
		}
		p.want(now, psp.Authorize, p.Amount.Amount, false)
	})
	if err != nil {
		return events.Payment{}, err
	}
	if begun {
		ps.startAll(p)
	} else if p.Status != Pending {
		return p.Tell(), nil
	}
	return ps.after(ctx, p.ID)
}

func checkAuthorize(r events.AuthorizeRequest) error {
	if err := checkKey(r.IdempotencyKey, "idempotencyKey"); err != nil {
		return err
	}
	for _, c := range []struct {
		kind         id.Prefix
		value, field string
	}{{id.Order, r.OrderID, "orderId"}, {id.Account, r.AccountID, "accountId"}, {id.PaymentMethod, r.PaymentMethodID, "paymentMethodId"}} {
		if err := id.Check(c.kind, c.value, c.field); err != nil {
			return err
		}
	}
	if r.Amount.Amount <= 0 || r.Amount.Amount > money.Max || !money.Known(r.Amount.Currency) {
		return ErrAmount.At("amount")
	}
	return nil
}

// after waits for what is being asked of the provider, and returns the payment as it is then.
func (ps *Payments) after(ctx context.Context, paymentID string) (events.Payment, error) {
	if p, known := ps.arrival(ctx, paymentID); known {
		return p.Tell(), nil
	}
	p, err := ps.now(ctx, paymentID)
	return p.Tell(), err
}

// Capture takes the money of an authorised payment; what is taken already stays so. Unavailable means that the provider
// has not answered yet.
func (ps *Payments) Capture(ctx context.Context, r events.PaymentRequest) (events.Payment, error) {
	var op Operation
	p, err := ps.change(ctx, r.PaymentID, func(p *Payment) error {
		switch {
		case p.Captured.Amount > 0 && !p.Abandoned:
			return nil
		case p.Status != Authorized || p.Abandoned:
			return ErrState.Says("a payment that is %s cannot be captured", p.Status)
		}
		op = p.want(ps.clock.Now(), psp.Capture, p.Authorized.Amount, false)
		return nil
	})
	if err != nil || op.ID == "" {
		return p.Tell(), err
	}
	if p, known := ps.arrival(ctx, p.ID); known && p.did(op.ID) {
		return p.Tell(), nil
	}
	if err := ps.outcome(ctx, op.ID); err != nil {
		return events.Payment{}, err
	}
	p, err = ps.now(ctx, p.ID)
	return p.Tell(), err
}

// outcome returns nil when the operation is done, else why it is not.
func (ps *Payments) outcome(ctx context.Context, operationID string) error {
	op, err := ps.store.OperationByID(ctx, operationID)
	switch {
	case err != nil:
		return err
	case op.State == Open:
		return ErrWaiting
	case op.State == Refused:
		return ErrDeclined.Says("the provider refused: %s", op.Code)
	case op.State == Dropped:
		return ErrState
	}
	return nil
}

// Abandon sees to it that no money is kept for an order, whatever is told later. It waits a moment for the provider; what is not
// undone by then is undone as soon as it can be.
func (ps *Payments) Abandon(ctx context.Context, r events.AbandonRequest) (events.AbandonReply, error) {
	if err := id.Check(id.Order, r.OrderID, "orderId"); err != nil {
		return events.AbandonReply{}, err
	}
	now := ps.clock.Now()
	found, err := ps.store.Abandon(ctx, r.OrderID, r.TimedOut, now, func(p *Payment) error {
		p.abandon(now, r.TimedOut)
		return nil
	})
	if err != nil {
		return events.AbandonReply{}, err
	}
	ps.startAll(found...)
	ids := make([]string, len(found))
	for i, p := range found {
		ids[i] = p.ID
	}
	ps.await(ctx, ids...)
	reply := events.AbandonReply{Payments: []events.Payment{}}
	if len(ids) == 0 {
		return reply, nil
	}
	of, err := ps.store.PaymentsOf(ctx, []string{r.OrderID})
	for _, p := range of[r.OrderID] {
		reply.Payments = append(reply.Payments, p.Tell())
	}
	return reply, err
}

// CheckMethod answers when the account may pay with a method.
func (ps *Payments) CheckMethod(ctx context.Context, r events.PaymentMethodRequest) (events.PaymentMethodReply, error) {
	if !id.Is(id.PaymentMethod, r.PaymentMethodID) {
		return events.PaymentMethodReply{}, ErrMethod
	}
	found, err := ps.store.MethodsByID(ctx, []string{r.PaymentMethodID})
	if err != nil {
		return events.PaymentMethodReply{}, err
	}
	if len(found) == 0 || found[0].AccountID != r.AccountID {
		return events.PaymentMethodReply{}, ErrMethod
	}
	return events.PaymentMethodReply{Label: found[0].Label}, nil
}
