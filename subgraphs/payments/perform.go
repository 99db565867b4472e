package payments

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/souk-shop/souk/clients/psp"
)

const (
	sweepEvery = time.Second
	mostAtOnce = 100 // operations that a sweep takes
	mostFlying = 500 // operations that a process is at before it takes no more
)

// change lets a rule change a payment, and starts what the rule wants of the provider.
func (ps *Payments) change(ctx context.Context, id string, rule func(*Payment) error) (Payment, error) {
	p, err := ps.store.Change(ctx, id, rule)
	if err == nil {
		ps.startAll(p)
	}
	return p, err
}

// startAll starts what a payment, just saved, wants of the provider. Should the process die first, another one takes it up
// when its lease has ended.
func (ps *Payments) startAll(payments ...Payment) {
	for _, p := range payments {
		for _, op := range p.starting() {
			ps.start(op, p)
		}
	}
}

// start begins to ask the provider for an operation of a payment that was read, or saved, a moment ago.
func (ps *Payments) start(op Operation, p Payment) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.running[op.ID] || ps.life.Err() != nil {
		return
	}
	ps.running[op.ID] = true
	f := ps.flights[op.PaymentID]
	if f == nil {
		f = &flight{landed: make(chan struct{})}
		ps.flights[op.PaymentID] = f
	}
	f.running++
	go func() {
		p, err := ps.perform(ps.life, op, p)
		if err != nil && ps.life.Err() == nil {
			ps.log.Warn("payment: to be tried again", "operation", op.ID, "kind", op.Kind, "payment", op.PaymentID, "attempt", op.Attempts+1, "error", err)
		}
		ps.land(op, f, p)
	}()
}

func (ps *Payments) land(op Operation, f *flight, p Payment) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	f.payment = p
	delete(ps.running, op.ID)
	if f.running--; f.running == 0 {
		delete(ps.flights, op.PaymentID)
		close(f.landed)
	}
}

