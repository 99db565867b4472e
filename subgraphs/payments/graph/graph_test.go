package graph_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/souk-shop/souk/clients/psp/fake"
	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/payments"
	"github.com/souk-shop/souk/subgraphs/payments/graph"
	"github.com/souk-shop/souk/subgraphs/payments/postgres"
)

// counting is a store that counts the reads behind a page.
type counting struct {
	payments.Store
	reads atomic.Int32
}

func (c *counting) PaymentsOf(ctx context.Context, ids []string) (map[string][]payments.Payment, error) {
	c.reads.Add(1)
	return c.Store.PaymentsOf(ctx, ids)
}

func (c *counting) PaymentsByID(ctx context.Context, ids []string) ([]payments.Payment, error) {
	c.reads.Add(1)
	return c.Store.PaymentsByID(ctx, ids)
}

func (c *counting) TransactionsOf(ctx context.Context, ids []string) (map[string][]payments.Transaction, error) {
	c.reads.Add(1)
	return c.Store.TransactionsOf(ctx, ids)
}

func (c *counting) MethodsOf(ctx context.Context, ids []string) (map[string][]payments.Method, error) {
	c.reads.Add(1)
	return c.Store.MethodsOf(ctx, ids)
}

type always struct{}

func (always) Placed(context.Context, string) (bool, error) { return true, nil }

type shop struct {
	t     *testing.T
	store *counting
	ps    *payments.Payments
	log   bytes.Buffer
	serve func(viewer.Viewer, string, map[string]any) string // the answer's JSON
}

var (
	ann   = viewer.Viewer{AccountID: id.New(id.Account)}
	bob   = viewer.Viewer{AccountID: id.New(id.Account)}
	staff = viewer.Viewer{AccountID: id.New(id.Account), Scopes: []string{viewer.ScopeStaff}}
	till  = viewer.Viewer{AccountID: id.New(id.Account), Scopes: []string{viewer.ScopePayments}}
)

func setup(t *testing.T) *shop {
	t.Parallel()
	s := &shop{t: t, store: &counting{Store: postgres.NewStore(pgtest.New(t, postgres.Migrations))}}
	now := clock.Hold(time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC))
	provider, err := fake.New(fake.Config{Secret: []byte("secret"), Clock: now})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(io.MultiWriter(t.Output(), &s.log), nil))
	s.ps = payments.New(s.store, provider, always{}, now, payments.Options{Patience: time.Minute, Log: log})
	t.Cleanup(s.ps.Rest)
	h := graph.Handler(s.ps, log)
	s.serve = func(who viewer.Viewer, query string, vars map[string]any) string {
		t.Helper()
		body, err := json.Marshal(map[string]any{"query": query, "variables": vars})
		if err != nil {
			t.Fatal(err)
		}
		req := httptest.NewRequestWithContext(viewer.With(t.Context(), who), "POST", "/graphql", strings.NewReader(string(body)))
		req.Header.Set("Content-Type", "application/json")
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		return rec.Body.String()
	}
	return s
}

