package payments_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/clients/psp"
	"github.com/souk-shop/souk/clients/psp/fake"
	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/payments"
	"github.com/souk-shop/souk/subgraphs/payments/postgres"
	"github.com/souk-shop/souk/subgraphs/payments/webhooks"
)

// A world is a shop's payments, a provider, and the line between them.
type world struct {
	t      *testing.T
	pool   *pgxpool.Pool
	store  *postgres.Store
	clock  *clock.Held
	psp    *fake.Provider
	line   *line
	ps     *payments.Payments
	placed *placed
	slow   chan struct{} // closed when 0069 answers
}

// placed is the orders that are placed: all of them, unless it says otherwise.
type placed struct{ not bool }

func (p *placed) Placed(context.Context, string) (bool, error) { return !p.not, nil }

var (
	ann   = viewer.Viewer{AccountID: id.New(id.Account)}
	staff = viewer.Viewer{AccountID: id.New(id.Account), Scopes: []string{viewer.ScopeStaff}}
	price = money.Money{Amount: 1990, Currency: "USD"}
	noon  = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
)

func newWorld(t *testing.T, options ...pgtest.Option) *world {
	t.Parallel()
	w := &world{t: t, pool: pgtest.New(t, postgres.Migrations, options...), clock: clock.Hold(noon), placed: &placed{}, slow: make(chan struct{})}
	w.store = postgres.NewStore(w.pool)
	var hooks http.Handler
	mux := http.NewServeMux()
	mux.HandleFunc(webhooks.Path, func(rw http.ResponseWriter, r *http.Request) { hooks.ServeHTTP(rw, r) })
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	var err error
	w.psp, err = fake.New(fake.Config{
		Secret: []byte("secret"), Clock: w.clock, WebhookURL: srv.URL + "/webhooks/fake", PublicURL: srv.URL + "/psp",
		Wait: func(ctx context.Context, _ time.Duration) error {
			select {
			case <-w.slow:
				return nil
			case <-t.Context().Done():
				return t.Context().Err()
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.line = &line{Provider: w.psp}
	w.ps = w.process()
	t.Cleanup(w.rest)
	hooks = webhooks.Handler(w.ps, slog.New(slog.DiscardHandler))
	return w
}

// process is another process of the payments beside, or after, the first.
func (w *world) process() *payments.Payments {
	return payments.New(w.store, w.line, w.placed, w.clock, payments.Options{
		Patience: time.Minute, Log: slog.New(slog.NewTextHandler(w.t.Output(), nil)),
	})
}

// hasty is a process in which nobody waits for the provider.
func (w *world) hasty() *payments.Payments {
	return payments.New(w.store, w.line, w.placed, w.clock, payments.Options{Patience: time.Nanosecond})
}

// rest ends what still hangs, so that nothing outlives the test.
func (w *world) rest() {
	w.line.hangUp()
	w.ps.Rest()
}

// A line is the way to the provider. It may break at a call: before the provider heard it, or before its answer was heard.
type line struct {
	psp.Provider
	mu        sync.Mutex
	calls     int
	breakAt   int
	afterward bool
	broken    func() // called as it breaks
	hung      chan struct{}
}

var errCut = errors.New("the line was cut")

// over makes a call that ends, at the latest, when the line is hung up.
func over[A any](ctx context.Context, l *line, call func(context.Context) (A, error)) (answer A, err error) {
	l.mu.Lock()
	l.calls++
	broken := l.calls == l.breakAt
	if l.hung == nil {
		l.hung = make(chan struct{})
	}
	hung := l.hung
	l.mu.Unlock()
	if broken && !l.afterward {
		l.broke()
		return answer, errCut
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-hung:
			cancel()
		case <-ctx.Done():
		}
	}()
	a, err := call(ctx)
	if broken {
		l.broke()
		return answer, errCut
	}
	return a, err
}

func (l *line) broke() {
	if l.broken != nil {
		l.broken()
	}
}

// hangUp ends the calls that wait.
func (l *line) hangUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hung != nil {
		close(l.hung)
	}
	l.hung = nil
}

func (l *line) Authorize(ctx context.Context, a psp.Authorization) (psp.Answer, error) {
	return over(ctx, l, func(ctx context.Context) (psp.Answer, error) { return l.Provider.Authorize(ctx, a) })
}

func (l *line) Capture(ctx context.Context, m psp.Move) (psp.Answer, error) {
	return over(ctx, l, func(ctx context.Context) (psp.Answer, error) { return l.Provider.Capture(ctx, m) })
}

func (l *line) Void(ctx context.Context, m psp.Move) (psp.Answer, error) {
	return over(ctx, l, func(ctx context.Context) (psp.Answer, error) { return l.Provider.Void(ctx, m) })
}

func (l *line) Refund(ctx context.Context, m psp.Move) (psp.Answer, error) {
	return over(ctx, l, func(ctx context.Context) (psp.Answer, error) { return l.Provider.Refund(ctx, m) })
}

func (l *line) Lookup(ctx context.Context, key string) (psp.Record, error) {
	return over(ctx, l, func(ctx context.Context) (psp.Record, error) { return l.Provider.Lookup(ctx, key) })
}

// method keeps Ann's card.
func (w *world) method(token string) string {
	w.t.Helper()
	m, err := w.ps.AddMethod(w.t.Context(), ann, token, payments.Card, false)
	if err != nil {
		w.t.Fatal(err)
	}
	return m.ID
}

// request is a new order to be paid with a card.
func (w *world) request(token string) events.AuthorizeRequest {
	order := id.New(id.Order)
	return events.AuthorizeRequest{
		IdempotencyKey: order, OrderID: order, AccountID: ann.AccountID, PaymentMethodID: w.method(token), Amount: price,
		ExpiresAt: w.clock.Now().Add(15 * time.Minute),
	}
}

func (w *world) pay(token string) events.Payment {
	w.t.Helper()
	p, err := w.ps.Authorize(w.t.Context(), w.request(token))
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) capture(p events.Payment) events.Payment {
	w.t.Helper()
	p, err := w.ps.Capture(w.t.Context(), events.PaymentRequest{PaymentID: p.PaymentID})
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) abandon(p events.Payment, timedOut bool) events.Payment {
	w.t.Helper()
	rep, err := w.ps.Abandon(w.t.Context(), events.AbandonRequest{OrderID: p.OrderID, TimedOut: timedOut})
	if err != nil || len(rep.Payments) != 1 {
		w.t.Fatalf("%+v, %v", rep, err)
	}
	return rep.Payments[0]
}

// deliver brings the provider's webhooks to the shop.
func (w *world) deliver(d fake.Delivery) {
	w.t.Helper()
	if err := w.psp.Deliver(w.t.Context(), d); err != nil {
		w.t.Fatal(err)
	}
	w.ps.Rest()
}

// sweep lets time pass, and does what is due then.
func (w *world) sweep(after time.Duration) {
	w.t.Helper()
	w.clock.Advance(after)
	if err := w.ps.Sweep(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.ps.Rest()
}

func (w *world) now(p events.Payment) payments.Payment {
	w.t.Helper()
	found, err := w.store.PaymentsByID(w.t.Context(), []string{p.PaymentID})
	if err != nil || len(found) != 1 {
		w.t.Fatal(found, err)
	}
	return found[0]
}

func (w *world) is(p events.Payment, want payments.Status) {
	w.t.Helper()
	if got := w.now(p).Status; got != want {
		w.t.Errorf("the payment is %s, want %s; %s", got, want, w.moves(p))
	}
}

// moves lists the transactions: AUTHORIZE+ CAPTURE- …
func (w *world) moves(p events.Payment) (list string) {
	w.t.Helper()
	found, err := w.store.TransactionsOf(w.t.Context(), []string{p.PaymentID})
	if err != nil {
		w.t.Fatal(err)
	}
	for i, t := range found[p.PaymentID] {
		if i > 0 {
			list += " "
		}
		if list += string(t.Kind); t.Success {
			list += "+"
		} else {
			list += "-"
		}
	}
	return list
}

func (w *world) moved(p events.Payment, want string) {
	w.t.Helper()
	if got := w.moves(p); got != want {
		w.t.Errorf("the moves are %s, want %s", got, want)
	}
}

// agree checks that the shop's books balance, and say of every payment what the provider's books say.
func (w *world) agree() {
	w.t.Helper()
	findings, err := w.ps.Audit(w.t.Context())
	if err != nil || len(findings) > 0 {
		w.t.Error(findings, err)
	}
	for _, theirs := range w.psp.Books() {
		ours := w.now(events.Payment{PaymentID: theirs.Key})
		if ours.Authorized.Amount != theirs.Authorized || ours.Captured.Amount != theirs.Captured || ours.Refunded.Amount != theirs.Refunded || ours.Authorized.Amount > 0 && ours.Released != theirs.Voided {
			w.t.Errorf("the provider says %+v, the shop %+v", theirs, ours)
		}
	}
}

// keeps checks what the provider holds for the shop.
func (w *world) keeps(want int64) {
	w.t.Helper()
	if got := w.psp.Kept()["USD"]; got != want {
		w.t.Errorf("the provider keeps %d, want %d", got, want)
	}
}
