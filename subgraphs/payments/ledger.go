package payments

// The accounts of the ledger. Debits are positive, credits negative; every entry sums to zero.
const (
	Receivable = "RECEIVABLE" // what providers have promised us
	Clearing   = "CLEARING"   // what providers have taken for us
	Customers  = "CUSTOMERS"  // what was paid, or promised, for orders
)

// A Posting is one line of an entry.
type Posting struct {
	Account string
	Amount  int64 // in minor units of the payment's currency
}

// books is how a payment stands in the ledger: the first two accounts, the third being what balances them.
type books struct{ receivable, clearing int64 }

func (p *Payment) books() books {
	b := books{clearing: p.Captured.Amount - p.Refunded.Amount}
	if p.Captured.Amount == 0 && !p.Released {
		b.receivable = p.Authorized.Amount
	}
	return b
}

// enter adds to the newest move what it moved in the ledger.
func (p *Payment) enter(before books, t Transaction) Transaction {
	after := p.books()
	up, taken := after.receivable-before.receivable, after.clearing-before.clearing
	m := &p.news.Moves[len(p.news.Moves)-1]
	for _, posting := range []Posting{{Receivable, up}, {Clearing, taken}, {Customers, -up - taken}} {
		if posting.Amount != 0 {
			m.Entry = append(m.Entry, posting)
		}
	}
	return t
}
