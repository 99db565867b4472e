package payments_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/souk-shop/souk/clients/psp/fake"
	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/payments"
)

func usd(amount int64) *money.Money { return &money.Money{Amount: amount, Currency: "USD"} }

func TestMoneyMovedByHand(t *testing.T) {
	w := newWorld(t)
	p := w.pay(fake.Succeeds)
	act := func(key string, amount *money.Money) payments.Action {
		return payments.Action{PaymentID: p.PaymentID, Key: key, Amount: amount}
	}
	w.placed.not = true
	if _, err := w.ps.CaptureByHand(t.Context(), staff, act("c0", nil)); !errors.Is(err, payments.ErrState) {
		t.Errorf("captured before the order is placed: %v", err)
	}
	w.placed.not = false
	for name, c := range map[string]struct {
		a    payments.Action
		want error
	}{
		"too much":    {act("c1", usd(1991)), payments.ErrTooLarge},
		"nothing":     {act("c1", usd(0)), payments.ErrAmount},
		"less":        {act("c1", usd(-1)), payments.ErrAmount},
		"other money": {act("c1", &money.Money{Amount: 1, Currency: "EUR"}), payments.ErrAmount},
		"no key":      {act("", nil), payments.ErrKey},
		"no payment":  {payments.Action{PaymentID: id.New(id.Payment), Key: "c1"}, payments.ErrNotFound},
		"malformed":   {payments.Action{PaymentID: "pay_1", Key: "c1"}, id.ErrMalformed},
	} {
		if _, err := w.ps.CaptureByHand(t.Context(), staff, c.a); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.ps.RefundByHand(t.Context(), staff, act("r0", nil)); !errors.Is(err, payments.ErrState) {
		t.Errorf("given back before it was taken: %v", err)
	}
	if _, err := w.ps.VoidByHand(t.Context(), staff, act("v0", usd(5))); !errors.Is(err, payments.ErrAmount) {
		t.Errorf("let go in part: %v", err)
	}
	for range 2 {
		got, err := w.ps.CaptureByHand(t.Context(), staff, act("c1", usd(1500)))
		if err != nil || got.Status != payments.Captured || got.Captured.Amount != 1500 {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if _, err := w.ps.CaptureByHand(t.Context(), staff, act("c1", usd(1400))); !errors.Is(err, payments.ErrKeyReused) {
		t.Errorf("the key with other input: %v", err)
	}
	if _, err := w.ps.VoidByHand(t.Context(), staff, act("v1", nil)); !errors.Is(err, payments.ErrState) {
		t.Errorf("let go after it was taken: %v", err)
	}
	for range 2 {
		got, err := w.ps.RefundByHand(t.Context(), staff, act("r1", usd(600)))
		if err != nil || got.Status != payments.PartiallyRefunded || got.Refunded.Amount != 600 {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if _, err := w.ps.RefundByHand(t.Context(), staff, act("r2", usd(901))); !errors.Is(err, payments.ErrTooLarge) {
		t.Errorf("more than is left: %v", err)
	}
	if got, err := w.ps.RefundByHand(t.Context(), staff, act("r3", nil)); err != nil || got.Status != payments.Refunded {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := w.ps.RefundByHand(t.Context(), staff, act("r4", nil)); !errors.Is(err, payments.ErrState) {
		t.Errorf("given back again: %v", err)
	}
	w.deliver(fake.Delivery{Twice: true, Backwards: true})
	w.moved(p, "AUTHORIZE+ CAPTURE+ REFUND+ REFUND+")
	w.keeps(0)
	w.agree()

	p = w.pay(fake.Succeeds)
	if got, err := w.ps.VoidByHand(t.Context(), staff, act("v2", nil)); err != nil || got.Status != payments.Voided {
		t.Errorf("%+v, %v", got, err)
	}
	w.agree()
}

// What the provider is being asked for already is not asked for otherwise: a promise is taken or let go, never both.
func TestWhatIsBeingTakenIsNotLetGo(t *testing.T) {
	w := newWorld(t)
	p := w.pay(fake.Succeeds)
	act := func(key string) payments.Action { return payments.Action{PaymentID: p.PaymentID, Key: key} }
	var while []error
	m := meddler{w.psp, func() {
		for _, do := range []func(context.Context, viewer.Viewer, payments.Action) (payments.Payment, error){w.ps.VoidByHand, w.ps.CaptureByHand, w.ps.RefundByHand} {
			_, err := do(t.Context(), staff, act(id.New(id.Event)))
			while = append(while, err)
		}
	}, func() {}}
	meddled := payments.New(w.store, m, w.placed, w.clock, payments.Options{Patience: time.Minute})
	got, err := meddled.CaptureByHand(t.Context(), staff, act("capture"))
	meddled.Rest()
	if err != nil || got.Status != payments.Captured {
		t.Fatalf("%+v, %v", got, err)
	}
	if len(while) != 3 {
		t.Fatalf("%d were tried", len(while))
	}
	for i, err := range while {
		if !errors.Is(err, payments.ErrState) {
			t.Errorf("%s while it was being captured: %v", []string{"let go", "captured", "given back"}[i], err)
		}
	}
	w.moved(p, "AUTHORIZE+ CAPTURE+")
	w.keeps(price.Amount)
	w.agree()
}

func TestRefundsAtOnceNeverExceedWhatWasTaken(t *testing.T) {
	w := newWorld(t)
	p := w.capture(w.pay(fake.Succeeds))
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			_, err := w.process().RefundByHand(t.Context(), staff, payments.Action{PaymentID: p.PaymentID, Key: fmt.Sprint(i), Amount: usd(600)})
			if err != nil && !errors.Is(err, payments.ErrTooLarge) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := w.now(p); got.Refunded.Amount != 1800 {
		t.Errorf("%+v", got)
	}
	w.agree()
}

// Everything at once, on a pool of two connections: nobody holds one while waiting for another, and the books agree.
func TestTheLedgerBalancesWhateverHappensAtOnce(t *testing.T) {
	w := newWorld(t, pgtest.MaxConns(2))
	cards := []string{fake.Succeeds, fake.Succeeds, fake.IsDeclined, fake.NeedsAction}
	var all sync.WaitGroup
	for i := range 16 {
		r := w.request(cards[i%len(cards)])
		p, err := w.ps.Authorize(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		steps := []func() error{
			func() error {
				_, err := w.ps.Capture(t.Context(), events.PaymentRequest{PaymentID: p.PaymentID})
				return err
			},
			func() error {
				_, err := w.process().Capture(t.Context(), events.PaymentRequest{PaymentID: p.PaymentID})
				return err
			},
			func() error {
				_, err := w.ps.RefundByHand(t.Context(), staff, payments.Action{PaymentID: p.PaymentID, Key: p.PaymentID, Amount: usd(rand.Int64N(1990) + 1)})
				return err
			},
			func() error { w.psp.Confirm(p.PaymentID); return nil },
			func() error { return w.psp.Deliver(t.Context(), fake.Delivery{Twice: true}) },
			func() error { return w.ps.Sweep(t.Context()) },
		}
		if i%2 == 0 {
			steps = append(steps, func() error {
				_, err := w.process().Abandon(t.Context(), events.AbandonRequest{OrderID: p.OrderID})
				return err
			})
		}
		for _, step := range steps {
			all.Go(func() {
				if err := step(); err != nil && !errors.Is(err, payments.ErrState) && !errors.Is(err, payments.ErrTooLarge) && !errors.Is(err, payments.ErrWaiting) {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	for range 3 {
		w.deliver(fake.Delivery{Twice: true, Backwards: true})
		w.sweep(20 * 60e9)
	}
	w.agree()
	for _, theirs := range w.psp.Books() {
		if ours := w.now(events.Payment{PaymentID: theirs.Key}); ours.Abandoned && theirs.Kept() != 0 {
			t.Errorf("%d are kept for an order that was abandoned: %+v", theirs.Kept(), ours)
		}
	}
}