// arrival is await for one payment, and returns it as the last to ask saved it; false when it has to be read.
func (ps *Payments) arrival(ctx context.Context, paymentID string) (Payment, bool) {
	ps.mu.Lock()
	f := ps.flights[paymentID]
	ps.mu.Unlock()
	ps.await(ctx, paymentID)
	if f == nil {
		return Payment{}, false
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return f.payment, f.running == 0 && f.payment.ID != ""
}

// await waits until this process has nothing left to ask the provider for a payment, as long as a caller would.
func (ps *Payments) await(ctx context.Context, paymentIDs ...string) {
	patience := time.NewTimer(ps.patience)
	defer patience.Stop()
	for _, id := range paymentIDs {
		ps.mu.Lock()
		f := ps.flights[id]
		ps.mu.Unlock()
		if f == nil {
			continue
		}
		select {
		case <-f.landed:
		case <-patience.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// perform asks the provider once, notes what it says, and returns the payment as it is saved. An error means that the operation is still open.
func (ps *Payments) perform(ctx context.Context, op Operation, p Payment) (Payment, error) {
	var facts []Fact
	var asking error
	if !p.overtakes(ps.clock.Now(), op) { // by now; what overtakes it while the provider is asked is undone
		calling, cancel := context.WithTimeout(ctx, callTimeout)
		facts, asking = ps.ask(calling, p, op)
		cancel()
	}
	p, err := ps.change(ctx, p.ID, func(p *Payment) error {
		now := ps.clock.Now()
		for _, f := range facts {
			if _, err := p.learn(now, f); err != nil { // the provider's books make no sense to us: somebody has to look
				asking = errors.Join(asking, fmt.Errorf("%s as told: %w", f.Kind, err))
			}
		}
		p.settle(now)
		p.postpone(now, op.ID)
		return nil
	})
	if err != nil {
		p = Payment{}
	}
	return p, errors.Join(asking, err)
}

// ask asks the provider for an operation, and returns what it said. When it did not do what was asked for, its books tell why.
func (ps *Payments) ask(ctx context.Context, p Payment, op Operation) (facts []Fact, err error) {
	if p.Provider != ps.provider.Name() {
		return nil, fmt.Errorf("the payment is with %s", p.Provider)
	}
	m := psp.Move{Key: op.ID, Payment: p.ID, Amount: op.Amount}
	if op.Kind == psp.Void { // what was let go in vain has to be let go anew once there is something to let go; twice does no harm
		m.Key = fmt.Sprintf("%s/%d", op.ID, p.Version)
	}
	var a psp.Answer
	switch op.Kind {
	case psp.Authorize:
		return ps.askAuthorize(ctx, p, op)
	case psp.Capture:
		a, err = ps.provider.Capture(ctx, m)
	case psp.Void:
		a, err = ps.provider.Void(ctx, m)
	case psp.Refund:
		a, err = ps.provider.Refund(ctx, m)
	}
	switch {
	case errors.Is(err, psp.ErrNoPayment):
		a, err = psp.Answer{Outcome: psp.Declined, Code: "unknown_payment"}, nil
	case err != nil:
		return nil, err
	}
	// Whether there was anything to let go, only the books tell: it may have been promised without our hearing of it.
	unsure := op.Kind == psp.Void && p.Authorized.Amount == 0
	if a.Outcome != psp.Approved || unsure {
		facts, err = ps.lookUp(ctx, p)
		if err != nil && !errors.Is(err, psp.ErrNoPayment) {
			return nil, err
		}
		if unsure {
			return facts, nil
		}
	}
	return append(facts, Fact{Kind: op.Kind, Outcome: a.Outcome, Amount: op.Amount.Amount, Operation: op.ID, Reference: a.Reference, Code: a.Code}), nil
}

var errExpired = errors.New("too late to ask for a promise")

// askAuthorize asks for the promise. The second time it looks first: the provider may know more than it had a chance to say.
// Once the order has waited too long nothing new is asked for; whoever is in charge of the order will abandon it.
func (ps *Payments) askAuthorize(ctx context.Context, p Payment, op Operation) ([]Fact, error) {
	expired := ps.clock.Now().After(p.ExpiresAt)
	if op.Attempts > 0 || p.Status == ActionRequired || expired {
		facts, err := ps.lookUp(ctx, p)
		if !errors.Is(err, psp.ErrNoPayment) {
			return facts, err
		}
		if expired {
			return nil, errExpired
		}
	}
	a, err := ps.provider.Authorize(ctx, psp.Authorization{Key: p.ID, Token: p.Token, Amount: p.Amount})
	if err != nil {
		return nil, err
	}
	return []Fact{{Kind: psp.Authorize, Outcome: a.Outcome, Payment: a.Reference, Operation: op.ID, Code: a.Code, RedirectURL: a.RedirectURL}}, nil
}

// lookUp reads the provider's books.
func (ps *Payments) lookUp(ctx context.Context, p Payment) ([]Fact, error) {
	r, err := ps.provider.Lookup(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	facts := []Fact{{Kind: psp.Authorize, Outcome: r.Outcome, Payment: r.Reference, Code: r.Code, RedirectURL: r.RedirectURL}}
	if r.Captured > 0 {
		facts = append(facts, Fact{Kind: psp.Capture, Outcome: psp.Approved, Amount: r.Captured})
	}
	for _, back := range r.Refunds {
		facts = append(facts, Fact{Kind: psp.Refund, Outcome: psp.Approved, Amount: back.Amount, Operation: back.Key, Reference: back.Reference})
	}
	if r.Voided {
		facts = append(facts, Fact{Kind: psp.Void, Outcome: psp.Approved})
	}
	return facts, nil
}

// Work takes up what other processes left undone, and what has to be tried again, until ctx ends.
func (ps *Payments) Work(ctx context.Context) error {
	defer ps.Rest()
	defer ps.end()
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := ps.Sweep(ctx); err != nil && ctx.Err() == nil {
			ps.log.Error("payments: sweep", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Sweep starts the operations that are due and lets the reports that are due count. It does not wait for the provider.
func (ps *Payments) Sweep(ctx context.Context) error {
	ps.mu.Lock()
	room := mostFlying - len(ps.running)
	ps.mu.Unlock()
	now := ps.clock.Now()
	if room > 0 {
		due, err := ps.store.TakeOperations(ctx, now, now.Add(lease), min(room, mostAtOnce))
		if err != nil {
			return err
		}
		if err := ps.startDue(ctx, due); err != nil {
			return err
		}
	}
	reports, err := ps.store.TakeReports(ctx, now, now.Add(lease), mostAtOnce)
	if err != nil {
		return err
	}
	var failed []error
	for _, r := range reports {
		if _, err := ps.count(ctx, r); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

func (ps *Payments) startDue(ctx context.Context, due []Operation) error {
	if len(due) == 0 {
		return nil
	}
	ids := make([]string, len(due))
	for i, op := range due {
		ids[i] = op.PaymentID
	}
	found, err := ps.PaymentsByID(ctx, ids)
	if err != nil {
		return err
	}
	of := map[string]Payment{}
	for _, p := range found {
		of[p.ID] = p
	}
	for _, op := range due {
		ps.start(op, of[op.PaymentID])
	}
	return nil
}

// Rest waits until this process asks nothing of the provider any more.
func (ps *Payments) Rest() {
	for {
		ps.mu.Lock()
		var f *flight
		for _, f = range ps.flights {
			break
		}
		ps.mu.Unlock()
		if f == nil {
			return
		}
		<-f.landed
	}
}
