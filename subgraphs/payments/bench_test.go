package payments_test

import (
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/souk-shop/souk/clients/psp/fake"
	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/subgraphs/payments"
	"github.com/souk-shop/souk/subgraphs/payments/postgres"
)

// BenchmarkPay has the money of an order promised and takes it, with 32 callers.
func BenchmarkPay(b *testing.B) {
	provider, err := fake.New(fake.Config{Secret: []byte("secret")})
	if err != nil {
		b.Fatal(err)
	}
	ps := payments.New(postgres.NewStore(pgtest.New(b, postgres.Migrations)), provider, &placed{}, clock.System, payments.Options{Log: slog.New(slog.DiscardHandler)})
	m, err := ps.AddMethod(b.Context(), ann, fake.Succeeds, payments.Card, false)
	if err != nil {
		b.Fatal(err)
	}
	var failed atomic.Int32
	b.SetParallelism(16)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			order := id.New(id.Order)
			p, err := ps.Authorize(b.Context(), events.AuthorizeRequest{
				IdempotencyKey: order, OrderID: order, AccountID: ann.AccountID, PaymentMethodID: m.ID, Amount: price, ExpiresAt: time.Now().Add(time.Minute),
			})
			if err == nil {
				p, err = ps.Capture(b.Context(), events.PaymentRequest{PaymentID: p.PaymentID})
			}
			if err != nil || p.Status != "CAPTURED" {
				failed.Add(1)
			}
		}
	})
	if n := failed.Load(); n > 0 {
		b.Errorf("%d failed", n)
	}
}
