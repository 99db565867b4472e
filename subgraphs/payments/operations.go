package payments

import (
	"slices"
	"time"

	"github.com/souk-shop/souk/clients/psp"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
)

const (
	callTimeout = 10 * time.Second // of one request to the provider
	lease       = 15 * time.Second // how long an operation is left to the process that took it
	soonest     = time.Second      // when the provider is asked again, at first …
	latest      = time.Hour        // … and in the end
	watched     = 24 * time.Hour   // how long a payment that was given up undecided is asked about
	pollAtMost  = 30 * time.Second // while a buyer waits
)

// wait is how long to wait before an operation is tried again.
func (op Operation) wait() time.Duration {
	most := latest
	if !op.Undo {
		most = pollAtMost
	}
	return min(soonest<<min(max(op.Attempts-1, 0), 16), most)
}

// A Move is a transaction and what it moves in the ledger.
type Move struct {
	Transaction
	Entry []Posting // sums to zero; empty when no money moved
}

// news is what changed since the payment was read.
type news struct {
	Moves      []Move
	Operations []string // by id: new, or changed
	start      []string // those that this process starts as soon as they are saved
}

// News returns the moves since the payment was read, and the operations that are new or changed.
func (p *Payment) News() ([]Move, []Operation) {
	var changed []Operation
	for _, op := range p.Operations {
		if slices.Contains(p.news.Operations, op.ID) {
			changed = append(changed, op)
		}
	}
	return p.news.Moves, changed
}

// Same tells whether nothing changed that others would see.
func (p *Payment) Same(as Payment) bool {
	return p.Status == as.Status && p.Reference == as.Reference && p.Authorized == as.Authorized && p.Captured == as.Captured &&
		p.Refunded == as.Refunded && p.Released == as.Released && p.Abandoned == as.Abandoned && p.DeclineCode == as.DeclineCode &&
		p.RedirectURL == as.RedirectURL
}

// want makes sure that the provider is asked for something, now. Of each kind but refunds one is asked for at a time.
func (p *Payment) want(now time.Time, k Kind, amount int64, undo bool) Operation {
	for i := range p.Operations {
		if op := &p.Operations[i]; op.Kind == k && op.State == Open && k != psp.Refund {
			if undo && !op.Undo {
				op.Undo = true
				p.news.Operations = append(p.news.Operations, op.ID)
			}
			return *op
		}
	}
	op := Operation{
		ID: id.New(id.Transaction), PaymentID: p.ID, Kind: k, Amount: money.Money{Amount: amount, Currency: p.Amount.Currency},
		State: Open, Undo: undo, DueAt: now.Add(lease),
	}
	p.Operations = append(p.Operations, op)
	p.start(op.ID)
	return op
}

// hurry starts an operation again that was only waiting for news.
func (p *Payment) hurry(now time.Time, k Kind) {
	for i := range p.Operations {
		if op := &p.Operations[i]; op.Kind == k && op.State == Open {
			op.Attempts, op.DueAt = 0, now.Add(lease)
			p.start(op.ID)
		}
	}
}

func (p *Payment) start(operationID string) {
	p.news.Operations = append(p.news.Operations, operationID)
	p.news.start = append(p.news.start, operationID)
}

// starting returns the operations that this process starts now that they are saved.
func (p *Payment) starting() []Operation {
	var ops []Operation
	for _, op := range p.Operations {
		if op.State == Open && slices.Contains(p.news.start, op.ID) {
			ops = append(ops, op)
		}
	}
	return ops
}

// did tells whether an operation was done by the last change.
func (p *Payment) did(operationID string) bool {
	return slices.ContainsFunc(p.Operations, func(op Operation) bool { return op.ID == operationID && op.State == Done })
}

// open finds an open operation of a kind: the one named, or any when none is.
func (p *Payment) open(k Kind, operationID string) (Operation, bool) {
	for _, op := range p.Operations {
		if op.Kind == k && op.State == Open && (operationID == "" || op.ID == operationID) {
			return op, true
		}
	}
	return Operation{}, false
}

// openRefund finds an open refund of an amount, 0 for any.
func (p *Payment) openRefund(amount int64) (Operation, bool) {
	for _, op := range p.Operations {
		if op.Kind == psp.Refund && op.State == Open && (amount == 0 || op.Amount.Amount == amount) {
			return op, true
		}
	}
	return Operation{}, false
}

// finish closes the open operations of a kind, or the one named.
func (p *Payment) finish(k Kind, operationID string, s State, code string) {
	for i := range p.Operations {
		op := &p.Operations[i]
		if op.Kind == k && op.State == Open && (operationID == "" || op.ID == operationID) {
			op.State, op.Code = s, code
			p.news.Operations = append(p.news.Operations, op.ID)
		}
	}
}

// postpone makes an operation due later, should it still be open.
func (p *Payment) postpone(now time.Time, operationID string) {
	for i := range p.Operations {
		op := &p.Operations[i]
		if op.ID == operationID && op.State == Open {
			op.Attempts++
			op.DueAt = now.Add(op.wait())
			p.news.Operations = append(p.news.Operations, op.ID)
		}
	}
}
