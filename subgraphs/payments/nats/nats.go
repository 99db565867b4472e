// Package nats lets the payments answer the other subgraphs, and ask them.
package nats

import (
	"context"
	"errors"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/call"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/subgraphs/payments"
)

// Calls is what the payments answer.
func Calls(ps *payments.Payments) []call.Endpoint {
	return []call.Endpoint{
		events.AuthorizePayment.Handle(ps.Authorize),
		events.CapturePayment.Handle(ps.Capture),
		events.AbandonPayments.Handle(ps.Abandon),
		events.CheckPaymentMethod.Handle(ps.CheckMethod),
	}
}

// Orders asks the orders. It is a payments.Orders.
type Orders struct{ By call.Carrier }

// Placed tells whether the order is placed, or further.
func (o Orders) Placed(ctx context.Context, orderID string) (bool, error) {
	order, err := events.OrderByID.Do(ctx, o.By, events.OrderRequest{OrderID: orderID})
	var refused *fault.Error
	if errors.As(err, &refused) && refused.Kind == fault.NotFound {
		return false, payments.ErrNotFound
	}
	if err != nil {
		return false, err
	}
	return order.Status != "CREATED" && order.Status != "CANCELLED", nil
}
