package accounts

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/postal"
	"github.com/souk-shop/souk/internal/viewer"
)

// MostAddresses is how many addresses an account may keep.
const MostAddresses = 20

// An Address is where something can be delivered.
type Address struct {
	ID        string
	AccountID string
	Name      string // who receives
	Line1     string
	Line2     string
	City      string
	Region    string
	Pincode   string
	Country   string
	Phone     string
	Default   bool // estimates and checkouts start here
}

// Told returns the address as other subgraphs know it.
func (a Address) Told() events.Address {
	return events.Address{
		ID: a.ID, Name: a.Name, Line1: a.Line1, Line2: a.Line2, City: a.City,
		Region: a.Region, Pincode: a.Pincode, Country: a.Country, Phone: a.Phone,
	}
}

type addressStore interface {
	// SaveAddress runs the rule on the account's book while nobody else changes it, saves the address that comes of it and tells of
	// it. ErrNoAccount when there is no such account.
	SaveAddress(ctx context.Context, accountID string, at time.Time, rule func(Book) (Address, error)) (Address, error)
}

// The refusals of an address.
var (
	ErrNoAddress        = fault.New(fault.NotFound, "NOT_FOUND", "there is no such address")
	ErrTooManyAddresses = fault.New(fault.Invalid, "INVALID", "an address book holds at most 20 addresses")
)

// A Book is all addresses of one account, oldest first. One of them is the default, unless it is empty.
type Book []Address

// Save returns the address as it is to be kept: a new one, or the one with its id changed. Adding an address that is there
// already is the same as changing it, so that asking twice adds one. The default stays one until another becomes it.
func (b Book) Save(a Address) (Address, error) {
	at := slices.IndexFunc(b, func(known Address) bool {
		if a.ID != "" {
			return known.ID == a.ID
		}
		same := known
		same.ID, same.Default = a.ID, a.Default
		return same == a
	})
	switch {
	case at >= 0:
		a.ID = b[at].ID
		a.Default = a.Default || b[at].Default
	case a.ID != "":
		return Address{}, ErrNoAddress.At("input", "id")
	case len(b) >= MostAddresses:
		return Address{}, ErrTooManyAddresses
	default:
		a.ID = id.New(id.Address)
		a.Default = a.Default || len(b) == 0
	}
	return a, nil
}

// Default returns the address that estimates and checkouts start from.
func (b Book) Default() (Address, bool) {
	at := slices.IndexFunc(b, func(a Address) bool { return a.Default })
	if at < 0 {
		return Address{}, false
	}
	return b[at], true
}

// SaveAddress adds an address to the viewer's book, or changes the one that addressID names.
func (a *Accounts) SaveAddress(ctx context.Context, who viewer.Viewer, addressID *string, input Address) (Address, error) {
	if !who.SignedIn() {
		return Address{}, ErrSignIn
	}
	checked, err := input.checked()
	if err != nil {
		return Address{}, err
	}
	checked.AccountID, checked.ID = who.AccountID, ""
	if addressID != nil {
		if err := id.Check(id.Address, *addressID, "input", "id"); err != nil {
			return Address{}, err
		}
		checked.ID = *addressID
	}
	return a.store.SaveAddress(ctx, who.AccountID, a.clock.Now(), func(b Book) (Address, error) { return b.Save(checked) })
}

var (
	country = regexp.MustCompile(`^[A-Z]{2}$`)
	phone   = regexp.MustCompile(`^\+?[0-9(][0-9 ()./-]{3,24}$`)
)

// checked returns the address as it is to be kept, or the first rule it breaks.
func (a Address) checked() (Address, error) {
	for _, f := range []struct {
		text  *string
		line  line
		field string
	}{
		{&a.Name, line{"the receiver's name", 1, 120}, "name"},
		{&a.Line1, line{"the street", 1, 200}, "line1"},
		{&a.Line2, line{"the second line", 0, 200}, "line2"},
		{&a.City, line{"the city", 1, 120}, "city"},
		{&a.Region, line{"the region", 0, 120}, "region"},
	} {
		kept, err := f.line.check(*f.text, "input", f.field)
		if err != nil {
			return Address{}, err
		}
		*f.text = kept
	}
	var ok bool
	if a.Pincode, ok = postal.Code(a.Pincode); !ok {
		return Address{}, ErrInput.Says(postal.Shape).At("input", "pincode")
	}
	if !country.MatchString(a.Country) {
		return Address{}, ErrInput.Says("%.10q is not a country code such as IN", a.Country).At("input", "country")
	}
	a.Phone = strings.TrimSpace(a.Phone)
	if a.Phone != "" && !phone.MatchString(a.Phone) {
		return Address{}, ErrInput.Says("%.40q is not a phone number", a.Phone).At("input", "phone")
	}
	return a, nil
}

// AddressOf answers other subgraphs: an address of an account, the default one unless another is named.
func (a *Accounts) AddressOf(ctx context.Context, r events.AddressRequest) (events.Address, error) {
	if !id.Is(id.Account, r.AccountID) {
		return events.Address{}, ErrNoAddress
	}
	books, err := a.AddressesOf(ctx, []string{r.AccountID})
	if err != nil {
		return events.Address{}, err
	}
	book := Book(books[r.AccountID])
	if r.AddressID == "" {
		if found, ok := book.Default(); ok {
			return found.Told(), nil
		}
		return events.Address{}, ErrNoAddress
	}
	for _, found := range book {
		if found.ID == r.AddressID {
			return found.Told(), nil
		}
	}
	return events.Address{}, ErrNoAddress
}
