package graph

import (
	"context"

	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/optional"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/payments"
	"github.com/souk-shop/souk/subgraphs/payments/internal/gen"
)

func (m *mutation) PaymentMethodAdd(ctx context.Context, in gen.PaymentMethodAddInput) (*gen.PaymentMethodPayload, error) {
	method, err := m.payments.AddMethod(ctx, viewer.From(ctx), in.Token, in.Kind, in.Default)
	if err != nil {
		errs, err := userErrors(err)
		return &gen.PaymentMethodPayload{UserErrors: errs}, err
	}
	return &gen.PaymentMethodPayload{PaymentMethod: &method, UserErrors: []gen.PaymentUserError{}}, nil
}

func (m *mutation) PaymentCapture(ctx context.Context, in gen.PaymentActionInput) (*gen.PaymentPayload, error) {
	return m.act(ctx, in, m.payments.CaptureByHand)
}

func (m *mutation) PaymentVoid(ctx context.Context, in gen.PaymentActionInput) (*gen.PaymentPayload, error) {
	return m.act(ctx, in, m.payments.VoidByHand)
}

func (m *mutation) PaymentRefund(ctx context.Context, in gen.PaymentActionInput) (*gen.PaymentPayload, error) {
	return m.act(ctx, in, m.payments.RefundByHand)
}

type action func(context.Context, viewer.Viewer, payments.Action) (payments.Payment, error)

func (m *mutation) act(ctx context.Context, in gen.PaymentActionInput, do action) (*gen.PaymentPayload, error) {
	amount, err := amount(in.Amount)
	if err != nil {
		return payload(payments.Payment{}, err)
	}
	return payload(do(ctx, viewer.From(ctx), payments.Action{PaymentID: in.PaymentID, Amount: amount, Key: in.IdempotencyKey}))
}

func (m *mutation) PaymentEventReport(ctx context.Context, in gen.PaymentEventInput) (*gen.PaymentPayload, error) {
	amount, err := amount(in.Amount)
	if err != nil {
		return payload(payments.Payment{}, err)
	}
	return payload(m.payments.Report(ctx, payments.Report{
		Provider: in.Provider, EventID: in.EventID, Reference: in.Reference, Kind: in.Kind, Success: in.Success, Amount: amount,
	}))
}

func amount(in *money.Input) (*money.Money, error) {
	if in == nil {
		return nil, nil
	}
	m, err := in.Money("input", "amount")
	return &m, err
}

func payload(p payments.Payment, err error) (*gen.PaymentPayload, error) {
	if err != nil {
		errs, err := userErrors(err)
		return &gen.PaymentPayload{UserErrors: errs}, err
	}
	return &gen.PaymentPayload{Payment: &p, UserErrors: []gen.PaymentUserError{}}, nil
}

// Payments are for who pays and for staff.
func (order) Payments(ctx context.Context, of *gen.Order) ([]payments.Payment, error) {
	found, err := load(ctx).Payments.Load(ctx, of.ID)
	return payments.Visible(viewer.From(ctx), found), err
}

func (o order) PaymentStatus(ctx context.Context, of *gen.Order) (*payments.Status, error) {
	found, err := o.Payments(ctx, of)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[len(found)-1].Status, nil
}

func (account) PaymentMethods(ctx context.Context, of *gen.Account) ([]payments.Method, error) {
	if !viewer.From(ctx).Is(of.ID) {
		return nil, nil
	}
	found, err := load(ctx).Methods.Load(ctx, of.ID)
	if found == nil {
		found = []payments.Method{}
	}
	return found, err
}

func (payment) DeclineCode(_ context.Context, p *payments.Payment) (*string, error) {
	return optional.Of(p.DeclineCode), nil
}

func (payment) Transactions(ctx context.Context, p *payments.Payment) ([]payments.Transaction, error) {
	return load(ctx).Transactions.Load(ctx, p.ID)
}

func (transaction) Reference(_ context.Context, t *payments.Transaction) (*string, error) {
	return optional.Of(t.Reference), nil
}
