package payments_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"testing"

	"github.com/souk-shop/souk/clients/psp/fake"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/payments"
)

func TestMethods(t *testing.T) {
	w := newWorld(t)
	add := func(who viewer.Viewer, token string, isDefault bool) payments.Method {
		t.Helper()
		m, err := w.ps.AddMethod(t.Context(), who, token, payments.Card, isDefault)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	first := add(ann, fake.Succeeds, false)
	if !first.Default || first.Label != "Card ending in 4242" {
		t.Errorf("%+v", first)
	}
	second := add(ann, fake.IsDeclined, true)
	if again := add(ann, " "+fake.Succeeds, false); again.ID != first.ID || again.Default {
		t.Errorf("the same token again: %+v", again)
	}
	if theirs := add(viewer.Viewer{AccountID: id.New(id.Account)}, fake.Succeeds, true); theirs.ID == first.ID {
		t.Error("two accounts share a method")
	}
	of, err := w.store.MethodsOf(t.Context(), []string{ann.AccountID})
	if got := of[ann.AccountID]; err != nil || len(got) != 2 || got[0].ID != second.ID || !got[0].Default || got[1].Default {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := w.ps.AddMethod(t.Context(), viewer.Viewer{}, fake.Succeeds, payments.Card, false); !errors.Is(err, payments.ErrUnauthenticated) {
		t.Errorf("a guest: %v", err)
	}
	for _, token := range []string{"", "tok_", "tok_42", "tok_42424", "TOK_4242", "visa", "tok_4242\n"} {
		if m, err := w.ps.AddMethod(t.Context(), ann, token, payments.Card, false); token != "tok_4242\n" && !errors.Is(err, payments.ErrToken) {
			t.Errorf("%q: %+v, %v", token, m, err)
		}
	}
}

func TestOneDefaultHoweverManyAreAddedAtOnce(t *testing.T) {
	w := newWorld(t)
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			_, err := w.ps.AddMethod(t.Context(), ann, fmt.Sprintf("tok_%04d", 1000+i%55), payments.Card, true)
			if err != nil && !errors.Is(err, payments.ErrTooMany) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	of, err := w.store.MethodsOf(t.Context(), []string{ann.AccountID})
	defaults := 0
	for _, m := range of[ann.AccountID] {
		if m.Default {
			defaults++
		}
	}
	if n := len(of[ann.AccountID]); err != nil || defaults != 1 || n != 50 {
		t.Errorf("%d methods, %d of them the default, %v", n, defaults, err)
	}
}

// dump is everything in the database, as text.
func (w *world) dump() string {
	w.t.Helper()
	var all []byte
	rows, err := w.pool.Query(w.t.Context(), `SELECT table_to_xml(c.oid::regclass, true, true, '')::text FROM pg_class c
		WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'`)
	if err != nil {
		w.t.Fatal(err)
	}
	for rows.Next() {
		all = append(all, rows.RawValues()[0]...)
	}
	if rows.Err() != nil || len(all) < 1000 {
		w.t.Fatal(rows.Err(), len(all))
	}
	return string(all)
}

func TestNoCardNumberIsKeptOrLogged(t *testing.T) {
	w := newWorld(t)
	var log bytes.Buffer
	ps := payments.New(w.store, w.line, w.placed, w.clock, payments.Options{Log: slog.New(slog.NewJSONHandler(&log, nil))})
	for _, number := range []string{"4242424242424242", "4242 4242 4242 4242", "4242-4242-4242-4242", "tok_4242424242424242", "378282246310005"} {
		_, err := ps.AddMethod(t.Context(), ann, number, payments.Card, true)
		if !errors.Is(err, payments.ErrCardNumber) || bytes.Contains([]byte(err.Error()), []byte("4242")) {
			t.Errorf("%s: %v", number, err)
		}
		_, err = w.pool.Exec(t.Context(), `INSERT INTO methods VALUES ($1, $2, 'fake', $3, 'CARD', 'Card', false, now())`, id.New(id.PaymentMethod), ann.AccountID, number)
		if err == nil {
			t.Errorf("the database keeps %s", number)
		}
	}
	w.pay(fake.Succeeds)
	w.deliver(fake.Delivery{})
	kept := w.dump()
	if pan := regexp.MustCompile(`4242[ -]?4242|3782[ -]?8224`); pan.MatchString(kept) || pan.MatchString(log.String()) {
		t.Error("a card number was kept or logged")
	}
	if !regexp.MustCompile(`tok_4242`).MatchString(kept) {
		t.Error("the dump is not all there is")
	}
}
