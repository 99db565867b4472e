package payments

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/souk-shop/souk/clients/psp"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// fresh is a payment of 19.90 in a state.
func fresh(s Status) *Payment {
	none := money.Money{Currency: "USD"}
	return &Payment{ID: id.New(id.Payment), CreatedAt: noon, Status: s, Amount: money.Money{Amount: 1990, Currency: "USD"}, Authorized: none, Captured: none, Refunded: none}
}

func yes(k Kind) Fact { return Fact{Kind: k, Outcome: psp.Approved, told: true} }
func no(k Kind) Fact  { return Fact{Kind: k, Outcome: psp.Declined, Code: "because", told: true} }

// forward is where a payment may go from a state; the database says the same.
var forward = map[Status][]Status{
	Pending:           {ActionRequired, Authorized, Captured, PartiallyRefunded, Refunded, Voided, Failed, TimedOut},
	ActionRequired:    {Authorized, Captured, PartiallyRefunded, Refunded, Voided, Failed, TimedOut},
	Authorized:        {Captured, PartiallyRefunded, Refunded, Voided},
	Captured:          {PartiallyRefunded, Refunded},
	PartiallyRefunded: {Refunded},
	Failed:            {Voided, Refunded},
	TimedOut:          {Voided, Refunded},
	Voided:            {Refunded},
}

func permutations[T any](of []T) (all [][]T) {
	if len(of) == 0 {
		return [][]T{nil}
	}
	for i := range of {
		rest := append(slices.Clone(of[:i]), of[i+1:]...)
		for _, p := range permutations(rest) {
			all = append(all, append([]T{of[i]}, p...))
		}
	}
	return all
}

// tell lets facts arrive in this order, each twice; what is early comes again later, as the store's reports do.
func tell(t *testing.T, p *Payment, facts []Fact) {
	t.Helper()
	for waiting := slices.Concat(facts, facts); len(waiting) > 0; {
		var early []Fact
		for _, f := range waiting {
			before := p.Status
			_, err := p.learn(noon, f)
			if errors.Is(err, errEarly) {
				early = append(early, f)
			} else if err != nil {
				t.Fatalf("%+v: %v", f, err)
			}
			if p.Status != before && !slices.Contains(forward[before], p.Status) {
				t.Fatalf("%s became %s by %+v", before, p.Status, f)
			}
		}
		if len(early) == len(waiting) {
			t.Fatalf("%+v never counts", early)
		}
		waiting = early
	}
}

func TestFactsCountOnceInAnyOrder(t *testing.T) {
	first, second := yes(psp.Refund), yes(psp.Refund)
	first.Amount, first.Operation = 500, "a"
	second.Amount, second.Operation = 1490, "b"
	for name, c := range map[string]struct {
		facts []Fact
		want  Status
		moves int
		books books
	}{
		"promised":         {[]Fact{yes(psp.Authorize)}, Authorized, 1, books{receivable: 1990}},
		"declined":         {[]Fact{no(psp.Authorize)}, Failed, 1, books{}},
		"taken":            {[]Fact{yes(psp.Authorize), yes(psp.Capture)}, Captured, 2, books{clearing: 1990}},
		"let go":           {[]Fact{yes(psp.Authorize), yes(psp.Void)}, Voided, 2, books{}},
		"partly returned":  {[]Fact{yes(psp.Authorize), yes(psp.Capture), first}, PartiallyRefunded, 3, books{clearing: 1490}},
		"returned, by two": {[]Fact{yes(psp.Authorize), yes(psp.Capture), first, second}, Refunded, 4, books{}},
	} {
		for _, order := range permutations(c.facts) {
			p := fresh(Pending)
			p.want(noon, psp.Authorize, 1990, false)
			tell(t, p, order)
			if p.Status != c.want || len(p.Transactions) != c.moves || p.books() != c.books {
				t.Errorf("%s: %s, %d moves, %+v after %+v", name, p.Status, len(p.Transactions), p.books(), order)
			}
			entries := map[string]int64{}
			for _, m := range p.news.Moves {
				sum := int64(0)
				for _, posting := range m.Entry {
					sum += posting.Amount
					entries[posting.Account] += posting.Amount
				}
				if sum != 0 {
					t.Errorf("%s: the entry of %s sums to %d", name, m.Kind, sum)
				}
			}
			if entries[Receivable] != c.books.receivable || entries[Clearing] != c.books.clearing {
				t.Errorf("%s: the ledger says %v, the payment %+v", name, entries, c.books)
			}
			if _, asked := p.open(psp.Authorize, ""); asked {
				t.Errorf("%s: still asking for the promise", name)
			}
		}
	}
}

func TestWhatEndedWithoutMoneyIsUndoneWhenMoneyComes(t *testing.T) {
	for _, s := range []Status{Failed, TimedOut, Voided} {
		for name, c := range map[string]struct {
			told   Fact
			asks   Kind
			undone Fact
			want   Status
		}{
			"promised late": {yes(psp.Authorize), psp.Void, yes(psp.Void), Voided},
			"taken late":    {yes(psp.Capture), psp.Refund, yes(psp.Refund), Refunded},
		} {
			p := fresh(s)
			if s == Failed {
				p.DeclineCode = "card_declined"
			}
			if _, err := p.learn(noon, c.told); err != nil {
				t.Fatal(err)
			}
			if p.Status != s {
				t.Errorf("%s, %s: it became %s before it was undone", s, name, p.Status)
			}
			if op, asked := p.open(c.asks, ""); !asked || !op.Undo || op.Amount.Amount != 1990 {
				t.Errorf("%s, %s: asks for %+v", s, name, p.Operations)
			}
			c.undone.Operation = "undo"
			tell(t, p, []Fact{c.told, c.undone})
			if p.Status != c.want || p.books() != (books{}) {
				t.Errorf("%s, %s: %s, %+v", s, name, p.Status, p.books())
			}
			for _, op := range p.Operations {
				if op.State == Open {
					t.Errorf("%s, %s: still asks for %s", s, name, op.Kind)
				}
			}
		}
	}
}

