package payments_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/souk-shop/souk/clients/psp"
	"github.com/souk-shop/souk/clients/psp/fake"
	"github.com/souk-shop/souk/internal/forget"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/subgraphs/payments"
)

// Keys, operations and reports go when their time is over. Whatever explains a move of money stays, and still counts once.
func TestWhatIsBesideTheLedgerIsForgotten(t *testing.T) {
	w := newWorld(t)
	silent := w.silent() // asked, and not answered yet
	p := w.capture(w.pay(fake.Succeeds))
	byHand := payments.Action{PaymentID: p.PaymentID, Key: "r1", Amount: usd(600)}
	atTheDesk := payments.Report{Provider: "fake", EventID: "evt_1", Reference: w.now(p).Reference, Kind: psp.Refund, Success: true, Amount: usd(500)}
	nonsense := payments.Report{Provider: "fake", EventID: "evt_2", Reference: w.now(p).Reference, Kind: psp.Refund, Success: true, Amount: usd(5000)}
	twice := func() {
		t.Helper()
		if got, err := w.ps.Report(t.Context(), atTheDesk); err != nil || got.Refunded.Amount != 1100 && got.Refunded.Amount != 500 {
			t.Errorf("%+v, %v", got, err)
		}
		if _, err := w.ps.RefundByHand(t.Context(), staff, byHand); err != nil {
			t.Error(err)
		}
		if _, err := w.ps.Report(t.Context(), nonsense); !errors.Is(err, payments.ErrTooLarge) {
			t.Errorf("%v", err)
		}
	}
	twice()
	for _, event := range []string{"evt_tried", "evt_given_up"} {
		if _, err := w.ps.Report(t.Context(), payments.Report{Provider: "fake", EventID: event, Reference: id.New(id.Payment), Kind: psp.Refund, Success: true}); !errors.Is(err, payments.ErrUnheardOf) {
			t.Error(err)
		}
	}
	if _, err := w.pool.Exec(t.Context(), `UPDATE reports SET attempts = 100 WHERE event_id = 'evt_given_up'`); err != nil {
		t.Fatal(err)
	}
	rows := func(of string) (n int64) {
		t.Helper()
		if err := w.pool.QueryRow(t.Context(), `SELECT count(*) FROM `+of).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	keys, operations, reports := rows("answers"), rows("operations WHERE state <> 'OPEN'"), rows("reports")
	if keys != 1 || operations != 3 || reports != 4 {
		t.Fatalf("%d keys, %d operations that ended, %d reports", keys, operations, reports)
	}
	forgotten := func(before time.Time, what func(context.Context, time.Time) (int64, error)) (n int64) {
		t.Helper()
		for range forget.Parts {
			some, err := what(t.Context(), before)
			if err != nil {
				t.Fatal(err)
			}
			n += some
		}
		return n
	}
	long := noon.AddDate(-10, 0, 0)
	if k, o, r := forgotten(long, w.store.ForgetAnswers), forgotten(long, w.store.ForgetOperations), forgotten(long, w.store.ForgetReports); k+o+r != 0 {
		t.Errorf("%d keys, %d operations and %d reports are forgotten, and none is as old as that", k, o, r)
	}
	twice()
	if got := w.now(p).Refunded.Amount; got != 1100 {
		t.Errorf("%d were given back, though nothing new was asked for", got)
	}
	later := time.Now().AddDate(10, 0, 0)
	if n := forgotten(later, w.store.ForgetOperations); n != operations-1 {
		t.Errorf("%d operations are forgotten of %d, one of which a key names", n, operations)
	}
	if k, o, r := forgotten(later, w.store.ForgetAnswers), forgotten(later, w.store.ForgetOperations), forgotten(later, w.store.ForgetReports); k != 1 || o != 1 || r != 2 {
		t.Errorf("%d keys, %d operations and %d reports are forgotten", k, o, r)
	}
	if open, told := rows("operations"), rows("reports WHERE transaction_id IS NOT NULL OR event_id = 'evt_tried'"); open != 1 || told != 2 {
		t.Errorf("%d operations are left, of which one is open, and %d reports that count or may", open, told)
	}
	if got, err := w.ps.Report(t.Context(), atTheDesk); err != nil || got.Refunded.Amount != 1100 {
		t.Errorf("an event counted twice: %+v, %v", got, err)
	}
	if got, err := w.ps.RefundByHand(t.Context(), staff, byHand); err != nil || got.Refunded.Amount != 1700 { // the key is anybody's again
		t.Errorf("%+v, %v", got, err)
	}
	w.is(silent, payments.Pending)
	if findings, err := w.ps.Audit(t.Context()); err != nil || len(findings) > 0 {
		t.Error(findings, err)
	}
}
