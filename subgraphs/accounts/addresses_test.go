package accounts_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/accounts"
)

func home() accounts.Address {
	return accounts.Address{Name: "Ann", Line1: "1 Mint Street", City: "Bengaluru", Pincode: "560001", Country: "IN"}
}

func TestBook(t *testing.T) {
	t.Parallel()
	var book accounts.Book
	keep := func(a accounts.Address) accounts.Address {
		t.Helper()
		saved, err := book.Save(a)
		if err != nil {
			t.Fatal(err)
		}
		at := slices.IndexFunc(book, func(known accounts.Address) bool { return known.ID == saved.ID })
		if at < 0 {
			at, book = len(book), append(book, accounts.Address{})
		}
		for i := range book {
			book[i].Default = book[i].Default && !saved.Default
		}
		book[at] = saved
		return saved
	}
	if _, ok := book.Default(); ok {
		t.Error("an empty book has a default")
	}
	first := keep(home())
	if !first.Default || !id.Is(id.Address, first.ID) {
		t.Errorf("the first: %+v", first)
	}
	if again := keep(home()); again != first || len(book) != 1 {
		t.Errorf("adding it again: %+v", again)
	}
	office := home()
	office.Line1 = "2 Mint Street"
	second := keep(office)
	if second.Default || len(book) != 2 {
		t.Errorf("the second: %+v", second)
	}
	office.Default = true
	if again := keep(office); again.ID != second.ID || !again.Default {
		t.Errorf("the second, added again as default: %+v", again)
	}
	edited := first
	edited.City, edited.Default = "Mysuru", false
	if got := keep(edited); got.ID != first.ID || got.City != "Mysuru" || got.Default {
		t.Errorf("edited: %+v", got)
	}
	second.Default = false
	if got := keep(second); !got.Default {
		t.Error("the default stays one until another becomes it")
	}
	stranger := home()
	stranger.ID = id.New(id.Address)
	if _, err := book.Save(stranger); !errors.Is(err, accounts.ErrNoAddress) {
		t.Errorf("an address of somebody else: %v", err)
	}
	for len(book) < accounts.MostAddresses {
		office.Line2 += "i"
		keep(office)
	}
	office.Line2 += "i"
	if _, err := book.Save(office); !errors.Is(err, accounts.ErrTooManyAddresses) {
		t.Errorf("one too many: %v", err)
	}
	keep(edited)
}

// shelf is a store of one book.
type shelf struct {
	accounts.Store
	book accounts.Book
}

func (s shelf) SaveAddress(_ context.Context, _ string, _ time.Time, rule func(accounts.Book) (accounts.Address, error)) (accounts.Address, error) {
	return rule(s.book)
}

func TestAddressRules(t *testing.T) {
	t.Parallel()
	a := accounts.New(shelf{}, nil, nil, clock.Hold(time.Unix(0, 0)))
	ann := viewer.Viewer{AccountID: id.New(id.Account)}
	for _, c := range []struct {
		name  string
		edit  func(*accounts.Address)
		field string
	}{
		{"good", func(*accounts.Address) {}, ""},
		{"no name", func(a *accounts.Address) { a.Name = " " }, "name"},
		{"no street", func(a *accounts.Address) { a.Line1 = "" }, "line1"},
		{"long street", func(a *accounts.Address) { a.Line1 = strings.Repeat("x", 201) }, "line1"},
		{"newline", func(a *accounts.Address) { a.Line2 = "c/o\nBob" }, "line2"},
		{"zero byte", func(a *accounts.Address) { a.City = "B\x00" }, "city"},
		{"long region", func(a *accounts.Address) { a.Region = strings.Repeat("ß", 121) }, "region"},
		{"no postal code", func(a *accounts.Address) { a.Pincode = "" }, "pincode"},
		{"strange postal code", func(a *accounts.Address) { a.Pincode = "56*" }, "pincode"},
		{"long postal code", func(a *accounts.Address) { a.Pincode = strings.Repeat("1", 11) }, "pincode"},
		{"short postal code", func(a *accounts.Address) { a.Pincode = "12" }, "pincode"},
		{"British postal code", func(a *accounts.Address) { a.Pincode, a.Country = "sw1a 1aa", "GB" }, ""},
		{"no country", func(a *accounts.Address) { a.Country = "India" }, "country"},
		{"phone", func(a *accounts.Address) { a.Phone = "+91 (80) 2222-1111" }, ""},
		{"no phone", func(a *accounts.Address) { a.Phone = "call me" }, "phone"},
	} {
		in := home()
		c.edit(&in)
		saved, err := a.SaveAddress(t.Context(), ann, nil, in)
		got, field := code(err)
		if want := c.field; (want == "") != (got == "") || want != "" && (got != "INVALID" || !slices.Equal(field, []string{"input", want})) {
			t.Errorf("%s: %s at %v", c.name, got, field)
		}
		if err == nil && (saved.AccountID != ann.AccountID || saved.Pincode != strings.ToUpper(saved.Pincode)) {
			t.Errorf("%s: %+v", c.name, saved)
		}
	}
	for _, malformed := range []string{"", "adr_1", id.New(id.Account)} {
		if got, field := code(second(a.SaveAddress(t.Context(), ann, &malformed, home()))); got != "INVALID_ID" || !slices.Equal(field, []string{"input", "id"}) {
			t.Errorf("%q: %s at %v", malformed, got, field)
		}
	}
}

func second[T any](_ T, err error) error { return err }
