package postgres_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/clients/psp/fake"
	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/payments"
	"github.com/souk-shop/souk/subgraphs/payments/postgres"
)

var price = money.Money{Amount: 1990, Currency: "USD"}

type always struct{}

func (always) Placed(context.Context, string) (bool, error) { return true, nil }

// setup returns a shop with a payment that is promised, one that is taken and one whose order was abandoned.
func setup(t *testing.T) (pool *pgxpool.Pool, ps *payments.Payments, promised, taken, abandoned events.Payment) {
	t.Parallel()
	pool = pgtest.New(t, postgres.Migrations)
	provider, err := fake.New(fake.Config{Secret: []byte("secret")})
	if err != nil {
		t.Fatal(err)
	}
	ps = payments.New(postgres.NewStore(pool), provider, always{}, clock.System, payments.Options{Patience: time.Minute})
	t.Cleanup(ps.Rest)
	ann := viewer.Viewer{AccountID: id.New(id.Account)}
	m, err := ps.AddMethod(t.Context(), ann, fake.Succeeds, payments.Card, false)
	if err != nil {
		t.Fatal(err)
	}
	pay := func() events.Payment {
		order := id.New(id.Order)
		p, err := ps.Authorize(t.Context(), events.AuthorizeRequest{
			IdempotencyKey: order, OrderID: order, AccountID: ann.AccountID, PaymentMethodID: m.ID, Amount: price, ExpiresAt: time.Now().Add(time.Minute),
		})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	promised, taken, abandoned = pay(), pay(), pay()
	if taken, err = ps.Capture(t.Context(), events.PaymentRequest{PaymentID: taken.PaymentID}); err != nil {
		t.Fatal(err)
	}
	if _, err := ps.Abandon(t.Context(), events.AbandonRequest{OrderID: abandoned.OrderID}); err != nil {
		t.Fatal(err)
	}
	return pool, ps, promised, taken, abandoned
}

// What a payment costs the database: its beginning, what the provider said, and the same for its capture. The provider's reports come beside that.
func TestAPaymentTakesFewStatements(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t, postgres.Migrations)
	var mu sync.Mutex
	var asked []string
	watched := pgtest.Watched(t, pool, func(sql string) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, sql)
	})
	provider, err := fake.New(fake.Config{Secret: []byte("secret")}) // which reports to nobody
	if err != nil {
		t.Fatal(err)
	}
	ps := payments.New(postgres.NewStore(watched), provider, always{}, clock.System, payments.Options{Patience: time.Minute})
	t.Cleanup(ps.Rest)
	ann, order := viewer.Viewer{AccountID: id.New(id.Account)}, id.New(id.Order)
	m, err := ps.AddMethod(t.Context(), ann, fake.Succeeds, payments.Card, false)
	if err != nil {
		t.Fatal(err)
	}
	took := func(what string, most int, do func() (events.Payment, error)) (p events.Payment) {
		t.Helper()
		mu.Lock()
		asked = nil
		mu.Unlock()
		p, err := do()
		if err != nil {
			t.Fatal(err)
		}
		ps.Rest()
		mu.Lock()
		defer mu.Unlock()
		if len(asked) > most {
			t.Errorf("%d statements to %s, at most %d: %q", len(asked), what, most, asked)
		}
		return p
	}
	const read = 1 // when the provider's answer is there before anybody waits for it
	p := took("begin and be promised", 8+9+read, func() (events.Payment, error) {
		return ps.Authorize(t.Context(), events.AuthorizeRequest{
			IdempotencyKey: order, OrderID: order, AccountID: ann.AccountID, PaymentMethodID: m.ID, Amount: price, ExpiresAt: time.Now().Add(time.Minute),
		})
	})
	p = took("be captured", 6+9+2*read, func() (events.Payment, error) {
		return ps.Capture(t.Context(), events.PaymentRequest{PaymentID: p.PaymentID})
	})
	if p.Status != string(payments.Captured) {
		t.Error(p.Status)
	}
}

