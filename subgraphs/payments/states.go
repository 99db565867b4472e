package payments

import (
	"errors"
	"time"

	"github.com/souk-shop/souk/clients/psp"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
)

// A Fact is something that the provider said of a payment.
type Fact struct {
	Kind        Kind
	Outcome     psp.Outcome
	Amount      int64  // 0 is all there is
	Operation   string // the key it was asked for under; "" when nobody says
	Payment     string // the provider's id of the payment
	Reference   string // the provider's id of the move, where it has one of its own
	Code        string // why it was declined
	RedirectURL string
	told        bool // by an event of the provider's, each of which stands for one move
}

// errEarly says that a fact depends on another that has not arrived yet.
var errEarly = errors.New("this depends on something that has not been told yet")

// unwanted tells whether no money may be kept: its order was abandoned, or the payment itself has ended without any.
func (p *Payment) unwanted() bool {
	return p.Abandoned || p.Status == Failed || p.Status == TimedOut || p.Status == Voided
}

// undecided tells whether the provider may still promise the money. After a day we ask no more, but would still listen.
func (p *Payment) undecided(now time.Time) bool {
	return p.Authorized.Amount == 0 && p.DeclineCode == "" && now.Before(p.CreatedAt.Add(watched))
}

// stands works out the state from what is known. It leads forward only: what has ended without money stays so, whatever is
// told later, until that is undone.
func (p *Payment) stands() Status {
	closed := p.Status == Failed || p.Status == TimedOut || p.Status == Voided
	switch {
	case p.Captured.Amount > 0 && p.Refunded == p.Captured:
		return Refunded
	case p.Captured.Amount > 0 && closed:
		return p.Status
	case p.Captured.Amount > 0 && p.Refunded.Amount > 0:
		return PartiallyRefunded
	case p.Captured.Amount > 0:
		return Captured
	case p.Released:
		return Voided
	case closed:
		return p.Status
	case p.Authorized.Amount > 0:
		return Authorized
	case p.DeclineCode != "":
		return Failed
	case p.RedirectURL != "":
		return ActionRequired
	}
	return p.Status
}

// learn takes in what the provider said, and returns the move that it stands for. Hearing it again changes nothing, and
// neither does hearing it late. This is the only way in which money moves in the books.
func (p *Payment) learn(now time.Time, f Fact) (t Transaction, err error) {
	if p.Reference == "" {
		p.Reference = f.Payment
	}
	switch {
	case f.Outcome == psp.Unknown:
		return t, nil
	case f.Outcome == psp.ActionRequired:
		if f.Kind == psp.Authorize && p.Status == Pending {
			p.RedirectURL = f.RedirectURL
		}
	case f.Kind == psp.Authorize:
		t, err = p.authorize(now, f)
	case f.Kind == psp.Capture:
		t, err = p.capture(now, f)
	case f.Kind == psp.Void:
		t, err = p.release(now, f)
	case f.Kind == psp.Refund:
		t, err = p.refund(now, f)
	}
	if err != nil {
		return t, err
	}
	p.UpdatedAt = now
	p.Status = p.stands()
	if p.Status != ActionRequired {
		p.RedirectURL = ""
	}
	p.settle(now)
	return t, nil
}

func (p *Payment) authorize(now time.Time, f Fact) (Transaction, error) {
	if old, known := p.moved(psp.Authorize); known {
		return old, nil
	}
	if f.Outcome == psp.Declined {
		if p.Authorized.Amount > 0 || p.DeclineCode != "" {
			return Transaction{}, nil
		}
		p.finish(psp.Authorize, "", Refused, f.Code)
		if p.DeclineCode = f.Code; p.DeclineCode == "" {
			p.DeclineCode = "declined"
		}
		return p.record(now, f, p.Amount.Amount), nil
	}
	if f.Amount != 0 && f.Amount != p.Amount.Amount {
		return Transaction{}, ErrAmount.Says("the provider promised another amount than %s", p.Amount)
	}
	p.finish(psp.Authorize, "", Done, "")
	before := p.books()
	p.Authorized, p.DeclineCode = p.Amount, ""
	p.hurry(now, psp.Void)
	return p.enter(before, p.record(now, f, p.Amount.Amount)), nil
}

func (p *Payment) capture(now time.Time, f Fact) (Transaction, error) {
	if f.Outcome == psp.Declined {
		return p.declined(now, f), nil
	}
	if old, known := p.moved(psp.Capture); known {
		return old, nil
	}
	amount := f.Amount
	if amount == 0 {
		amount = p.Amount.Amount
		if op, asked := p.open(psp.Capture, f.Operation); asked {
			amount = op.Amount.Amount
		}
	}
	if amount > p.Amount.Amount {
		return Transaction{}, ErrTooLarge
	}
	// What is taken was promised before, even if we never heard of it.
	if _, err := p.authorize(now, Fact{Kind: psp.Authorize, Outcome: psp.Approved}); err != nil {
		return Transaction{}, err
	}
	p.finish(psp.Capture, "", Done, "")
	before := p.books()
	p.Captured.Amount = amount
	return p.enter(before, p.record(now, f, amount)), nil
}

