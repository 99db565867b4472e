package flashsale_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/subgraphs/flashsale"
)

const lamp, rug = "var_lamp", "var_rug"

// open is a sale of lamps and rugs, two to an account of which one may be a lamp, that is held for a minute.
func open(remaining int) flashsale.Sale {
	s := flashsale.Sale{
		ID: id.New(id.FlashSale), StartsAt: ten, EndsAt: ten.Add(time.Hour), LimitPerAccount: 2, HoldTime: time.Minute,
		Entry: flashsale.Entry{Admission: flashsale.OpenDoor}, Told: flashsale.Open,
	}
	price := money.Money{Amount: 9900, Currency: "USD"}
	s.Offers = []flashsale.Offer{
		{SaleID: s.ID, VariantID: lamp, Price: price, LimitPerAccount: 1, Quantity: remaining, Remaining: remaining},
		{SaleID: s.ID, VariantID: rug, Price: price, LimitPerAccount: 5, Quantity: remaining, Remaining: remaining},
	}
	return s
}

func book(s *flashsale.Stand, account, variant, key string) flashsale.BookResult {
	return s.Book(flashsale.BookRequest{AccountID: account, VariantID: variant, Key: key})
}

// become has something happen to a booking at a stand, now.
func become(t *testing.T, s *flashsale.Stand, b *flashsale.Booking, to flashsale.BookingStatus) flashsale.BookingStatus {
	t.Helper()
	is := s.Booking(b.ID)
	if err := s.End(is, to); err != nil {
		t.Fatal(err)
	}
	return is.Status
}

func TestS109WhatAnAccountMayHave(t *testing.T) {
	s := flashsale.NewStand(ten, open(9), nil, nil)
	first := book(s, "ann", lamp, "key-1").Booking
	if first == nil || first.UnitPrice.Amount != 9900 || !first.ExpiresAt.Equal(ten.Add(time.Minute)) {
		t.Fatalf("%+v", first)
	}
	if r := book(s, "ann", lamp, "key-2"); r.AlreadyBooked == nil || r.AlreadyBooked.ID != first.ID {
		t.Errorf("a second lamp: %+v", r)
	}
	if r := book(s, "ann", rug, "key-3"); r.Booking == nil {
		t.Errorf("a rug beside the lamp: %+v", r)
	}
	if r := book(s, "ann", rug, "key-4"); r.AlreadyBooked == nil {
		t.Errorf("a third unit of two: %+v", r)
	}
	if r := book(s, "bob", lamp, "key-1"); r.Booking == nil {
		t.Errorf("another's keys are their own: %+v", r)
	}
	if r := book(s, "ann", lamp, "key-1"); r.Booking == nil || r.Booking.ID != first.ID {
		t.Errorf("the same again: %+v", r)
	}
	if r := book(s, "ann", rug, "key-1"); !errors.Is(r.Err, flashsale.ErrKeyReused) {
		t.Errorf("a key with another variant: %+v", r)
	}
	if is := become(t, s, first, flashsale.Released); is != flashsale.Released {
		t.Fatal(is)
	}
	if r := book(s, "ann", lamp, "key-5"); r.Booking == nil {
		t.Errorf("after giving the lamp back: %+v", r)
	}
	if o := s.Sale.Offer(lamp); o.Remaining+o.Held+o.Sold != o.Quantity || o.Held != 2 {
		t.Errorf("%+v", o)
	}
}

func TestABookingEndsOnceAndInTime(t *testing.T) {
	sale := open(9)
	s := flashsale.NewStand(ten, sale, nil, nil)
	paid, late, dropped := book(s, "ann", lamp, "key-1").Booking, book(s, "bob", lamp, "key-1").Booking, book(s, "eve", lamp, "key-1").Booking
	if is := become(t, s, paid, flashsale.Expired); is != flashsale.Held {
		t.Errorf("before its time is up it is %s", is)
	}
	if is := become(t, s, paid, flashsale.Booked); is != flashsale.Booked {
		t.Errorf("paid for it is %s", is)
	}
	for _, to := range []flashsale.BookingStatus{flashsale.Released, flashsale.Expired} {
		if is := become(t, s, paid, to); is != flashsale.Booked {
			t.Errorf("what is sold became %s", is)
		}
	}
	become(t, s, dropped, flashsale.Released)

	later := flashsale.NewStand(late.ExpiresAt, *s.Sale, []flashsale.Booking{*s.Booking(late.ID), *s.Booking(dropped.ID)}, nil)
	if is := become(t, later, late, flashsale.Booked); is != flashsale.Held {
		t.Errorf("too late it is %s, though nobody has swept it", is)
	}
	if is := become(t, later, late, flashsale.Expired); is != flashsale.Expired {
		t.Errorf("its time is up, and it is %s", is)
	}
	if is := become(t, later, dropped, flashsale.Expired); is != flashsale.Released {
		t.Errorf("what was given back became %s", is)
	}
	if o := later.Sale.Offer(lamp); o.Remaining != 8 || o.Held != 0 || o.Sold != 1 {
		t.Errorf("%+v", o)
	}
	if n := int64(len(s.Moved()) + len(later.Moved())); n != 6 || later.Sale.Seq != sale.Seq+n {
		t.Errorf("%d movements up to seq %d", n, later.Sale.Seq)
	}
}