func TestAbandon(t *testing.T) {
	for s, c := range map[Status]struct {
		after []Fact // what is known before
		want  Status
		asks  Kind
	}{
		Pending:    {nil, TimedOut, psp.Void},
		Authorized: {[]Fact{yes(psp.Authorize)}, Authorized, psp.Void},
		Captured:   {[]Fact{yes(psp.Capture)}, Captured, psp.Refund},
		Failed:     {[]Fact{no(psp.Authorize)}, Failed, ""},
		Voided:     {[]Fact{yes(psp.Authorize), yes(psp.Void)}, Voided, ""},
	} {
		p := fresh(Pending)
		tell(t, p, c.after)
		p.abandon(noon, true)
		p.abandon(noon, false)
		if p.Status != c.want {
			t.Errorf("%s became %s", s, p.Status)
		}
		var asks []Kind
		for _, op := range p.Operations {
			if op.State == Open {
				asks = append(asks, op.Kind)
			}
		}
		if c.asks == "" && asks != nil || c.asks != "" && !slices.Equal(asks, []Kind{c.asks}) {
			t.Errorf("%s: asks for %v, want %s", s, asks, c.asks)
		}
	}
}

func TestWhatIsToBeUndoneIsNotGivenUp(t *testing.T) {
	p := fresh(Pending)
	tell(t, p, []Fact{yes(psp.Authorize)})
	p.abandon(noon, true)
	op, _ := p.open(psp.Void, "")
	for range 3 {
		refused := no(psp.Void)
		refused.Operation = op.ID
		if _, err := p.learn(noon, refused); err != nil {
			t.Fatal(err)
		}
		p.postpone(noon, op.ID)
	}
	op, asked := p.open(psp.Void, "")
	if !asked || op.DueAt != noon.Add(4*time.Second) || len(p.Transactions) != 2 {
		t.Errorf("%+v, %d moves", op, len(p.Transactions))
	}
}

func TestAProviderThatContradictsItself(t *testing.T) {
	p := fresh(Pending)
	tell(t, p, []Fact{yes(psp.Authorize), yes(psp.Capture)})
	more, other := yes(psp.Refund), yes(psp.Authorize)
	more.Amount, other.Amount = 1991, 1
	if _, err := p.learn(noon, more); !errors.Is(err, ErrTooLarge) {
		t.Errorf("more given back than taken: %v", err)
	}
	if _, err := fresh(Pending).learn(noon, other); !errors.Is(err, ErrAmount) {
		t.Errorf("another amount promised: %v", err)
	}
	for _, f := range []Fact{no(psp.Authorize), yes(psp.Void), no(psp.Capture), no(psp.Refund), {Kind: psp.Authorize, Outcome: psp.ActionRequired, RedirectURL: "x"}} {
		if _, err := p.learn(noon, f); err != nil || p.Status != Captured || p.books() != (books{clearing: 1990}) {
			t.Errorf("%+v: %s, %v", f, p.Status, err)
		}
	}
}

// Whoever tells of a refund by hand knows no key: each telling stands for one refund that was not told of yet.
func TestRefundsToldWithoutAKey(t *testing.T) {
	p := fresh(Pending)
	tell(t, p, []Fact{yes(psp.Authorize), yes(psp.Capture)})
	op := p.want(noon, psp.Refund, 500, false)
	answered := Fact{Kind: psp.Refund, Outcome: psp.Approved, Amount: 500, Operation: op.ID}
	byHand := yes(psp.Refund)
	byHand.Amount = 500
	for _, f := range []Fact{byHand, answered} { // the telling overtakes the answer
		if _, err := p.learn(noon, f); err != nil || p.Refunded.Amount != 500 {
			t.Fatalf("%+v: %s, %v", f, p.Refunded, err)
		}
	}
	if _, err := p.learn(noon, byHand); err != nil || p.Refunded.Amount != 1000 { // another one
		t.Fatalf("%s, %v", p.Refunded, err)
	}
	op = p.want(noon, psp.Refund, 990, false)
	answered.Amount, answered.Operation, byHand.Amount = 990, op.ID, 0
	for _, f := range []Fact{answered, byHand} { // the answer comes first
		if _, err := p.learn(noon, f); err != nil || p.Refunded.Amount != 1990 || p.Status != Refunded {
			t.Fatalf("%+v: %s, %v", f, p.Refunded, err)
		}
	}
}

func TestCardNumbers(t *testing.T) {
	for _, s := range []string{
		"4242424242424242", "4242 4242 4242 4242", "4242-4242-4242-4242", "tok_4242424242424242", "378282246310005", "4222222222222",
		"6304000000000000000", "4242.4242/4242_4242", "４２４２４２４２４２４２４２４２", "  4242 4242\t4242 4242  ",
	} {
		if !cardNumber.MatchString(s) {
			t.Errorf("%q is taken for a token", s)
		}
	}
	for _, s := range []string{"tok_4242", "tok_1234567890", "tok_12a34b56c78d90e12f", ""} {
		if cardNumber.MatchString(s) {
			t.Errorf("%q is taken for a card number", s)
		}
	}
}
