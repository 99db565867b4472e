package payments_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/souk-shop/souk/clients/psp/fake"
	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/subgraphs/payments"
)

// mortal is the store as a process sees it that is killed at some moment: from then on nothing is written.
type mortal struct {
	payments.Store
	dead atomic.Bool
}

var errDead = errors.New("this process is dead")

func (m *mortal) alive() error {
	if m.dead.Load() {
		return errDead
	}
	return nil
}

func (m *mortal) Begin(ctx context.Context, p payments.Payment, k payments.Once, rule func(*payments.Payment, payments.Order)) (payments.Payment, bool, error) {
	if err := m.alive(); err != nil {
		return payments.Payment{}, false, err
	}
	return m.Store.Begin(ctx, p, k, rule)
}

func (m *mortal) Change(ctx context.Context, id string, rule func(*payments.Payment) error) (payments.Payment, error) {
	if err := m.alive(); err != nil {
		return payments.Payment{}, err
	}
	return m.Store.Change(ctx, id, rule)
}

func (m *mortal) ChangeOnce(ctx context.Context, id string, k payments.Once, rule func(*payments.Payment) (payments.Operation, error)) (payments.Payment, payments.Operation, error) {
	if err := m.alive(); err != nil {
		return payments.Payment{}, payments.Operation{}, err
	}
	return m.Store.ChangeOnce(ctx, id, k, rule)
}

func (m *mortal) Abandon(ctx context.Context, order string, timedOut bool, at time.Time, rule func(*payments.Payment) error) ([]payments.Payment, error) {
	if err := m.alive(); err != nil {
		return nil, err
	}
	return m.Store.Abandon(ctx, order, timedOut, at, rule)
}

// Whatever the process was doing when it was killed, or when the line broke: another one ends it, and shop and provider agree.
func TestKilledAtAnyCallToTheProvider(t *testing.T) {
	type story struct {
		card  string
		tell  func(context.Context, *payments.Payments, events.AuthorizeRequest) error // may be told again
		want  payments.Status
		keeps int64
	}
	authorize := func(ctx context.Context, ps *payments.Payments, r events.AuthorizeRequest) (events.Payment, error) {
		return ps.Authorize(ctx, r)
	}
	capture := func(ctx context.Context, ps *payments.Payments, r events.AuthorizeRequest) error {
		p, err := authorize(ctx, ps, r)
		if err != nil || p.Status == "PENDING" {
			return errors.Join(err, errors.New(p.Status))
		}
		_, err = ps.Capture(ctx, events.PaymentRequest{PaymentID: p.PaymentID})
		return err
	}
	abandon := func(ctx context.Context, ps *payments.Payments, r events.AuthorizeRequest) error {
		_, err := ps.Abandon(ctx, events.AbandonRequest{OrderID: r.OrderID, TimedOut: true})
		return err
	}
	stories := map[string]story{
		"bought": {fake.Succeeds, capture, payments.Captured, 1990},
		"declined": {fake.IsDeclined, func(ctx context.Context, ps *payments.Payments, r events.AuthorizeRequest) error {
			_, err := authorize(ctx, ps, r)
			return err
		}, payments.Failed, 0},
		"promised and abandoned": {fake.Succeeds, func(ctx context.Context, ps *payments.Payments, r events.AuthorizeRequest) error {
			_, err := authorize(ctx, ps, r)
			return errors.Join(err, abandon(ctx, ps, r))
		}, payments.Voided, 0},
		"taken and abandoned": {fake.Succeeds, func(ctx context.Context, ps *payments.Payments, r events.AuthorizeRequest) error {
			err := capture(ctx, ps, r)
			if errors.Is(err, payments.ErrState) { // it was abandoned the first time
				err = nil
			}
			if err != nil {
				return err
			}
			return abandon(ctx, ps, r)
		}, payments.Refunded, 0},
		"taken and given back by hand": {fake.Succeeds, func(ctx context.Context, ps *payments.Payments, r events.AuthorizeRequest) error {
			if err := capture(ctx, ps, r); err != nil {
				return err
			}
			p, err := authorize(ctx, ps, r)
			if err != nil {
				return err
			}
			_, err = ps.RefundByHand(ctx, staff, payments.Action{PaymentID: p.PaymentID, Key: "once"})
			return err
		}, payments.Refunded, 0},
	}
	for name, s := range stories {
		for call := 1; call <= 4; call++ {
			for _, afterward := range []bool{false, true} {
				for _, killed := range []bool{true, false} {
					t.Run(fmt.Sprintf("%s, call %d, heard %v, killed %v", name, call, afterward, killed), func(t *testing.T) {
						w := newWorld(t)
						r := w.request(s.card)
						store := &mortal{Store: w.store}
						w.line.breakAt, w.line.afterward = call, afterward
						if killed {
							w.line.broken = func() { store.dead.Store(true) }
						}
						first := payments.New(store, w.line, w.placed, w.clock, payments.Options{Patience: time.Minute})
						s.tell(t.Context(), first, r) // whether it works does not matter: whoever asked asks again
						first.Rest()
						var err error
						for range 5 {
							w.sweep(20 * time.Second)
							if err = s.tell(t.Context(), w.ps, r); err == nil {
								break
							}
						}
						if err != nil {
							t.Fatal(err)
						}
						w.sweep(20 * time.Second)
						w.deliver(fake.Delivery{Twice: true, Backwards: true})
						p, err := w.ps.Authorize(t.Context(), r)
						want := s.want
						if want == payments.Voided && w.now(p).Authorized.Amount == 0 { // given up before it was promised
							want = payments.TimedOut
						}
						if err != nil || p.Status != string(want) {
							t.Errorf("%+v, %v, want %s; %s", p, err, want, w.moves(p))
						}
						w.keeps(s.keeps)
						w.agree()
						if n := len(w.psp.Books()); n != 1 {
							t.Errorf("the provider knows %d payments", n)
						}
					})
				}
			}
		}
	}
}