func (p *Payment) release(now time.Time, f Fact) (Transaction, error) {
	if f.Outcome == psp.Declined {
		return p.declined(now, f), nil
	}
	if old, known := p.moved(psp.Void); known {
		return old, nil
	}
	if p.Captured.Amount > 0 { // the capture let go of the rest: there is no more to say
		return Transaction{}, nil
	}
	if p.Authorized.Amount == 0 {
		// There was nothing to let go, and something may come up yet: the order of news is not the order of events. Should it,
		// we ask again; having been let go, it is no harm to say so twice.
		if p.Status == Pending || p.Status == ActionRequired {
			p.Status = Voided
		}
		return Transaction{}, nil
	}
	p.finish(psp.Void, "", Done, "")
	before := p.books()
	p.Released = true
	return p.enter(before, p.record(now, f, p.Amount.Amount)), nil
}

func (p *Payment) refund(now time.Time, f Fact) (Transaction, error) {
	if f.Outcome == psp.Declined {
		return p.declined(now, f), nil
	}
	for i, t := range p.Transactions {
		// Without a key, an event stands for a move that no event was heard of yet.
		same := t.Operation == f.Operation
		if f.Operation == "" {
			same = f.told && !t.Told && (f.Amount == 0 || f.Amount == t.Amount.Amount)
		}
		if t.Kind == psp.Refund && t.Success && same {
			p.Transactions[i].Told = t.Told || f.told
			return t, nil
		}
	}
	if p.Captured.Amount == 0 {
		return Transaction{}, errEarly
	}
	left := p.Captured.Amount - p.Refunded.Amount
	op, asked := p.open(psp.Refund, f.Operation)
	if f.Operation == "" {
		op, asked = p.openRefund(f.Amount)
	}
	amount := f.Amount
	if amount == 0 && asked {
		amount = op.Amount.Amount
	}
	if amount == 0 {
		amount = left
	}
	if amount > left || left == 0 {
		return Transaction{}, ErrTooLarge
	}
	if asked {
		f.Operation = op.ID
		p.finish(psp.Refund, op.ID, Done, "")
	}
	before := p.books()
	p.Refunded.Amount += amount
	return p.enter(before, p.record(now, f, amount)), nil
}

// declined notes that the provider refused an operation. What has to be undone is not given up for that.
func (p *Payment) declined(now time.Time, f Fact) Transaction {
	op, asked := p.open(f.Kind, f.Operation)
	if !asked {
		return Transaction{}
	}
	if !op.Undo {
		p.finish(f.Kind, op.ID, Refused, f.Code)
	}
	for _, t := range p.Transactions {
		if t.Operation == op.ID && !t.Success {
			return t
		}
	}
	f.Operation = op.ID
	return p.record(now, f, op.Amount.Amount)
}

// moved finds the one successful move of a kind.
func (p *Payment) moved(k Kind) (Transaction, bool) {
	for _, t := range p.Transactions {
		if t.Kind == k && t.Success {
			return t, true
		}
	}
	return Transaction{}, false
}

func (p *Payment) record(now time.Time, f Fact, amount int64) Transaction {
	t := Transaction{
		ID: id.New(id.Transaction), PaymentID: p.ID, Kind: f.Kind, Amount: money.Money{Amount: amount, Currency: p.Amount.Currency},
		Success: f.Outcome == psp.Approved, Reference: f.Reference, Operation: f.Operation, At: now, Told: f.told,
	}
	if t.Reference == "" {
		t.Reference = p.Reference
	}
	p.Transactions = append(p.Transactions, t)
	p.news.Moves = append(p.news.Moves, Move{Transaction: t})
	return t
}

// settle drops what no longer needs to be asked and, where no money may be kept, asks for what is left of it.
func (p *Payment) settle(now time.Time) {
	for _, op := range p.Operations {
		if op.State == Open && p.overtakes(now, op) {
			p.finish(op.Kind, op.ID, Dropped, "")
		}
	}
	if !p.unwanted() {
		return
	}
	switch left := p.refundable(); {
	case left > 0:
		p.want(now, psp.Refund, left, true)
	case p.Captured.Amount == 0 && !p.Released && (p.Authorized.Amount > 0 || p.undecided(now)):
		p.want(now, psp.Void, p.Amount.Amount, true)
	}
}

// overtakes tells whether an operation is not wanted any more, or came true without it.
func (p *Payment) overtakes(now time.Time, op Operation) bool {
	switch op.Kind {
	case psp.Authorize:
		return p.Status != Pending && p.Status != ActionRequired
	case psp.Capture:
		return p.Status != Authorized || p.Abandoned
	case psp.Void:
		return p.Captured.Amount > 0 || p.Released || op.Undo && p.Authorized.Amount == 0 && !p.undecided(now)
	}
	return p.Refunded == p.Captured
}

// refundable is what was captured and neither given back nor about to be.
func (p *Payment) refundable() int64 {
	left := p.Captured.Amount - p.Refunded.Amount
	for _, op := range p.Operations {
		if op.Kind == psp.Refund && op.State == Open {
			left -= op.Amount.Amount
		}
	}
	return left
}

// abandon sees to it that no money is kept.
func (p *Payment) abandon(now time.Time, timedOut bool) {
	if p.Abandoned {
		return
	}
	p.Abandoned, p.UpdatedAt = true, now
	if p.Status == Pending || p.Status == ActionRequired {
		p.Status, p.RedirectURL = Voided, ""
		if timedOut {
			p.Status = TimedOut
		}
	}
	p.settle(now)
}
