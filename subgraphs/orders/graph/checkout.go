package graph

import (
	"context"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/optional"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/orders"
	"github.com/souk-shop/souk/subgraphs/orders/internal/gen"
)

func (m *mutation) CheckoutComplete(ctx context.Context, in gen.CheckoutCompleteInput) (*gen.CheckoutCompletePayload, error) {
	total, err := in.ExpectedTotal.Money("input", "expectedTotal")
	var out orders.Outcome
	if err == nil {
		out, err = m.checkout.Complete(ctx, viewer.From(ctx), orders.Input{
			CartID: optional.Text(in.CartID), BookingID: optional.Text(in.BookingID), AddressID: in.AddressID, PaymentMethodID: in.PaymentMethodID, ExpectedTotal: total, Key: in.IdempotencyKey,
		})
	}
	if err != nil {
		errs, err := userErrors(err)
		return &gen.CheckoutCompletePayload{UserErrors: errs}, err
	}
	return &gen.CheckoutCompletePayload{Result: result(out), UserErrors: []gen.OrderUserError{}}, nil
}

func (m *mutation) OrderCancel(ctx context.Context, in gen.OrderCancelInput) (*gen.OrderPayload, error) {
	o, err := m.checkout.Cancel(ctx, viewer.From(ctx), orders.Cancellation{OrderID: in.OrderID, Reason: in.Reason, Key: in.IdempotencyKey})
	p := &gen.OrderPayload{}
	if err == nil {
		p.Order = &o
	}
	p.UserErrors, err = userErrors(err)
	return p, err
}

func result(out orders.Outcome) gen.CheckoutResult {
	o := out.Order
	switch {
	case o == nil:
		return gen.CheckoutRejected{Problems: problems(out.Problems)}
	case o.Status == orders.Created:
		return gen.CheckoutActionRequired{Order: o, RedirectURL: optional.Of(o.Saga.RedirectURL), ExpiresAt: o.Deadline}
	case o.Status == orders.Cancelled && o.PlacedAt == nil:
		return gen.CheckoutPaymentFailed{Order: o, Retryable: true, DeclineCode: optional.Of(o.Saga.DeclineCode)}
	}
	return gen.CheckoutPlaced{Order: o}
}

func problems(from []events.CartProblem) []gen.CartProblem {
	out := make([]gen.CartProblem, len(from))
	for i, p := range from {
		out[i] = gen.CartProblem{Code: gen.CartProblemCode(p.Code), Message: p.Message, LineID: optional.Of(p.LineID), AvailableQuantity: p.AvailableQuantity}
	}
	return out
}

// OrderUpdated sends the order as it is, and again after each change, until it is final.
func (s *subscription) OrderUpdated(ctx context.Context, id string) (<-chan *orders.Order, error) {
	who := viewer.From(ctx)
	changes := s.watcher.Watch(ctx, id) // first, so that nothing is missed between the look and the watch
	o, err := s.orders.Order(ctx, who, id)
	if err != nil {
		return nil, err
	}
	if o == nil {
		return nil, orders.ErrNotFound.At("id")
	}
	out := make(chan *orders.Order)
	go func() {
		defer close(out)
		for version := 0; ; {
			if o != nil && o.Version > version {
				version = o.Version
				select {
				case out <- o:
				case <-ctx.Done():
					return
				}
				if o.Final() {
					return
				}
			}
			select {
			case <-changes:
			case <-ctx.Done():
				return
			}
			if o, err = s.orders.Order(ctx, who, id); err != nil {
				return // the client sees the end and may ask again
			}
		}
	}()
	return out, nil
}
