package nats_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/natstest"
	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/subgraphs/orders"
	ordersnats "github.com/souk-shop/souk/subgraphs/orders/nats"
	"github.com/souk-shop/souk/subgraphs/orders/postgres"
)

type noJobs struct{}

func (noJobs) Look(context.Context, pgx.Tx, string, time.Time) error             { return nil }
func (noJobs) Watch(context.Context, pgx.Tx, string, time.Time, time.Time) error { return nil }

// Two processes hear of the payments of some orders, of each piece of news several times and of some late: each order learns each once.
func TestPaymentsAreHeardOf(t *testing.T) {
	t.Parallel()
	pool, nc, log := pgtest.New(t, postgres.Migrations), natstest.New(t), slog.New(slog.NewTextHandler(t.Output(), nil))
	store := postgres.NewStore(pool, noJobs{})
	saga := orders.NewCheckout(store, nil, clock.System, time.Hour)
	price := money.Money{Amount: 1990, Currency: "USD"}
	var ids []string
	var lot []outbox.Message
	tell := func(p events.Payment, times int) {
		payload, err := json.Marshal(events.PaymentChanged{Payment: p})
		if err != nil {
			t.Fatal(err)
		}
		for range times {
			lot = append(lot, outbox.Message{ID: fmt.Sprint("evt-", len(lot)), Subject: events.SubjectPaymentChanged, Payload: payload})
		}
	}
	for range 20 {
		a, err := store.Claim(t.Context(), orders.Attempt{AccountID: id.New(id.Account), Key: id.New(id.Event), InputHash: []byte{1}, OrderID: id.New(id.Order)})
		if err != nil {
			t.Fatal(err)
		}
		o, err := store.Create(t.Context(), a, orders.Order{
			ID: a.OrderID, AccountID: a.AccountID, CartID: id.New(id.Cart), CartVersion: 1, Status: orders.Created, Total: price, Deadline: time.Now().Add(time.Hour),
			Lines: []orders.Line{{ID: id.New(id.OrderLine), OrderID: a.OrderID, Title: "A lamp", Quantity: 1, UnitPrice: price}},
			Saga:  orders.Saga{Hold: orders.Hold{ReservationID: id.New(id.Reservation)}},
		})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, o.ID)
	}
	for version, status := range []string{"PENDING", "ACTION_REQUIRED", "AUTHORIZED", "ACTION_REQUIRED"} {
		for _, o := range ids {
			tell(events.Payment{PaymentID: "pay_" + o, Version: min(version, 2) - version/3 + 1, OrderID: o, Status: status, Amount: price}, 3)
		}
	}
	if err := outbox.Publish(t.Context(), nc.Streams, lot); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	for range 2 {
		go func() { ended <- ordersnats.Payments(nc.Streams, store, saga, log)(ctx) }()
	}
	defer func() {
		stop()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}()
	for {
		c, err := nc.Streams.Consumer(t.Context(), "SOUK", "orders-payments")
		if err == nil {
			is, err := c.Info(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if is.AckFloor.Stream >= uint64(len(lot)) && is.NumPending == 0 && is.NumAckPending == 0 {
				break
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	found, err := store.OrdersByID(t.Context(), ids)
	if err != nil || len(found) != len(ids) {
		t.Fatal(len(found), err)
	}
	steps, err := store.TimelinesOf(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range found {
		var kinds []string
		for _, s := range steps[o.ID] {
			kinds = append(kinds, s.Kind)
		}
		// Two processes may hear of the promise first; then what came before it is no news any more.
		if o.Saga.PaymentStatus != "AUTHORIZED" || o.Saga.PaymentVersion != 3 ||
			!slices.Equal(kinds, []string{"PAYMENT_ACTION_REQUIRED", "PAYMENT_AUTHORIZED"}) && !slices.Equal(kinds, []string{"PAYMENT_AUTHORIZED"}) {
			t.Errorf("order is %s by version %d, %q", o.Saga.PaymentStatus, o.Saga.PaymentVersion, kinds)
		}
	}
}
