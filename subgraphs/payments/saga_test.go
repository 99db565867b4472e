package payments_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/clients/psp"
	"github.com/souk-shop/souk/clients/psp/fake"
	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/subgraphs/payments"
)

func TestACardThatSucceeds(t *testing.T) {
	w := newWorld(t)
	p := w.pay(fake.Succeeds)
	w.is(p, payments.Authorized)
	w.keeps(1990)
	if p = w.capture(p); p.Status != "CAPTURED" || p.Captured != price {
		t.Errorf("%+v", p)
	}
	if again := w.capture(p); again != p {
		t.Errorf("captured again: %+v", again)
	}
	w.deliver(fake.Delivery{Twice: true, Backwards: true})
	w.moved(p, "AUTHORIZE+ CAPTURE+")
	w.agree()
}

func TestACardThatIsDeclined(t *testing.T) {
	w := newWorld(t)
	p := w.pay(fake.IsDeclined)
	if p.Status != "FAILED" || p.DeclineCode != "card_declined" {
		t.Errorf("%+v", p)
	}
	if _, err := w.ps.Capture(t.Context(), events.PaymentRequest{PaymentID: p.PaymentID}); !errors.Is(err, payments.ErrState) {
		t.Errorf("captured: %v", err)
	}
	if q := w.pay("tok_9999"); q.Status != "FAILED" || q.DeclineCode != "invalid_token" {
		t.Errorf("%+v", q)
	}
	w.deliver(fake.Delivery{Twice: true})
	w.moved(p, "AUTHORIZE-")
	if p = w.abandon(p, false); p.Status != "FAILED" {
		t.Errorf("abandoned: %+v", p)
	}
	w.keeps(0)
	w.agree()
}

func TestACardThatTheBuyerConfirms(t *testing.T) {
	w := newWorld(t)
	p := w.pay(fake.NeedsAction)
	if p.Status != "ACTION_REQUIRED" || p.RedirectURL == "" {
		t.Fatalf("%+v", p)
	}
	if err := w.psp.Confirm(p.PaymentID); err != nil {
		t.Fatal(err)
	}
	w.deliver(fake.Delivery{})
	w.is(p, payments.Authorized)
	w.moved(p, "AUTHORIZE+")

	q := w.pay(fake.NeedsAction) // the webhook of this one is lost: the shop asks by itself
	if err := w.psp.Refuse(q.PaymentID); err != nil {
		t.Fatal(err)
	}
	w.sweep(2 * time.Second)
	w.is(q, payments.Failed)
	w.agree()
}

func TestACardThatIsSlow(t *testing.T) {
	w := newWorld(t)
	hasty := w.hasty()
	r := w.request(fake.IsSlow)
	p, err := hasty.Authorize(t.Context(), r)
	if err != nil || p.Status != "PENDING" {
		t.Fatalf("%+v, %v", p, err)
	}
	close(w.slow)
	hasty.Rest()
	w.is(p, payments.Authorized)
	if again, err := w.ps.Authorize(t.Context(), r); err != nil || again.PaymentID != p.PaymentID || again.Status != "AUTHORIZED" {
		t.Errorf("the same key: %+v, %v", again, err)
	}
	w.agree()
}

// silent pays with a card that does not answer, and gives up waiting.
func (w *world) silent() events.Payment {
	w.t.Helper()
	hasty := w.hasty()
	p, err := hasty.Authorize(w.t.Context(), w.request(fake.IsSilent))
	if err != nil || p.Status != "PENDING" {
		w.t.Fatalf("%+v, %v", p, err)
	}
	for len(w.psp.Books()) == 0 {
		time.Sleep(time.Millisecond) // until the provider has it
	}
	w.line.hangUp()
	hasty.Rest()
	return p
}

