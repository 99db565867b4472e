package payments_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/souk-shop/souk/clients/psp"
	"github.com/souk-shop/souk/clients/psp/fake"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/subgraphs/payments"
	"github.com/souk-shop/souk/subgraphs/payments/webhooks"
)

func TestOneEventManyTimesAtOnce(t *testing.T) {
	w := newWorld(t)
	p := w.capture(w.pay(fake.Succeeds))
	version := w.now(p).Version
	body, err := json.Marshal(map[string]any{"id": "evt_1", "kind": "REFUND", "success": true, "reference": w.now(p).Reference, "amount": money.Money{Amount: 500, Currency: "USD"}})
	if err != nil {
		t.Fatal(err)
	}
	h := http.NewServeMux()
	h.Handle(webhooks.Path, webhooks.Handler(w.ps, slog.New(slog.DiscardHandler)))
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			req := httptest.NewRequestWithContext(t.Context(), "POST", "/webhooks/fake", bytes.NewReader(body))
			req.Header.Set(fake.SignatureHeader, psp.Sign([]byte("secret"), body, noon))
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, req)
			if rec.Code != http.StatusOK {
				t.Error(rec.Code, rec.Body)
			}
		})
	}
	all.Wait()
	got := w.now(p)
	if got.Refunded.Amount != 500 || got.Status != payments.PartiallyRefunded || got.Version != version+1 {
		t.Errorf("%+v", got)
	}
	w.moved(p, "AUTHORIZE+ CAPTURE+ REFUND+")
	if findings, err := w.ps.Audit(t.Context()); err != nil || len(findings) > 0 {
		t.Error(findings, err)
	}
}

func TestWebhooksThatAreNotTheProviders(t *testing.T) {
	w := newWorld(t)
	p := w.pay(fake.NeedsAction)
	body := []byte(`{"id":"evt_1","kind":"AUTHORIZE","success":true,"payment":"` + p.PaymentID + `","reference":"` + w.now(p).Reference + `"}`)
	lessThanNothing := bytes.Replace(body, []byte(`"success"`), []byte(`"amount":{"amount":-5,"currency":"USD"},"success"`), 1)
	h := http.NewServeMux()
	h.Handle(webhooks.Path, webhooks.Handler(w.ps, slog.New(slog.DiscardHandler)))
	secret := []byte("secret")
	for name, c := range map[string]struct {
		path, signature string
		body            []byte
		want            int
	}{
		"unsigned":          {"fake", "", body, 401},
		"another secret":    {"fake", psp.Sign([]byte("guess"), body, noon), body, 401},
		"another body":      {"fake", psp.Sign(secret, body, noon), append(bytes.Clone(body), ' '), 401},
		"too old":           {"fake", psp.Sign(secret, body, noon.Add(-6*time.Minute)), body, 401},
		"from the future":   {"fake", psp.Sign(secret, body, noon.Add(6*time.Minute)), body, 401},
		"another provider":  {"stripe", psp.Sign(secret, body, noon), body, 404},
		"not JSON":          {"fake", psp.Sign(secret, []byte("{"), noon), []byte("{"), 400},
		"no kind":           {"fake", psp.Sign(secret, []byte(`{"id":"1","reference":"x","kind":"MAGIC"}`), noon), []byte(`{"id":"1","reference":"x","kind":"MAGIC"}`), 400},
		"less than nothing": {"fake", psp.Sign(secret, lessThanNothing, noon), lessThanNothing, 200}, // it never counts: once told is enough
		"huge":              {"fake", "t=1,v1=00", bytes.Repeat([]byte(" "), 1<<17), 413},
	} {
		req := httptest.NewRequestWithContext(t.Context(), "POST", "/webhooks/"+c.path, bytes.NewReader(c.body))
		req.Header.Set(fake.SignatureHeader, c.signature)
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		if rec.Code != c.want {
			t.Errorf("%s: %d, want %d", name, rec.Code, c.want)
		}
	}
	w.is(p, payments.ActionRequired)
}

