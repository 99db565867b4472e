package nats_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/souk-shop/souk/clients/psp/fake"
	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/bus"
	"github.com/souk-shop/souk/internal/call"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/natstest"
	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/payments"
	"github.com/souk-shop/souk/subgraphs/payments/nats"
	"github.com/souk-shop/souk/subgraphs/payments/postgres"
)

func TestThePaymentOfAnOrderOverTheBus(t *testing.T) {
	t.Parallel()
	b := bus.New(natstest.New(t).Conn, slog.New(slog.DiscardHandler))
	provider, err := fake.New(fake.Config{Secret: []byte("secret")})
	if err != nil {
		t.Fatal(err)
	}
	ps := payments.New(postgres.NewStore(pgtest.New(t, postgres.Migrations)), provider, nats.Orders{By: b}, clock.System, payments.Options{})
	stop, err := b.Serve("payments", "test", nats.Calls(ps)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop() })
	ann := viewer.Viewer{AccountID: id.New(id.Account)}
	m, err := ps.AddMethod(t.Context(), ann, fake.Succeeds, payments.Card, false)
	if err != nil {
		t.Fatal(err)
	}
	order := id.New(id.Order)
	p, err := events.AuthorizePayment.Do(t.Context(), b, events.AuthorizeRequest{
		IdempotencyKey: order, OrderID: order, AccountID: ann.AccountID, PaymentMethodID: m.ID, Amount: money.Money{Amount: 1990, Currency: "USD"},
		ExpiresAt: time.Now().Add(time.Minute),
	})
	if err != nil || p.Status != "AUTHORIZED" || p.OrderID != order {
		t.Fatalf("%+v, %v", p, err)
	}
	if p, err = events.CapturePayment.Do(t.Context(), b, events.PaymentRequest{PaymentID: p.PaymentID}); err != nil || p.Status != "CAPTURED" {
		t.Errorf("%+v, %v", p, err)
	}
	rep, err := events.AbandonPayments.Do(t.Context(), b, events.AbandonRequest{OrderID: order})
	if err != nil || len(rep.Payments) != 1 || rep.Payments[0].Status != "REFUNDED" {
		t.Errorf("%+v, %v", rep, err)
	}
	_, err = events.CapturePayment.Do(t.Context(), b, events.PaymentRequest{PaymentID: p.PaymentID})
	if f, refused := fault.ForUser(err); !refused || f.Code != "WRONG_STATE" {
		t.Errorf("%v", err)
	}
	label, err := events.CheckPaymentMethod.Do(t.Context(), b, events.PaymentMethodRequest{AccountID: ann.AccountID, PaymentMethodID: m.ID})
	if err != nil || label.Label != "Card ending in 4242" {
		t.Errorf("%+v, %v", label, err)
	}
}

func TestWhetherAnOrderIsPlaced(t *testing.T) {
	for status, want := range map[string]bool{"CREATED": false, "CANCELLED": false, "PLACED": true, "PARTIALLY_SHIPPED": true, "DELIVERED": true} {
		orders := nats.Orders{By: call.Local(events.OrderByID.Handle(func(context.Context, events.OrderRequest) (events.OrderChanged, error) {
			return events.OrderChanged{Status: status}, nil
		}))}
		if got, err := orders.Placed(t.Context(), "ord"); got != want || err != nil {
			t.Errorf("%s: %v, %v", status, got, err)
		}
	}
	none := nats.Orders{By: call.Local(events.OrderByID.Handle(func(context.Context, events.OrderRequest) (events.OrderChanged, error) {
		return events.OrderChanged{}, fault.New(fault.NotFound, "NOT_FOUND", "no")
	}))}
	if _, err := none.Placed(t.Context(), "ord"); !errors.Is(err, payments.ErrNotFound) {
		t.Error(err)
	}
	if _, err := (nats.Orders{By: call.Local()}).Placed(t.Context(), "ord"); fault.KindOf(err) != fault.Unavailable {
		t.Error(err)
	}
}