func TestALateSuccessIsUndone(t *testing.T) {
	for name, hear := range map[string]func(*world){
		"by webhook": func(w *world) { w.deliver(fake.Delivery{Twice: true}) },
		"by asking":  func(w *world) { w.sweep(15 * time.Minute) },
		"both, at once": func(w *world) {
			var all sync.WaitGroup
			all.Go(func() { w.psp.Deliver(w.t.Context(), fake.Delivery{}) })
			w.sweep(time.Minute)
			all.Wait()
		},
		"backwards, too": func(w *world) { w.sweep(15 * time.Minute); w.deliver(fake.Delivery{Backwards: true, Twice: true}) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.silent()
			if got := w.abandon(p, true); got.Status != "TIMED_OUT" {
				t.Errorf("%+v", got)
			}
			if err := w.psp.Succeed(p.PaymentID); err != nil {
				t.Fatal(err)
			}
			w.keeps(1990)
			hear(w)
			w.sweep(15 * time.Minute)
			w.is(p, payments.Voided)
			w.keeps(0)
			w.deliver(fake.Delivery{})
			if again := w.abandon(p, true); again.Status != "VOIDED" {
				t.Errorf("abandoned again: %+v", again)
			}
			if got := w.moves(p); got != "AUTHORIZE+ VOID+" && name == "by webhook" {
				t.Error(got)
			}
			w.agree()
		})
	}
}

func TestAbandonWhatIsPromisedTakenOrUndecided(t *testing.T) {
	w := newWorld(t)
	promised, taken, asked := w.pay(fake.Succeeds), w.capture(w.pay(fake.Succeeds)), w.pay(fake.NeedsAction)
	for _, c := range []struct {
		p    events.Payment
		want string
	}{{promised, "VOIDED"}, {taken, "REFUNDED"}, {asked, "VOIDED"}} {
		if got := w.abandon(c.p, false); got.Status != c.want {
			t.Errorf("%s became %s, want %s", c.p.Status, got.Status, c.want)
		}
		if got := w.abandon(c.p, true); got.Status != c.want {
			t.Errorf("abandoned again, %s became %s, want %s", c.p.Status, got.Status, c.want)
		}
	}
	if err := w.psp.Confirm(asked.PaymentID); err == nil {
		t.Error("a payment that was let go can still be confirmed")
	}
	w.keeps(0)
	w.deliver(fake.Delivery{Twice: true, Backwards: true})
	w.agree()
}

func TestAnOrderAbandonedBeforeItIsPaid(t *testing.T) {
	w := newWorld(t)
	r := w.request(fake.Succeeds)
	if rep, err := w.ps.Abandon(t.Context(), events.AbandonRequest{OrderID: r.OrderID, TimedOut: true}); err != nil || len(rep.Payments) != 0 {
		t.Fatal(rep, err)
	}
	p, err := w.ps.Authorize(t.Context(), r)
	if err != nil || p.Status != "TIMED_OUT" {
		t.Errorf("%+v, %v", p, err)
	}
	w.ps.Rest()
	w.keeps(0)
	w.agree()
}

func TestTheSameKey(t *testing.T) {
	w := newWorld(t)
	r := w.request(fake.Succeeds)
	var all sync.WaitGroup
	got := make([]events.Payment, 8)
	for i := range got {
		all.Go(func() { got[i], _ = w.process().Authorize(t.Context(), r) })
	}
	all.Wait()
	w.ps.Rest()
	for _, p := range got {
		if p.PaymentID == "" || p.PaymentID != got[0].PaymentID {
			t.Errorf("%+v", p)
		}
	}
	if n := len(w.psp.Books()); n != 1 {
		t.Errorf("the provider knows %d payments", n)
	}
	r.Amount.Amount++
	if _, err := w.ps.Authorize(t.Context(), r); !errors.Is(err, payments.ErrKeyReused) {
		t.Errorf("other input: %v", err)
	}
	r.IdempotencyKey = "another"
	if _, err := w.ps.Authorize(t.Context(), r); !errors.Is(err, payments.ErrBeingPaid) {
		t.Errorf("a second payment beside the first: %v", err)
	}
}