func TestS131AnOrderProlongsItsBookingOnce(t *testing.T) {
	s := flashsale.NewStand(ten, open(9), nil, nil)
	made := book(s, "ann", lamp, "key-1").Booking
	b, order, other := s.Booking(made.ID), id.New(id.Order), id.New(id.Order)
	if err := s.Pay(b, order, ten.Add(24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	ends := b.ExpiresAt
	if ends.Sub(ten) > 10*time.Minute || !ends.After(made.ExpiresAt) {
		t.Errorf("it is kept until %v", ends)
	}
	s.At = ten.Add(time.Minute)
	if err := s.Pay(b, order, ten.Add(24*time.Hour)); err != nil || !b.ExpiresAt.Equal(ends) {
		t.Errorf("asked again, it is kept until %v: %v", b.ExpiresAt, err)
	}
	if err := s.Pay(b, other, ten.Add(24*time.Hour)); !errors.Is(err, flashsale.ErrOrdered) {
		t.Errorf("another order: %v", err)
	}
	s.At = ends
	if err := s.Pay(b, order, ends.Add(time.Hour)); !errors.Is(err, flashsale.ErrHoldExpired) {
		t.Errorf("its time is up: %v", err)
	}
}

func TestSoldOutIsFinalOnceNothingIsHeld(t *testing.T) {
	s := flashsale.NewStand(ten, open(1), nil, nil)
	b := book(s, "ann", lamp, "key-1").Booking
	if r := book(s, "bob", lamp, "key-1"); r.SoldOut == nil || r.SoldOut.Final() || r.SoldOut.RetryAfter == nil || !r.SoldOut.RetryAfter.Equal(b.ExpiresAt) {
		t.Errorf("while the last one is held: %+v", r.SoldOut)
	}
	become(t, s, b, flashsale.Booked)
	if r := book(s, "bob", lamp, "key-2"); r.SoldOut == nil || !r.SoldOut.Final() || r.SoldOut.RetryAfter != nil {
		t.Errorf("once it is sold: %+v", r.SoldOut)
	}
}

// A ticket is good for one booking, by whom it was given to, in its sale, in its time: also for requests that share a transaction.
func TestATicketIsOneBooking(t *testing.T) {
	sale, until := open(9), ten.Add(time.Minute)
	sale.Entry = flashsale.Entry{Admission: flashsale.FIFO, AdmitPerSecond: 1}
	ticket := func(saleID, account string, until time.Time) flashsale.Ticket {
		return flashsale.Ticket{ID: id.New(id.Ticket), SaleID: saleID, AccountID: account, Noted: flashsale.TicketAdmitted, AdmittedUntil: &until}
	}
	good, past, elsewhere := ticket(sale.ID, "ann", until), ticket(sale.ID, "ann", ten), ticket(id.New(id.FlashSale), "ann", until)
	waiting := good
	waiting.ID, waiting.Noted = id.New(id.Ticket), flashsale.TicketWaiting
	s := flashsale.NewStand(ten, sale, nil, nil)
	s.Present([]flashsale.Ticket{good, past, elsewhere, waiting})
	with := func(account, variant, ticket, key string) flashsale.BookResult {
		return s.Book(flashsale.BookRequest{AccountID: account, VariantID: variant, Key: key, TicketID: ticket})
	}
	for name, r := range map[string]flashsale.BookResult{
		"none":             with("ann", lamp, "", "key-1"),
		"one unheard of":   with("ann", lamp, id.New(id.Ticket), "key-2"),
		"one that ran out": with("ann", lamp, past.ID, "key-3"),
		"another sale's":   with("ann", lamp, elsewhere.ID, "key-4"),
		"one that waits":   with("ann", lamp, waiting.ID, "key-5"),
		"another's":        with("bob", lamp, good.ID, "key-6"),
	} {
		if !errors.Is(r.Err, flashsale.ErrNotAdmitted) || r.Booking != nil {
			t.Errorf("with %s: %+v", name, r)
		}
	}
	made := with("ann", lamp, good.ID, "key-7")
	if made.Booking == nil {
		t.Fatalf("%+v", made)
	}
	if r := with("ann", rug, good.ID, "key-8"); !errors.Is(r.Err, flashsale.ErrNotAdmitted) {
		t.Errorf("a second time: %+v", r)
	}
	if r := with("ann", lamp, good.ID, "key-7"); r.Booking == nil || r.Booking.ID != made.Booking.ID {
		t.Errorf("the same again: %+v", r)
	}
	if used := s.Used(); len(used) != 1 || used[0].ID != good.ID || used[0].BookingID != made.Booking.ID {
		t.Errorf("%+v", used)
	}
}

// When a sale is over, what is left of it goes back, and so does what comes back later.
func TestWhatIsLeftGoesBack(t *testing.T) {
	s := flashsale.NewStand(ten, open(9), nil, nil)
	b := book(s, "ann", lamp, "key-1").Booking
	for name, over := range map[string]func(*flashsale.Sale) time.Time{
		"ended":      func(s *flashsale.Sale) time.Time { return s.EndsAt },
		"called off": func(s *flashsale.Sale) time.Time { at := ten; s.CancelledAt = &at; return ten },
	} {
		sale := *s.Sale
		sale.Offers = slices.Clone(sale.Offers)
		end := flashsale.NewStand(over(&sale), sale, []flashsale.Booking{*s.Booking(b.ID)}, nil)
		units := func() (n int) {
			for _, r := range end.Returns() {
				for _, l := range r.Lines {
					n += l.Quantity
				}
			}
			return n
		}
		if err := end.Pass(); err != nil || units() != 17 {
			t.Errorf("%s: %d of 18 went back, with one held: %v", name, units(), err)
		}
		if is := become(t, end, b, flashsale.Released); is != flashsale.Released {
			t.Fatal(is)
		}
		if err := end.Pass(); err != nil || units() != 18 {
			t.Errorf("%s: %d of 18 went back: %v", name, units(), err)
		}
	}
	if err := s.Pass(); err != nil || len(s.Returns()) > 0 {
		t.Errorf("%v left while it is open: %v", s.Returns(), err)
	}
}
