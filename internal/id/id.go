// Package id makes and checks the shop's identifiers: a prefix that says what is meant, and a ULID that sorts by time.
package id

import (
	"slices"
	"strings"

	"github.com/oklog/ulid/v2"

	"github.com/souk-shop/souk/internal/fault"
)

// A Prefix says what kind of thing an id names.
type Prefix string

// The prefixes of every id that leaves the shop.
const (
	Account       Prefix = "acc"
	Address       Prefix = "adr"
	Seller        Prefix = "sel"
	Product       Prefix = "prod"
	Variant       Prefix = "var"
	Category      Prefix = "cat"
	Media         Prefix = "med"
	Upload        Prefix = "upl"
	BulkOperation Prefix = "bulk"
	Warehouse     Prefix = "wh"
	Reservation   Prefix = "res"
	Cart          Prefix = "cart"
	CartLine      Prefix = "cln"
	Order         Prefix = "ord"
	OrderLine     Prefix = "oln"
	PaymentMethod Prefix = "pm"
	Payment       Prefix = "pay"
	Transaction   Prefix = "txn"
	Review        Prefix = "rev"
	Shipment      Prefix = "shp"
	FlashSale     Prefix = "sale"
	Booking       Prefix = "fsb"
	Ticket        Prefix = "tkt"
	Change        Prefix = "chg"
	Event         Prefix = "evt"
	Query         Prefix = "qry"
)

// ErrMalformed is what Check returns for anything but prefix_ULID.
var ErrMalformed = fault.New(fault.Invalid, "INVALID_ID", "malformed id")

// New returns a fresh id such as ord_01JD3V2K8Q….
func New(p Prefix) string {
	u := ulid.Make()
	var buf [48]byte // longer than any: ids are made by the thousand, and this is all that is allocated
	s := append(append(buf[:0], p...), '_')
	n := len(s)
	s = s[:n+ulid.EncodedSize]
	if err := u.MarshalTextTo(s[n:]); err != nil {
		panic(err) // it has room
	}
	return string(s)
}

// Check refuses what is not an id of this kind, with an error for the customer that names the field.
func Check(p Prefix, s string, field ...string) error {
	if Is(p, s) {
		return nil
	}
	return ErrMalformed.Says("%.40q is not an id of the form %s_…", s, p).At(slices.Clone(field)...) // a clone costs those nothing who have a good id
}

// Is tells whether s is a well-formed id of this kind.
func Is(p Prefix, s string) bool {
	got, rest, ok := strings.Cut(s, "_")
	if !ok || got != string(p) {
		return false
	}
	_, err := ulid.ParseStrict(rest)
	return err == nil && rest == strings.ToUpper(rest)
}

// PrefixOf returns the prefix of a well-formed id of any kind, or "".
func PrefixOf(s string) Prefix {
	got, _, _ := strings.Cut(s, "_")
	if p := Prefix(got); Is(p, s) {
		return p
	}
	return ""
}