func TestRefusalsOfAPayment(t *testing.T) {
	w := newWorld(t)
	for field, change := range map[string]func(*events.AuthorizeRequest){
		"orderId":         func(r *events.AuthorizeRequest) { r.OrderID = "ord_1" },
		"paymentMethodId": func(r *events.AuthorizeRequest) { r.PaymentMethodID = id.New(id.PaymentMethod) },
		"amount":          func(r *events.AuthorizeRequest) { r.Amount.Amount = 0 },
		"idempotencyKey":  func(r *events.AuthorizeRequest) { r.IdempotencyKey = "" },
		"accountId":       func(r *events.AuthorizeRequest) { r.AccountID = "" },
	} {
		r := w.request(fake.Succeeds)
		change(&r)
		_, err := w.ps.Authorize(t.Context(), r)
		var f *fault.Error
		if !errors.As(err, &f) || len(f.Field) != 1 || f.Field[0] != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	r := w.request(fake.Succeeds)
	r.AccountID = id.New(id.Account)
	if _, err := w.ps.Authorize(t.Context(), r); !errors.Is(err, payments.ErrMethod) {
		t.Errorf("somebody else's method: %v", err)
	}
	if _, err := w.ps.CheckMethod(t.Context(), events.PaymentMethodRequest{AccountID: r.AccountID, PaymentMethodID: r.PaymentMethodID}); !errors.Is(err, payments.ErrMethod) {
		t.Errorf("somebody else's method: %v", err)
	}
	if got, err := w.ps.CheckMethod(t.Context(), events.PaymentMethodRequest{AccountID: ann.AccountID, PaymentMethodID: r.PaymentMethodID}); err != nil || got.Label != "Card ending in 4242" {
		t.Errorf("%+v, %v", got, err)
	}
}

// A meddler is a provider to whom something happens just before, or just after, it decides.
type meddler struct {
	psp.Provider
	before, after func()
}

func (m meddler) Authorize(ctx context.Context, a psp.Authorization) (psp.Answer, error) {
	m.before()
	answer, err := m.Provider.Authorize(ctx, a)
	m.after()
	return answer, err
}

func (m meddler) Capture(ctx context.Context, c psp.Move) (psp.Answer, error) {
	m.before()
	answer, err := m.Provider.Capture(ctx, c)
	m.after()
	return answer, err
}

func TestAbandonedWhileTheProviderIsAsked(t *testing.T) {
	for _, asked := range []string{"authorize", "capture"} {
		for _, when := range []string{"before", "after"} {
			t.Run(asked+", "+when, func(t *testing.T) {
				w := newWorld(t)
				r := w.request(fake.Succeeds)
				abandon := sync.OnceFunc(func() {
					if _, err := w.ps.Abandon(t.Context(), events.AbandonRequest{OrderID: r.OrderID}); err != nil {
						t.Error(err)
					}
				})
				m := meddler{w.psp, func() {}, func() {}}
				if when == "before" {
					m.before = abandon
				} else {
					m.after = abandon
				}
				meddled := payments.New(w.store, m, w.placed, w.clock, payments.Options{Patience: time.Minute})
				first := meddled
				if asked == "capture" {
					first = w.ps
				}
				p, err := first.Authorize(t.Context(), r)
				if err != nil {
					t.Fatal(err)
				}
				if asked == "capture" {
					if _, err := meddled.Capture(t.Context(), events.PaymentRequest{PaymentID: p.PaymentID}); err == nil {
						t.Error("captured for an order that was abandoned")
					}
				}
				meddled.Rest()
				w.ps.Rest()
				w.sweep(20 * time.Second)
				if got := w.now(p); got.Status != payments.Voided && got.Status != payments.Refunded {
					t.Errorf("%+v", got)
				}
				w.keeps(0)
				w.agree()
			})
		}
	}
}

// Two payments of one order: when the first, given up, succeeds after all beside the second, it is undone, for all to see.
func TestASecondPaymentThatSucceedsToo(t *testing.T) {
	w := newWorld(t)
	r := w.request(fake.IsDeclined)
	first, err := w.ps.Authorize(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	r.IdempotencyKey, r.PaymentMethodID = "again", w.method(fake.Succeeds)
	second, err := w.ps.Authorize(t.Context(), r)
	if err != nil || second.Status != "AUTHORIZED" {
		t.Fatal(second, err)
	}
	w.capture(second)
	if _, err := w.ps.Report(t.Context(), payments.Report{Provider: "fake", EventID: "late", Reference: w.now(first).Reference, Kind: psp.Authorize, Success: true}); err != nil {
		t.Fatal(err)
	}
	w.ps.Rest()
	w.is(first, payments.Voided)
	w.moved(first, "AUTHORIZE- AUTHORIZE+ VOID+")
	w.is(second, payments.Captured)
	w.keeps(1990)
}

// An order that waited too long is not asked for again, should the first request never have arrived.
func TestNothingNewIsAskedForTooLate(t *testing.T) {
	w := newWorld(t)
	w.line.breakAt = 1
	p := w.pay(fake.Succeeds)
	w.sweep(16 * time.Minute)
	w.is(p, payments.Pending)
	if n := len(w.psp.Books()); n != 0 {
		t.Errorf("the provider knows %d payments", n)
	}
	w.abandon(p, true)
	w.is(p, payments.TimedOut)
	w.agree()
}

func TestEveryChangeIsToldOnceWithItsVersion(t *testing.T) {
	w := newWorld(t)
	p := w.capture(w.pay(fake.Succeeds))
	w.deliver(fake.Delivery{Twice: true})
	rows, err := w.pool.Query(t.Context(), `SELECT (payload->>'version') || ' ' || (payload->>'status') FROM outbox WHERE payload->>'paymentId' = $1 ORDER BY id`, p.PaymentID)
	if err != nil {
		t.Fatal(err)
	}
	told, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || !slices.Equal(told, []string{"1 PENDING", "2 AUTHORIZED", "3 CAPTURED"}) {
		t.Errorf("%q, %v", told, err)
	}
}

func TestALateSuccessToldByHand(t *testing.T) {
	w := newWorld(t)
	p := w.silent()
	w.abandon(p, true)
	for range 2 {
		_, err := w.ps.Report(t.Context(), payments.Report{Provider: "fake", EventID: "late", Reference: p.PaymentID, Kind: psp.Authorize, Success: true})
		if err != nil {
			t.Fatal(err)
		}
		w.ps.Rest()
	}
	w.is(p, payments.Voided)
	w.moved(p, "AUTHORIZE+ VOID+")
	w.keeps(0)
}

// A payment that was given up undecided is asked about for a day, less and less often.
func TestWhatIsUndecidedIsNotAskedAboutForEver(t *testing.T) {
	w := newWorld(t)
	p := w.silent()
	w.abandon(p, true)
	asked := func() int {
		w.line.mu.Lock()
		defer w.line.mu.Unlock()
		return w.line.calls
	}
	before := asked()
	for range 60 {
		w.sweep(time.Hour)
	}
	if n := asked() - before; n < 40 || n > 60 { // two calls each time
		t.Errorf("asked %d times", n)
	}
	w.is(p, payments.TimedOut)
	if due, err := w.store.TakeOperations(t.Context(), w.clock.Now().Add(100*time.Hour), w.clock.Now(), 10); err != nil || len(due) != 0 {
		t.Errorf("%+v, %v", due, err)
	}
	if err := w.psp.Succeed(p.PaymentID); err != nil { // but still heard
		t.Fatal(err)
	}
	w.deliver(fake.Delivery{})
	w.is(p, payments.Voided)
	w.keeps(0)
	w.agree()
}

// A hesitant provider does not let go at once.
type hesitant struct {
	psp.Provider
	times *int
}

func (h hesitant) Void(ctx context.Context, m psp.Move) (psp.Answer, error) {
	if *h.times++; *h.times < 4 {
		return psp.Answer{}, nil
	}
	return h.Provider.Void(ctx, m)
}

func TestAProviderThatDoesNotLetGoAtOnce(t *testing.T) {
	w := newWorld(t)
	p := w.pay(fake.Succeeds)
	times := 0
	w.line.Provider = hesitant{w.psp, &times}
	if got := w.abandon(p, false); got.Status != "AUTHORIZED" {
		t.Errorf("%+v", got)
	}
	for _, d := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		w.sweep(d)
	}
	w.is(p, payments.Voided)
	w.keeps(0)
	w.agree()
}
