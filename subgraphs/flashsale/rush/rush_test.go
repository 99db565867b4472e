package rush_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/souk-shop/souk/internal/batch"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	"github.com/souk-shop/souk/subgraphs/flashsale/rush"
)

// slow is a store whose first transaction waits until it is let go.
type slow struct {
	flashsale.Store
	mu      sync.Mutex
	lots    []int
	begun   chan struct{}
	release chan struct{}
	err     error
}

func (s *slow) Book(_ context.Context, _ string, requests []flashsale.BookRequest, _ time.Time) ([]flashsale.BookResult, error) {
	s.mu.Lock()
	s.lots = append(s.lots, len(requests))
	first := len(s.lots) == 1
	s.mu.Unlock()
	if first {
		close(s.begun)
		<-s.release
	}
	if s.err != nil {
		return nil, s.err
	}
	results := make([]flashsale.BookResult, len(requests))
	for i, r := range requests {
		results[i].Booking = &flashsale.Booking{AccountID: r.AccountID}
	}
	return results, nil
}

func (s *slow) Join(_ context.Context, _ string, accounts []string, _ time.Time) ([]flashsale.JoinResult, error) {
	s.mu.Lock()
	s.lots = append(s.lots, len(accounts))
	first := len(s.lots) == 1
	s.mu.Unlock()
	if first {
		close(s.begun)
		<-s.release
	}
	if s.err != nil {
		return nil, s.err
	}
	results := make([]flashsale.JoinResult, len(accounts))
	for i, a := range accounts {
		if results[i].Ticket.AccountID = a; a == "late" {
			results[i].Err = flashsale.ErrNotOpen
		}
	}
	return results, nil
}

func TestWhoJoinsMeanwhileSharesATransaction(t *testing.T) {
	s := &slow{begun: make(chan struct{}), release: make(chan struct{})}
	d := rush.New(s, clock.System, batch.Config{Depth: 3})
	var wg sync.WaitGroup
	wg.Go(func() {
		if res, err := d.Join(t.Context(), "sale", "first"); err != nil || res.Ticket.AccountID != "first" {
			t.Errorf("%+v %v", res, err)
		}
	})
	<-s.begun
	refused := make(chan flashsale.JoinResult, 8)
	for range 8 { // three find room behind the first
		wg.Go(func() {
			res, err := d.Join(t.Context(), "sale", "late")
			if res.PollAfter != nil {
				refused <- res
			} else if !errors.Is(err, flashsale.ErrNotOpen) {
				t.Errorf("%+v %v", res, err)
			}
		})
	}
	for range 5 {
		if res := <-refused; res.PollAfter.IsZero() {
			t.Errorf("%+v", res)
		}
	}
	close(s.release)
	wg.Wait()
	if len(s.lots) != 2 || s.lots[1] != 3 {
		t.Errorf("transactions of %v", s.lots)
	}
	if err := d.Close(t.Context()); err != nil {
		t.Error(err)
	}
	none := &slow{begun: make(chan struct{}), release: make(chan struct{}), err: flashsale.ErrNoSale}
	close(none.release)
	if _, err := rush.New(none, clock.System, batch.Config{}).Join(t.Context(), "sale", "ann"); !errors.Is(err, flashsale.ErrNoSale) || len(none.lots) != 1 {
		t.Errorf("%v after %d tries", err, len(none.lots))
	}
}

func TestWhoComesMeanwhileSharesATransactionAndTheRestComesBack(t *testing.T) {
	s := &slow{begun: make(chan struct{}), release: make(chan struct{})}
	d := rush.New(s, clock.System, batch.Config{Depth: 3})
	var wg sync.WaitGroup
	book := func(account string) {
		wg.Go(func() {
			res, err := d.Book(t.Context(), "sale", flashsale.BookRequest{AccountID: account})
			if err != nil || res.Booking == nil || res.Booking.AccountID != account {
				t.Errorf("%s: %+v %v", account, res, err)
			}
		})
	}
	book("first")
	<-s.begun
	var full sync.WaitGroup
	refused := make(chan flashsale.BookResult, 8)
	for range 8 { // three find room behind the first
		full.Go(func() {
			if res, err := d.Book(t.Context(), "sale", flashsale.BookRequest{}); err != nil {
				t.Error(err)
			} else if res.PollAfter != nil {
				refused <- res
			}
		})
	}
	for range 5 {
		if res := <-refused; res.PollAfter.IsZero() {
			t.Errorf("%+v", res)
		}
	}
	close(s.release)
	full.Wait()
	wg.Wait()
	if len(s.lots) != 2 || s.lots[1] != 3 {
		t.Errorf("transactions of %v", s.lots)
	}
	if err := d.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if res, err := d.Book(t.Context(), "sale", flashsale.BookRequest{}); err != nil || res.PollAfter == nil {
		t.Errorf("when closed: %+v %v", res, err)
	}
}

func TestASaleThatIsNotThere(t *testing.T) {
	s := &slow{begun: make(chan struct{}), release: make(chan struct{}), err: flashsale.ErrNoSale}
	close(s.release)
	if _, err := rush.New(s, clock.System, batch.Config{}).Book(t.Context(), "sale", flashsale.BookRequest{}); !errors.Is(err, flashsale.ErrNoSale) || len(s.lots) != 1 {
		t.Errorf("%v after %d tries", err, len(s.lots))
	}
}

// A store that goes away fails the lot, and is not asked for each half, quarter and eighth of it.
func TestAStoreThatIsAwayIsAskedOnce(t *testing.T) {
	s := &slow{begun: make(chan struct{}), release: make(chan struct{}), err: fmt.Errorf("book: %w", io.ErrUnexpectedEOF)}
	d := rush.New(s, clock.System, batch.Config{})
	var wg sync.WaitGroup
	book := func() {
		wg.Go(func() {
			if _, err := d.Book(t.Context(), "sale", flashsale.BookRequest{}); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%v", err)
			}
		})
	}
	book()
	<-s.begun
	for range 8 {
		book()
	}
	for d.Waiting() < 8 {
		time.Sleep(time.Millisecond)
	}
	close(s.release)
	wg.Wait()
	if len(s.lots) != 2 {
		t.Errorf("transactions of %v", s.lots)
	}
}