// Whatever the code does, the database refuses what must not be.
func TestTheDatabaseRefuses(t *testing.T) {
	pool, _, promised, taken, abandoned := setup(t)
	const change = `UPDATE payments SET version = version + 1, `
	operation := func(kind string) string {
		return `INSERT INTO operations SELECT 'txn_1', id, '` + kind + `', $2, currency, 'OPEN', false, 0, now(), '' FROM payments WHERE id = $1`
	}
	for name, c := range map[string]struct {
		sql  string
		args []any
	}{
		"a step backwards":                      {change + `status = 'AUTHORIZED', captured = 0 WHERE id = $1`, []any{taken.PaymentID}},
		"to open again what ended":              {change + `status = 'AUTHORIZED' WHERE id = $1`, []any{abandoned.PaymentID}},
		"a state that the amounts deny":         {change + `status = 'CAPTURED' WHERE id = $1`, []any{promised.PaymentID}},
		"more taken than promised":              {change + `status = 'CAPTURED', captured = 2000 WHERE id = $1`, []any{promised.PaymentID}},
		"more returned than taken":              {change + `status = 'REFUNDED', refunded = 2000 WHERE id = $1`, []any{taken.PaymentID}},
		"money that the ledger knows not of":    {change + `status = 'CAPTURED', captured = 1990 WHERE id = $1`, []any{promised.PaymentID}},
		"a change without a version":            {`UPDATE payments SET redirect_url = 'x' WHERE id = $1`, []any{taken.PaymentID}},
		"another amount":                        {change + `amount = 1 WHERE id = $1`, []any{promised.PaymentID}},
		"to forget that it was abandoned":       {change + `abandoned = false WHERE id = $1`, []any{abandoned.PaymentID}},
		"to forget a payment":                   {`DELETE FROM payments WHERE id = $1`, []any{abandoned.PaymentID}},
		"to change a transaction":               {`UPDATE transactions SET amount = 1 WHERE payment_id = $1`, []any{taken.PaymentID}},
		"to forget a posting":                   {`DELETE FROM postings WHERE payment_id = $1`, []any{taken.PaymentID}},
		"to change a posting":                   {`UPDATE postings SET amount = 1 WHERE payment_id = $1`, []any{taken.PaymentID}},
		"to empty the ledger":                   {`TRUNCATE postings`, nil},
		"a posting that nothing balances":       {`INSERT INTO postings SELECT id, payment_id, 'CLEARING', 5, 'USD' FROM transactions WHERE payment_id = $1 AND kind = 'AUTHORIZE'`, []any{promised.PaymentID}},
		"to take it twice":                      {`INSERT INTO transactions (id, payment_id, kind, amount, currency, success, at) VALUES ('txn_1', $1, 'CAPTURE', 5, 'USD', true, now())`, []any{taken.PaymentID}},
		"a capture for an order abandoned":      {operation("CAPTURE"), []any{abandoned.PaymentID, 1990}},
		"a capture of what is taken":            {operation("CAPTURE"), []any{taken.PaymentID, 1990}},
		"a refund of more than was taken":       {operation("REFUND"), []any{taken.PaymentID, 1991}},
		"a refund of what is only promised":     {operation("REFUND"), []any{promised.PaymentID, 1}},
		"to promise again":                      {operation("AUTHORIZE"), []any{promised.PaymentID, 1990}},
		"to do again what was done":             {`UPDATE operations SET state = 'OPEN' WHERE payment_id = $1`, []any{taken.PaymentID}},
		"a second payment beside a living one":  {strings.ReplaceAll(copyPayment, "STATUS", "'PENDING'"), []any{promised.PaymentID, false}},
		"a payment that knows not of its order": {strings.ReplaceAll(copyPayment, "STATUS", "'PENDING'"), []any{abandoned.PaymentID, false}},
	} {
		if tag, err := pool.Exec(t.Context(), c.sql, c.args...); err == nil {
			t.Errorf("the database allows %s: %s", name, tag)
		} else if strings.Contains(err.Error(), "SQLSTATE 42") {
			t.Errorf("%s: %v", name, err) // a mistake in the test
		}
	}
}

const copyPayment = `INSERT INTO payments (id, idempotency_key, input, order_id, account_id, method_id, token, provider, status, currency, amount, abandoned, expires_at, created_at, updated_at)
	SELECT 'pay_2', 'another', input, order_id, account_id, method_id, token, provider, STATUS, currency, amount, $2, now(), now(), now() FROM payments WHERE id = $1`

func TestAuditFindsDamage(t *testing.T) {
	t.Run("none", func(t *testing.T) {
		_, ps, _, _, _ := setup(t)
		if findings, err := ps.Audit(t.Context()); err != nil || len(findings) != 0 {
			t.Error(findings, err)
		}
	})
	for name, c := range map[string]struct{ damage, payment, says string }{
		"a posting gone":      {`DELETE FROM postings WHERE payment_id = $1 AND account = 'CLEARING'`, "taken", "the ledger says"},
		"a posting changed":   {`UPDATE postings SET amount = amount + 1 WHERE payment_id = $1 AND account = 'RECEIVABLE'`, "promised", "its postings sum to"},
		"an amount changed":   {`UPDATE payments SET refunded = 1, status = 'PARTIALLY_REFUNDED' WHERE id = $1`, "taken", "its moves are not what it says"},
		"money kept, unasked": {`UPDATE payments SET released = false, status = 'AUTHORIZED' WHERE id = $1`, "abandoned", "the provider was asked for nothing"},
		"a transaction gone":  {`DELETE FROM transactions WHERE payment_id = $1 AND kind = 'CAPTURE'`, "taken", "its moves are not what it says"},
	} {
		t.Run(name, func(t *testing.T) {
			pool, ps, promised, taken, abandoned := setup(t)
			err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
				_, err := tx.Exec(t.Context(), `SET LOCAL session_replication_role = replica`) // no trigger sees it
				if err == nil {
					_, err = tx.Exec(t.Context(), c.damage, map[string]string{"promised": promised.PaymentID, "taken": taken.PaymentID, "abandoned": abandoned.PaymentID}[c.payment])
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			findings, err := ps.Audit(t.Context())
			if err != nil || !strings.Contains(strings.Join(findings, "\n"), c.says) {
				t.Errorf("%q, %v", findings, err)
			}
		})
	}
}
