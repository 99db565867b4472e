package postgres_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/flashsale"
)

// Whatever happens in a sale in whatever order, the counts are those of somebody who keeps them on paper.
func TestAnySaleAddsUp(t *testing.T) {
	w := setup(t)
	rapid.Check(t, func(r *rapid.T) {
		p := newPaper(w, r)
		r.Repeat(map[string]func(*rapid.T){
			"book":    p.book,
			"release": p.release,
			"pay":     p.pay,
			"confirm": p.confirm,
			"decline": p.decline,
			"cancel":  p.cancel,
			"wait":    p.wait,
			"sweep":   p.sweep,
			"":        p.compare,
		})
	})
	w.sound()
}

// paper is where somebody keeps the counts of one sale of two variants.
type paper struct {
	*world
	saleID   string
	variants []string
	people   []viewer.Viewer
	limit    int
	left     map[string]int // by variant
	bookings []*noted
}

type noted struct {
	flashsale.Booking
	status flashsale.BookingStatus
	order  string
	ends   time.Time
}

func newPaper(w *world, r *rapid.T) *paper {
	p := &paper{world: w, left: map[string]int{}, limit: rapid.IntRange(1, 3).Draw(r, "limit")}
	units := rapid.IntRange(1, 4).Draw(r, "units")
	for range 2 {
		v := w.goods.Stocked(units)
		p.variants, p.left[v] = append(p.variants, v), units
	}
	for range 3 {
		p.people = append(p.people, viewer.Viewer{AccountID: id.New(id.Account)})
	}
	plan := w.plan(units, p.variants...)
	plan.LimitPerAccount, plan.EndsAt = p.limit, plan.StartsAt.Add(24*time.Hour)
	p.saleID = w.sale(plan)
	return p
}

func (p *paper) book(r *rapid.T) {
	who, v := rapid.SampledFrom(p.people).Draw(r, "who"), rapid.SampledFrom(p.variants).Draw(r, "variant")
	ofSale, ofVariant := 0, 0
	for _, b := range p.bookings {
		if b.AccountID == who.AccountID && (b.status == flashsale.Held || b.status == flashsale.Booked) {
			ofSale++
			if b.VariantID == v {
				ofVariant++
			}
		}
	}
	key := id.New(id.Event)
	res, err := p.sales.Book(p.t.Context(), who, p.saleID, v, key)
	switch {
	case err != nil:
		r.Fatal(err)
	case ofSale >= p.limit || ofVariant >= 1:
		if res.AlreadyBooked == nil {
			r.Fatalf("%+v, with %d and %d of %d", res, ofSale, ofVariant, p.limit)
		}
	case p.left[v] == 0:
		if res.SoldOut == nil {
			r.Fatalf("%+v, sold out", res)
		}
	case res.Booking == nil:
		r.Fatalf("%+v, with %d left", res, p.left[v])
	default:
		p.bookings = append(p.bookings, &noted{Booking: *res.Booking, status: flashsale.Held, ends: res.Booking.ExpiresAt})
		p.left[v]--
		again, err := p.sales.Book(p.t.Context(), who, p.saleID, v, key) // a retry changes nothing
		if err != nil || again.Booking == nil || again.Booking.ID != res.Booking.ID {
			r.Fatalf("%+v %v", again, err)
		}
	}
}

func (p *paper) pick(r *rapid.T) *noted {
	if len(p.bookings) == 0 {
		r.Skip("nothing is booked")
	}
	return rapid.SampledFrom(p.bookings).Draw(r, "booking")
}

func (p *paper) end(b *noted, to flashsale.BookingStatus) {
	b.status = to
	if to != flashsale.Booked {
		p.left[b.VariantID]++
	}
}

func (p *paper) expect(r *rapid.T, err error, want string) bool {
	if code(err) != want || err != nil && want == "" {
		r.Fatalf("%v, want %q", err, want)
	}
	return err == nil
}

func (p *paper) release(r *rapid.T) {
	b := p.pick(r)
	want := ""
	switch {
	case b.status == flashsale.Booked:
		want = "BOOKED"
	case b.status == flashsale.Held && b.order != "":
		want = "BEING_PAID"
	}
	_, err := p.sales.Release(p.t.Context(), viewer.Viewer{AccountID: b.AccountID}, b.ID)
	if p.expect(r, err, want) && b.status == flashsale.Held {
		p.end(b, flashsale.Released)
	}
}