// An event about a payment that nobody knows is kept; one that depends on another waits for it.
func TestEventsThatComeTooEarly(t *testing.T) {
	w := newWorld(t)
	report := payments.Report{Provider: "fake", EventID: "evt_1", Reference: id.New(id.Payment), Kind: psp.Refund, Success: true}
	if _, err := w.ps.Report(t.Context(), report); !errors.Is(err, payments.ErrUnheardOf) {
		t.Errorf("a payment that nobody knows: %v", err)
	}
	p := w.pay(fake.Succeeds)
	for i, k := range []psp.Kind{psp.Refund, psp.Capture} {
		got, err := w.ps.Report(t.Context(), payments.Report{Provider: "fake", EventID: string(k), Reference: w.now(p).Reference, Kind: k, Success: true})
		if want := []payments.Status{payments.Authorized, payments.Captured}[i]; err != nil || got.Status != want {
			t.Errorf("%s: %s, %v", k, got.Status, err)
		}
	}
	// The first telling is the one that counts, whatever is told under its name later.
	other := payments.Report{Provider: "fake", EventID: "REFUND", Reference: p.PaymentID, Kind: psp.Refund, Success: true, Amount: &money.Money{Amount: 1, Currency: "USD"}}
	if got, err := w.ps.Report(t.Context(), other); err != nil || got.Refunded != price {
		t.Errorf("%+v, %v", got, err)
	}
	w.is(p, payments.Refunded)
	w.sweep(2 * time.Second)
	w.moved(p, "AUTHORIZE+ CAPTURE+ REFUND+")

	_, err := w.pool.Exec(t.Context(), `UPDATE reports SET reference = $1 WHERE event_id = 'evt_1'`, p.PaymentID)
	if err != nil {
		t.Fatal(err)
	}
	w.sweep(time.Hour) // the payment that it is about has come up, and was given back already: it will never count
	report.Reference = p.PaymentID
	if _, err := w.ps.Report(t.Context(), report); !errors.Is(err, payments.ErrTooLarge) {
		t.Errorf("%v", err)
	}
	if findings, err := w.ps.Audit(t.Context()); err != nil || len(findings) > 0 {
		t.Error(findings, err)
	}
}

func TestMoneyGivenBackAtTheProvidersDesk(t *testing.T) {
	w := newWorld(t)
	p := w.capture(w.pay(fake.Succeeds))
	if err := errors.Join(w.psp.GiveBack(p.PaymentID, 300), w.psp.GiveBack(p.PaymentID, 300)); err != nil {
		t.Fatal(err)
	}
	w.deliver(fake.Delivery{Twice: true, Backwards: true})
	if got := w.now(p); got.Refunded.Amount != 600 {
		t.Errorf("%+v", got)
	}
	w.agree()
	// What was not told of comes to light when the provider refuses.
	if err := w.psp.GiveBack(p.PaymentID, 1000); err != nil {
		t.Fatal(err)
	}
	_, err := w.ps.RefundByHand(t.Context(), staff, payments.Action{PaymentID: p.PaymentID, Key: "all"})
	if !errors.Is(err, payments.ErrDeclined) {
		t.Errorf("%v", err)
	}
	w.agree()
	w.deliver(fake.Delivery{})
	w.agree()
}

func TestReportsThatMakeNoSense(t *testing.T) {
	w := newWorld(t)
	p := w.pay(fake.Succeeds)
	good := payments.Report{Provider: "fake", EventID: "evt", Reference: p.PaymentID, Kind: psp.Capture, Success: true}
	for name, c := range map[string]struct {
		change func(*payments.Report)
		want   error
	}{
		"another provider": {func(r *payments.Report) { r.Provider = "stripe" }, payments.ErrProvider},
		"no event":         {func(r *payments.Report) { r.EventID = "" }, payments.ErrEventID},
		"no reference":     {func(r *payments.Report) { r.Reference = "" }, payments.ErrReference},
		"nothing":          {func(r *payments.Report) { r.Amount = &money.Money{Currency: "USD"} }, payments.ErrAmount},
		"too much":         {func(r *payments.Report) { r.EventID, r.Amount = "2", &money.Money{Amount: 1991, Currency: "USD"} }, payments.ErrTooLarge},
		"other money":      {func(r *payments.Report) { r.EventID, r.Amount = "3", &money.Money{Amount: 1, Currency: "EUR"} }, payments.ErrAmount},
	} {
		r := good
		c.change(&r)
		for range 2 { // the second time it is remembered
			if _, err := w.ps.Report(t.Context(), r); !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	w.is(p, payments.Authorized)
}
