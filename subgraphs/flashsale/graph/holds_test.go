package graph_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/subgraphs/flashsale"
)

// Nobody has to do anything: what is held past its time is free again, once, however many sweep.
func TestS124S135HoldsEndByThemselves(t *testing.T) {
	s := setup(t)
	saleID := s.open(5, s.goods.Stocked(5))
	var bookings []string
	for _, who := range accounts(5) {
		bookings = append(bookings, s.booked(who, saleID))
	}
	s.clock.Advance(4*time.Minute - time.Microsecond)
	s.sweep()
	s.want(saleID, "SOLD_OUT 0/5/0")
	s.clock.Advance(time.Microsecond)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(s.sweep)
	}
	wg.Wait()
	s.want(saleID, "OPEN 5/0/0")
	for _, b := range bookings {
		if s.status(b) != "EXPIRED" {
			t.Errorf("%s is %s", b, s.status(b))
		}
	}
}

// A payment that succeeds in the last moment meets the sweeper: one of them wins, and the counts say which.
func TestS133PaidOrExpiredNeverBoth(t *testing.T) {
	s := setup(t)
	const units = 30
	saleID := s.open(units, s.goods.Stocked(units))
	type held struct{ booking, order string }
	var all []held
	for _, who := range accounts(units) {
		b := s.booked(who, saleID)
		all = append(all, held{b, s.paying(who, b)})
	}
	s.clock.Advance(6*time.Minute - time.Microsecond) // as long as a booking lasts that is being paid for
	before := s.clock.Now()
	late := s.beside()
	var wg sync.WaitGroup
	paid := make([]error, units)
	start := make(chan struct{})
	for i, h := range all {
		wg.Go(func() {
			<-start
			paid[i] = s.pg.Serve(t.Context(), saleID, flashsale.Wanted{Bookings: []string{h.booking}}, before, func(st *flashsale.Stand) error {
				return st.End(st.Booking(h.booking), flashsale.Booked)
			})
		})
	}
	s.clock.Advance(time.Microsecond)
	for range 3 {
		wg.Go(func() { <-start; late.sweep() })
	}
	close(start)
	wg.Wait()
	late.sweep()
	sold := 0
	for i, h := range all {
		if paid[i] != nil {
			t.Error(paid[i])
		}
		switch s.status(h.booking) {
		case "BOOKED":
			sold++
		case "EXPIRED":
		default:
			t.Errorf("%s is %s", h.booking, s.status(h.booking))
		}
	}
	t.Logf("%d paid, %d expired", sold, units-sold)
	state := "OPEN"
	if sold == units {
		state = "SOLD_OUT"
	}
	s.want(saleID, fmt.Sprintf("%s %d/0/%d", state, units-sold, sold))
}

// A checkout prolongs a booking once, by a bounded time.
func TestS131ABookingBeingPaidForLastsLongerOnce(t *testing.T) {
	s := setup(t)
	saleID := s.open(1, s.goods.Stocked(1))
	ann := accounts(1)[0]
	booking := s.booked(ann, saleID)
	s.clock.Advance(3 * time.Minute)
	order := id.New(id.Order)
	for _, wait := range []time.Duration{0, time.Minute, 4 * time.Minute} {
		s.clock.Advance(wait)
		rep, err := s.sales.Pay(t.Context(), events.PayForBookingRequest{BookingID: booking, AccountID: ann.AccountID, OrderID: order, Until: s.clock.Now().Add(time.Hour)})
		if want := ten.Add(9 * time.Minute); err != nil || !rep.ExpiresAt.Equal(want) {
			t.Errorf("until %v, want %v, %v", rep.ExpiresAt, want, err)
		}
	}
	s.clock.Advance(time.Minute)
	if _, err := s.sales.Confirm(t.Context(), events.BookingOfOrder{BookingID: booking, OrderID: order}); code(err) != "HOLD_EXPIRED" {
		t.Errorf("confirmed past its time, though nobody has swept: %v", err)
	}
	s.sweep()
	s.want(saleID, "OPEN 1/0/0")
	if _, err := s.sales.ForCheckout(t.Context(), events.BookingRequest{BookingID: booking, AccountID: ann.AccountID}); code(err) != "HOLD_EXPIRED" {
		t.Errorf("%v", err)
	}
}