func (p *paper) pay(r *rapid.T) {
	b := p.pick(r)
	again := b.order != "" && rapid.Bool().Draw(r, "again")
	order := id.New(id.Order)
	if again {
		order = b.order
	}
	want, now := "", p.clock.Now()
	switch {
	case b.status == flashsale.Booked && !again, b.status == flashsale.Held && b.order != "" && !again:
		want = "ALREADY_ORDERED"
	case b.status == flashsale.Booked:
	case b.status != flashsale.Held, !now.Before(b.ends):
		want = "HOLD_EXPIRED"
	}
	rep, err := p.sales.Pay(p.t.Context(), events.PayForBookingRequest{BookingID: b.ID, AccountID: b.AccountID, OrderID: order, Until: now.Add(5 * time.Minute)})
	if !p.expect(r, err, want) || b.status == flashsale.Booked {
		return
	}
	if !again {
		b.order = order
		if until := now.Add(5 * time.Minute); until.After(b.ends) {
			b.ends = until
		}
	}
	if !rep.ExpiresAt.Equal(b.ends) {
		r.Fatalf("until %v, want %v", rep.ExpiresAt, b.ends)
	}
}

func (p *paper) confirm(r *rapid.T) {
	b := p.pick(r)
	want := ""
	if b.order == "" || b.status != flashsale.Booked && b.status != flashsale.Undone && (b.status != flashsale.Held || !p.clock.Now().Before(b.ends)) {
		want = "HOLD_EXPIRED"
	}
	order := b.order
	if order == "" {
		order = id.New(id.Order)
	}
	_, err := p.sales.Confirm(p.t.Context(), events.BookingOfOrder{BookingID: b.ID, OrderID: order})
	if p.expect(r, err, want) && b.status == flashsale.Held {
		p.end(b, flashsale.Booked)
	}
}

func (p *paper) decline(r *rapid.T) {
	b := p.pick(r)
	if b.order == "" {
		r.Skip("no order pays for it")
	}
	want := ""
	if b.status == flashsale.Booked || b.status == flashsale.Undone {
		want = "HOLD_COMMITTED"
	}
	_, err := p.sales.GiveBack(p.t.Context(), events.BookingOfOrder{BookingID: b.ID, OrderID: b.order})
	if p.expect(r, err, want) && b.status == flashsale.Held {
		p.end(b, flashsale.Released)
	}
}

func (p *paper) cancel(r *rapid.T) {
	b := p.pick(r)
	if b.order == "" {
		r.Skip("no order pays for it")
	}
	want := ""
	if b.status == flashsale.Held {
		want = "HOLD_HELD"
	}
	_, err := p.sales.Undo(p.t.Context(), events.BookingOfOrder{BookingID: b.ID, OrderID: b.order})
	if p.expect(r, err, want) && b.status == flashsale.Booked {
		p.end(b, flashsale.Undone)
	}
}

func (p *paper) wait(r *rapid.T) {
	p.clock.Advance(time.Duration(rapid.IntRange(1, 5).Draw(r, "minutes")) * time.Minute)
}

func (p *paper) sweep(r *rapid.T) {
	if err := p.sales.SweepNow(p.t.Context()); err != nil {
		r.Fatal(err)
	}
	for _, b := range p.bookings {
		if b.status == flashsale.Held && !p.clock.Now().Before(b.ends) {
			p.end(b, flashsale.Expired)
		}
	}
}

func (p *paper) compare(r *rapid.T) {
	held, sold := map[string]int{}, map[string]int{}
	for _, b := range p.bookings {
		switch b.status {
		case flashsale.Held:
			held[b.VariantID]++
		case flashsale.Booked:
			sold[b.VariantID]++
		}
	}
	for _, o := range p.found(p.saleID).Offers {
		if o.Remaining != p.left[o.VariantID] || o.Held != held[o.VariantID] || o.Sold != sold[o.VariantID] {
			r.Fatalf("%+v, want %d left, %d held, %d sold", o, p.left[o.VariantID], held[o.VariantID], sold[o.VariantID])
		}
	}
}
