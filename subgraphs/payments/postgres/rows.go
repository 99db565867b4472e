package postgres

import (
	"encoding/json"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/optional"
	"github.com/souk-shop/souk/subgraphs/payments"
	"github.com/souk-shop/souk/subgraphs/payments/postgres/internal/db"
)

func payment(r db.Payment) payments.Payment {
	m := func(amount int64) money.Money { return money.Money{Amount: amount, Currency: r.Currency} }
	return payments.Payment{
		ID: r.ID, Version: int(r.Version), OrderID: r.OrderID, AccountID: r.AccountID, MethodID: r.MethodID, Token: r.Token,
		Provider: r.Provider, Reference: optional.Text(r.Reference), Status: payments.Status(r.Status), Amount: m(r.Amount),
		Authorized: m(r.Authorized), Captured: m(r.Captured), Refunded: m(r.Refunded), Released: r.Released, Abandoned: r.Abandoned,
		DeclineCode: r.DeclineCode, RedirectURL: r.RedirectUrl, ExpiresAt: r.ExpiresAt, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
}

func operation(r db.Operation) payments.Operation {
	return payments.Operation{
		ID: r.ID, PaymentID: r.PaymentID, Kind: payments.Kind(r.Kind), Amount: money.Money{Amount: r.Amount, Currency: r.Currency},
		State: payments.State(r.State), Undo: r.Undo, Attempts: int(r.Attempts), DueAt: r.DueAt, Code: r.Code,
	}
}

func transaction(r db.TransactionsOfRow) payments.Transaction {
	t := r.Transaction
	return payments.Transaction{
		ID: t.ID, PaymentID: t.PaymentID, Kind: payments.Kind(t.Kind), Amount: money.Money{Amount: t.Amount, Currency: t.Currency},
		Success: t.Success, Reference: optional.Text(t.Reference), Operation: optional.Text(t.Operation), At: t.At, Told: r.Told,
	}
}

func report(r db.Report) payments.Report {
	out := payments.Report{
		Provider: r.Provider, EventID: r.EventID, Reference: r.Reference, PaymentID: optional.Text(r.PaymentKey), Kind: payments.Kind(r.Kind),
		Success: r.Success, Operation: optional.Text(r.Operation), Code: optional.Text(r.Code), ReceivedAt: r.ReceivedAt, Attempts: int(r.Attempts),
	}
	if r.Amount.Valid {
		out.Amount = &money.Money{Amount: r.Amount.Int64, Currency: optional.Text(r.Currency)}
	}
	return out
}

func lockReport(r payments.Report) db.LockReportParams {
	row := db.LockReportParams{
		Provider: r.Provider, EventID: r.EventID, Reference: r.Reference, PaymentKey: optional.Of(r.PaymentID), Kind: string(r.Kind),
		Success: r.Success, Operation: optional.Of(r.Operation), Code: optional.Of(r.Code), ReceivedAt: r.ReceivedAt,
	}
	if r.Amount != nil {
		row.Amount, row.Currency = pgtype.Int8{Int64: r.Amount.Amount, Valid: true}, &r.Amount.Currency
	}
	return row
}

// verdict is what a report meant when it was counted.
func verdict(r db.Report) (v payments.Verdict, err error) {
	v.TransactionID = optional.Text(r.TransactionID)
	if r.Refusal != nil {
		v.Refusal = new(fault.Error)
		err = json.Unmarshal(r.Refusal, v.Refusal)
	}
	return v, err
}

func method(r db.Method) payments.Method {
	return payments.Method{
		ID: r.ID, AccountID: r.AccountID, Provider: r.Provider, Token: r.Token, Kind: payments.MethodKind(r.Kind), Label: r.Label,
		Default: r.IsDefault, CreatedAt: r.CreatedAt,
	}
}

func each[From, To any](rows []From, convert func(From) To) []To {
	out := make([]To, len(rows))
	for i, r := range rows {
		out[i] = convert(r)
	}
	return out
}

func group[T any](rows []T, by func(T) string) map[string][]T {
	out := map[string][]T{}
	for _, r := range rows {
		out[by(r)] = append(out[by(r)], r)
	}
	return out
}