func (s *shop) pay(token string) events.Payment {
	s.t.Helper()
	m, err := s.ps.AddMethod(s.t.Context(), ann, token, payments.Card, false)
	if err != nil {
		s.t.Fatal(err)
	}
	order := id.New(id.Order)
	p, err := s.ps.Authorize(s.t.Context(), events.AuthorizeRequest{
		IdempotencyKey: order, OrderID: order, AccountID: ann.AccountID, PaymentMethodID: m.ID,
		Amount: money.Money{Amount: 1990, Currency: "USD"}, ExpiresAt: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// is compares an answer with what is wanted, "…" standing for anything.
func (s *shop) is(got, want string) {
	s.t.Helper()
	rest, ok := got, true
	for i, part := range strings.Split(want, "…") {
		at := strings.Index(rest, part)
		if at < 0 || i == 0 && at != 0 {
			ok = false
			break
		}
		rest = rest[at+len(part):]
	}
	if !ok {
		s.t.Errorf("got  %s\nwant %s", got, want)
	}
}

const add = `mutation ($input: PaymentMethodAddInput!) { paymentMethodAdd(input: $input) {
	paymentMethod { id kind label default createdAt } userErrors { code field } } }`

func input(pairs ...any) map[string]any {
	in := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		in[pairs[i].(string)] = pairs[i+1]
	}
	return map[string]any{"input": in}
}

func TestMethods(t *testing.T) {
	s := setup(t)
	s.is(s.serve(ann, add, input("token", "tok_4242")),
		`{"data":{"paymentMethodAdd":{"paymentMethod":{"id":"pm_…","kind":"CARD","label":"Card ending in 4242","default":true,"createdAt":"2026-11-21T10:00:00Z"},"userErrors":[]}}}`)
	s.is(s.serve(ann, add, input("token", "tok_0002", "kind", "UPI", "default", true)),
		`{"data":{"paymentMethodAdd":{"paymentMethod":{"id":"pm_…","kind":"UPI","label":"UPI account ending in 0002","default":true,…},"userErrors":[]}}}`)
	for _, token := range []any{"4242 4242 4242 4242", 4242424242424242, "tok_4242424242424242", "nonsense"} {
		got := s.serve(ann, add, input("token", token))
		if strings.Contains(got, "4242") {
			t.Errorf("the answer repeats the token: %s", got)
		}
		if token != 4242424242424242 { // no string: refused before anybody looks at it
			s.is(got, `{"data":{"paymentMethodAdd":{"paymentMethod":null,"userErrors":[{"code":"INVALID","field":["input","token"]}]}}}`)
		}
	}
	if logged := s.log.String(); strings.Contains(logged, "4242") {
		t.Errorf("the log has the token: %s", logged)
	}
	s.is(s.serve(viewer.Viewer{}, add, input("token", "tok_4242")), `…"code":"UNAUTHENTICATED"…`)

	const methods = `query ($r: [_Any!]!) { _entities(representations: $r) { ... on Account { paymentMethods { label default } } } }`
	of := map[string]any{"r": []any{map[string]any{"__typename": "Account", "id": ann.AccountID}}}
	s.is(s.serve(ann, methods, of), `{"data":{"_entities":[{"paymentMethods":[{"label":"UPI account ending in 0002","default":true},{"label":"Card ending in 4242","default":false}]}]}}`)
	s.is(s.serve(bob, methods, of), `{"data":{"_entities":[{"paymentMethods":null}]}}`)
	s.is(s.serve(staff, methods, of), `{"data":{"_entities":[{"paymentMethods":null}]}}`)
	s.is(s.serve(bob, methods, map[string]any{"r": []any{map[string]any{"__typename": "Account", "id": bob.AccountID}}}), `{"data":{"_entities":[{"paymentMethods":[]}]}}`)
}

const order = `query ($r: [_Any!]!) { _entities(representations: $r) { ... on Order { paymentStatus payments {
	status authorized { amount currencyCode } captured { amount } refunded { amount } provider declineCode
	transactions { kind amount { amount } success reference at } } } } }`

func entity(kind, id string) map[string]any {
	return map[string]any{"r": []any{map[string]any{"__typename": kind, "id": id}}}
}

func TestPaymentsOfAnOrderAreForWhoPaysAndStaff(t *testing.T) {
	s := setup(t)
	p, failed := s.pay(fake.Succeeds), s.pay(fake.IsDeclined)
	want := `{"data":{"_entities":[{"paymentStatus":"AUTHORIZED","payments":[{"status":"AUTHORIZED","authorized":{"amount":"19.90","currencyCode":"USD"},` +
		`"captured":{"amount":"0.00"},"refunded":{"amount":"0.00"},"provider":"fake","declineCode":null,` +
		`"transactions":[{"kind":"AUTHORIZE","amount":{"amount":"19.90"},"success":true,"reference":"fake_…","at":"2026-11-21T10:00:00Z"}]}]}]}}`
	for _, who := range []viewer.Viewer{ann, staff, till} {
		s.is(s.serve(who, order, entity("Order", p.OrderID)), want)
	}
	s.is(s.serve(ann, order, entity("Order", failed.OrderID)), `…"paymentStatus":"FAILED",…"declineCode":"card_declined","transactions":[{"kind":"AUTHORIZE",…"success":false,…`)
	s.is(s.serve(bob, order, entity("Order", p.OrderID)), `{"data":{"_entities":[{"paymentStatus":null,"payments":[]}]}}`)
	s.is(s.serve(ann, order, entity("Order", id.New(id.Order))), `{"data":{"_entities":[{"paymentStatus":null,"payments":[]}]}}`)
	s.is(s.serve(viewer.Viewer{}, order, entity("Order", p.OrderID)), `…"code":"UNAUTHENTICATED"…`)

	const payment = `query ($r: [_Any!]!) { _entities(representations: $r) { ... on Payment { status } ... on PaymentMethod { label } } }`
	s.is(s.serve(ann, payment, entity("Payment", p.PaymentID)), `{"data":{"_entities":[{"status":"AUTHORIZED"}]}}`)
	s.is(s.serve(bob, payment, entity("Payment", p.PaymentID)), `{"data":{"_entities":[null]}}`)
	s.is(s.serve(ann, payment, entity("Payment", "nonsense")), `{"data":{"_entities":[null]}}`)
	of, err := s.store.Store.MethodsOf(t.Context(), []string{ann.AccountID})
	if err != nil {
		t.Fatal(err)
	}
	method := of[ann.AccountID][0].ID
	s.is(s.serve(ann, payment, entity("PaymentMethod", method)), `{"data":{"_entities":[{"label":"Card ending in 4242"}]}}`)
	s.is(s.serve(staff, payment, entity("PaymentMethod", method)), `{"data":{"_entities":[null]}}`)
}

func TestMoneyMovedByHand(t *testing.T) {
	s := setup(t)
	p := s.pay(fake.Succeeds)
	do := func(who viewer.Viewer, verb string, pairs ...any) string {
		return s.serve(who, fmt.Sprintf(`mutation ($input: PaymentActionInput!) { %s(input: $input) { payment { status captured { amount } refunded { amount } } userErrors { code field } } }`, verb),
			input(append([]any{"paymentId", p.PaymentID}, pairs...)...))
	}
	usd := func(amount string) map[string]any { return map[string]any{"amount": amount, "currencyCode": "USD"} }
	s.is(do(ann, "paymentCapture", "idempotencyKey", "c"), `…"code":"FORBIDDEN"…`)
	s.is(do(viewer.Viewer{}, "paymentRefund", "idempotencyKey", "c"), `…"code":"UNAUTHENTICATED"…`)
	s.is(do(staff, "paymentRefund", "idempotencyKey", "r"), `{"data":{"paymentRefund":{"payment":null,"userErrors":[{"code":"WRONG_STATE","field":null}]}}}`)
	s.is(do(till, "paymentCapture", "idempotencyKey", "c"), `{"data":{"paymentCapture":{"payment":{"status":"CAPTURED","captured":{"amount":"19.90"},"refunded":{"amount":"0.00"}},"userErrors":[]}}}`)
	s.is(do(staff, "paymentVoid", "idempotencyKey", "v"), `…{"code":"WRONG_STATE","field":null}…`)
	for amount, field := range map[string]string{"20.00": "AMOUNT_TOO_LARGE", "0": "INVALID", "-1": "INVALID", "1.999": "INVALID", "1000000000000000000": "INVALID"} {
		s.is(do(staff, "paymentRefund", "idempotencyKey", "r", "amount", usd(amount)), `…"userErrors":[{"code":"`+field+`","field":["input","amount"]}]…`)
	}
	s.is(do(staff, "paymentRefund", "idempotencyKey", "r", "amount", map[string]any{"amount": "1", "currencyCode": "EUR"}), `…{"code":"INVALID","field":["input","amount"]}…`)
	s.is(do(staff, "paymentRefund", "idempotencyKey", "r", "amount", usd("9.90")), `…{"status":"PARTIALLY_REFUNDED","captured":{"amount":"19.90"},"refunded":{"amount":"9.90"}},"userErrors":[]…`)
	s.is(do(staff, "paymentRefund", "idempotencyKey", "r", "amount", usd("9.90")), `…"refunded":{"amount":"9.90"}},"userErrors":[]…`)
	s.is(do(staff, "paymentRefund", "idempotencyKey", "r"), `…{"code":"IDEMPOTENCY_CONFLICT","field":["input","idempotencyKey"]}…`)
	s.is(do(staff, "paymentRefund", "idempotencyKey", ""), `…{"code":"INVALID","field":["input","idempotencyKey"]}…`)
	s.is(do(staff, "paymentRefund", "idempotencyKey", "x", "paymentId", "pay_1"), `…{"code":"INVALID","field":["input","paymentId"]}…`)
	s.is(do(staff, "paymentRefund", "idempotencyKey", "x", "paymentId", id.New(id.Payment)), `…{"code":"NOT_FOUND","field":["input","paymentId"]}…`)
}

func TestWhatTheProviderSaid(t *testing.T) {
	s := setup(t)
	p := s.pay(fake.NeedsAction)
	const report = `mutation ($input: PaymentEventInput!) { paymentEventReport(input: $input) { payment { status } userErrors { code field } } }`
	event := func(pairs ...any) map[string]any {
		return input(append([]any{"provider", "fake", "eventId", "evt_1", "reference", p.PaymentID, "kind", "AUTHORIZE", "success", true}, pairs...)...)
	}
	s.is(s.serve(staff, report, event()), `…"code":"FORBIDDEN"…`)
	s.is(s.serve(till, report, event("provider", "stripe")), `…{"code":"INVALID","field":["input","provider"]}…`)
	s.is(s.serve(till, report, event("eventId", "evt_2", "reference", "unheard_of")), `…{"code":"NOT_FOUND","field":["input","reference"]}…`)
	for range 2 {
		s.is(s.serve(till, report, event()), `{"data":{"paymentEventReport":{"payment":{"status":"AUTHORIZED"},"userErrors":[]}}}`)
	}
}

func TestPaymentsOfAPageOfOrdersAreFewReads(t *testing.T) {
	s := setup(t)
	var r []any
	for range 24 {
		r = append(r, map[string]any{"__typename": "Order", "id": s.pay(fake.Succeeds).OrderID})
	}
	s.store.reads.Store(0)
	got := s.serve(ann, order, map[string]any{"r": r})
	if n := s.store.reads.Load(); n < 2 || n > 6 { // two, unless the machine is so busy that a batch is closed early
		t.Errorf("%d reads for 24 orders", n)
	}
	if strings.Count(got, `"paymentStatus":"AUTHORIZED"`) != 24 {
		t.Error(got)
	}
}
