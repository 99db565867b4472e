package main

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	judged "github.com/souk-shop/souk/subgraphs/flashsale/history"
)

// What the callers of a judged sale ask the graph for.
const (
	graphBookingFields = `id status createdAt expiresAt variant { id } account { id }`
	graphBook          = `mutation ($input: FlashSaleBookInput!) { flashSaleBook(input: $input) {
		result { kind: __typename
			... on FlashSaleBooking { ` + graphBookingFields + ` }
			... on FlashSaleSoldOut { held final }
			... on FlashSaleAlreadyBooked { booking { ` + graphBookingFields + ` } } }
		live { offers { variantId remaining held sold } }
		userErrors { code } } }`
	graphRelease  = `mutation ($id: ID!) { flashSaleRelease(input: {bookingId: $id}) { booking { status } userErrors { code } } }`
	graphLook     = `query ($id: ID!) { flashSaleBooking(id: $id) { ` + graphBookingFields + ` } }`
	graphCount    = `query ($id: ID!) { flashSale(id: $id) { live { offers { variantId remaining held sold } } } }`
	graphCheckout = `mutation ($input: CheckoutCompleteInput!) { checkoutComplete(input: $input) {
		result { kind: __typename
			... on CheckoutPlaced { order { id status } }
			... on CheckoutActionRequired { order { id status } redirectUrl }
			... on CheckoutPaymentFailed { order { id status } }
			... on CheckoutRejected { problems { code } } }
		userErrors { code } } }`
	graphCancel = `mutation ($input: OrderCancelInput!) { orderCancel(input: $input) { order { status } userErrors { code } } }`
)

type graphErrors []struct{ Code string }

func (e graphErrors) code() string {
	if len(e) == 0 {
		return ""
	}
	return e[0].Code
}

// A graphBooking is a booking as buyers see it.
type graphBooking struct {
	ID, Status           string
	CreatedAt, ExpiresAt time.Time
	Variant, Account     struct{ ID string }
}

type graphOffers []struct {
	VariantID             string
	Remaining, Held, Sold int
}

// counts returns them in the order of the sale.
func (r *graphRun) counts(got graphOffers) []flashsale.Offer {
	var of []flashsale.Offer
	for _, offer := range r.sale.Offers {
		for _, is := range got {
			if is.VariantID == offer.VariantID {
				of = append(of, flashsale.Offer{VariantID: is.VariantID, Quantity: is.Remaining + is.Held + is.Sold, Remaining: is.Remaining, Held: is.Held, Sold: is.Sold})
			}
		}
	}
	return of
}

// shown returns a booking as a history has it; its key is known to who made it, and to nobody before that.
func (r *graphRun) shown(b graphBooking, key string) *flashsale.Booking {
	r.mu.Lock()
	defer r.mu.Unlock()
	if key != "" {
		r.keys[b.ID] = key
	}
	is := flashsale.Booking{
		ID: b.ID, SaleID: r.sale.ID, VariantID: b.Variant.ID, AccountID: b.Account.ID, Key: r.keys[b.ID], Status: flashsale.BookingStatus(b.Status), CreatedAt: b.CreatedAt, ExpiresAt: b.ExpiresAt,
	}
	if _, known := r.orders[b.ID]; !known {
		r.orders[b.ID] = nil
		r.bookings = append(r.bookings, is)
	}
	return &is
}

// A graphAsk puts a question to the graph. Without an answer it may have been heard or not.
type graphAsk func(context.Context) (*judged.Output, *chaosTrouble)

// call asks one thing after the other until so much was asked in all.
func (r *graphRun) call(ctx context.Context, client int, rnd *rand.Rand, enough int64) {
	for ctx.Err() == nil && r.asked.Load() < enough {
		if r.cuts && rnd.IntN(60) == 0 {
			r.cutOff(ctx)
		}
		in, ask := r.choose(client, rnd)
		// Who walks away from a checkout without an answer would keep the unit from others for minutes: somebody asks in the end.
		if !r.insist(ctx, client, in, ask, rnd, rnd.IntN(10) == 0) && in.Kind == judged.Checkout {
			again := rand.New(rand.NewPCG(rnd.Uint64(), 0))
			r.mu.Lock()
			r.lost = append(r.lost, func(ctx context.Context) bool { return r.insist(ctx, client, in, ask, again, false) })
			r.mu.Unlock()
		}
	}
}

// insist asks the same again until there is an answer; who soon gives up asks once.
func (r *graphRun) insist(ctx context.Context, client int, in judged.Input, ask graphAsk, rnd *rand.Rand, givesUp bool) bool {
	for try := 0; try < 100 && ctx.Err() == nil; try++ {
		if r.ask(ctx, client, in, ask, rnd) {
			return true
		}
		if givesUp {
			return false
		}
		sleepFor(ctx, time.Duration(rnd.Int64N(int64(min(2*time.Millisecond<<min(try, 10), 300*time.Millisecond)))))
	}
	return false
}

// ask records one question, and tells whether it was answered. Some callers hang up first: their connection is cut.
func (r *graphRun) ask(ctx context.Context, client int, in judged.Input, ask graphAsk, rnd *rand.Rand) bool {
	r.asked.Add(1)
	if rnd.IntN(12) == 0 {
		var hangUp context.CancelFunc
		ctx, hangUp = context.WithTimeout(ctx, time.Duration(rnd.Int64N(int64(40*time.Millisecond))))
		defer hangUp()
	}
	done, counted := r.Begin(client, in), r.Begin(client, judged.Input{Kind: judged.Count})
	out, trouble := ask(ctx)
	if trouble != nil {
		done(nil)
		if trouble.odd != "" {
			r.mu.Lock()
			r.odd[trouble.odd]++
			r.mu.Unlock()
		}
		return false
	}
	if in.Kind == judged.Book && out.Counts != nil { // the counts beside the answer are an answer of their own
		counted(&judged.Output{Code: judged.OK, Counts: out.Counts})
		out.Counts = nil
	}
	done(out)
	return true
}

// cutOff ends a connection of the shop to PostgreSQL, whatever it is doing.
func (r *graphRun) cutOff(ctx context.Context) {
	_, _ = r.shop.tables["accounts"].Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND backend_type = 'client backend' AND application_name <> $1 ORDER BY random() LIMIT 1`, graphJudge)
}

// choose draws what is asked next.
func (r *graphRun) choose(client int, rnd *rand.Rand) (judged.Input, graphAsk) {
	n := rnd.IntN(100)
	b, any := r.pick(rnd)
	switch {
	case n < 8:
		return judged.Input{Kind: judged.Count}, r.count(r.looking[client])
	case n < 40 || !any:
		who := r.people[min(rnd.IntN(len(r.people)), rnd.IntN(len(r.people)))] // some more often than others
		return r.book(who, r.sale.Offers[rnd.IntN(len(r.sale.Offers))].VariantID, id.New(id.Event))
	case n < 46 && b.Key != "":
		v := b.VariantID
		if n == 45 { // the key is another variant's already
			v = r.sale.Offers[rnd.IntN(len(r.sale.Offers))].VariantID
		}
		return r.book(r.person(b), v, b.Key)
	case n < 53:
		return judged.Input{Kind: judged.Release, Account: b.AccountID, Booking: b.ID}, r.release(r.person(b), b)
	case n < 63:
		return judged.Input{Kind: judged.Look, Booking: b.ID}, r.look(r.person(b), b)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	tried := r.orders[b.ID]
	if len(tried) == 0 || n > 96 { // the second order for one booking is refused
		o := &graphOrder{key: id.New(id.Event)}
		r.orders[b.ID] = append(tried, o)
		return r.checkout(b, o, rnd)
	}
	o := tried[rnd.IntN(len(tried))]
	if o.id == "" || n < 75 {
		return r.checkout(b, o, rnd)
	}
	return r.cancel(b, o)
}

// pick draws one of the bookings that were shown, mostly a new one.
func (r *graphRun) pick(rnd *rand.Rand) (flashsale.Booking, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.bookings)
	if n == 0 {
		return flashsale.Booking{}, false
	}
	b := r.bookings[rnd.IntN(n)]
	if rnd.IntN(4) > 0 {
		b = r.bookings[n-1-rnd.IntN(min(n, 24))]
	}
	b.Key = r.keys[b.ID]
	return b, true
}

func (r *graphRun) person(b flashsale.Booking) graphPerson {
	for _, p := range r.people {
		if p.account == b.AccountID {
			return p
		}
	}
	return graphPerson{} // nobody of ours: the answer says so
}

func (r *graphRun) book(who graphPerson, variant, key string) (judged.Input, graphAsk) {
	in := judged.Input{Kind: judged.Book, Account: who.account, Variant: variant, Key: key}
	return in, func(ctx context.Context) (*judged.Output, *chaosTrouble) {
		var got struct {
			FlashSaleBook struct {
				Result struct {
					Kind string
					graphBooking
					Held    int
					Final   bool
					Booking graphBooking
				}
				Live       struct{ Offers graphOffers }
				UserErrors graphErrors
			}
		}
		input := values{"saleId": r.sale.ID, "variantId": variant, "idempotencyKey": key}
		if t := r.doors.ask(ctx, 0, who.token, graphBook, values{"input": input}, &got); t != nil {
			return nil, t
		}
		out, is := &judged.Output{Public: true, Code: got.FlashSaleBook.UserErrors.code(), Counts: r.counts(got.FlashSaleBook.Live.Offers)}, got.FlashSaleBook.Result
		switch is.Kind {
		case "FlashSaleBooking":
			out.Code, out.Shown = judged.OK, r.shown(is.graphBooking, key)
		case "FlashSaleSoldOut":
			out.Code, out.Held = judged.SoldOut, is.Held
			if is.Final != (is.Held == 0) {
				out.Code = "SOLD_OUT, FINAL OR NOT"
			}
		case "FlashSaleAlreadyBooked":
			out.Code, out.Shown = judged.AlreadyBooked, r.shown(is.Booking, "")
		case "FlashSaleThrottled":
			out.Code = judged.Busy
		}
		return out, nil
	}
}

func (r *graphRun) release(who graphPerson, b flashsale.Booking) graphAsk {
	return func(ctx context.Context) (*judged.Output, *chaosTrouble) {
		var got struct {
			FlashSaleRelease struct {
				Booking    struct{ Status string }
				UserErrors graphErrors
			}
		}
		if t := r.doors.ask(ctx, 0, who.token, graphRelease, values{"id": b.ID}, &got); t != nil {
			return nil, t
		}
		return &judged.Output{Code: or(got.FlashSaleRelease.UserErrors.code(), judged.OK), Status: got.FlashSaleRelease.Booking.Status}, nil
	}
}

func (r *graphRun) look(who graphPerson, b flashsale.Booking) graphAsk {
	return func(ctx context.Context) (*judged.Output, *chaosTrouble) {
		var got struct{ FlashSaleBooking *graphBooking }
		if t := r.doors.ask(ctx, 0, who.token, graphLook, values{"id": b.ID}, &got); t != nil {
			return nil, t
		}
		if got.FlashSaleBooking == nil {
			return &judged.Output{Code: "NOT_FOUND"}, nil
		}
		return &judged.Output{Code: judged.OK, Public: true, Shown: r.shown(*got.FlashSaleBooking, "")}, nil
	}
}

func (r *graphRun) count(token string) graphAsk {
	return func(ctx context.Context) (*judged.Output, *chaosTrouble) {
		var got struct {
			FlashSale struct{ Live struct{ Offers graphOffers } }
		}
		if t := r.doors.ask(ctx, 0, token, graphCount, values{"id": r.sale.ID}, &got); t != nil {
			return nil, t
		}
		return &judged.Output{Code: judged.OK, Counts: r.counts(got.FlashSale.Live.Offers)}, nil
	}
}

func (r *graphRun) checkout(b flashsale.Booking, o *graphOrder, rnd *rand.Rand) (judged.Input, graphAsk) {
	who, atBank := r.person(b), rnd.IntN(4)
	in := judged.Input{Kind: judged.Checkout, Account: b.AccountID, Booking: b.ID, Order: o.key}
	return in, func(ctx context.Context) (*judged.Output, *chaosTrouble) {
		var got struct {
			CheckoutComplete struct {
				Result struct {
					Kind        string
					Order       struct{ ID, Status string }
					RedirectURL string
					Problems    graphErrors
				}
				UserErrors graphErrors
			}
		}
		input := values{
			"bookingId": b.ID, "addressId": who.address, "paymentMethodId": who.method, "expectedTotal": values{"amount": bookingPrice, "currencyCode": "USD"},
			"idempotencyKey": o.key,
		}
		if t := r.doors.ask(ctx, 0, who.token, graphCheckout, values{"input": input}, &got); t != nil {
			return nil, t
		}
		is := got.CheckoutComplete.Result
		out := &judged.Output{Code: or(got.CheckoutComplete.UserErrors.code(), is.Problems.code()), Status: is.Order.Status}
		switch is.Kind {
		case "CheckoutPlaced":
			out.Code = judged.Placed
		case "CheckoutPaymentFailed":
			out.Code = judged.PaymentFailed
		case "CheckoutActionRequired":
			out.Code = judged.ActionRequired
			r.confirm(ctx, is.RedirectURL, atBank)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if is.Order.ID != "" && o.id != "" && o.id != is.Order.ID {
			out.Code = "ANOTHER_ORDER"
		}
		o.id = or(o.id, is.Order.ID)
		return out, nil
	}
}

// confirm is the buyer at the bank, who agrees to pay, or does not, or goes away.
func (r *graphRun) confirm(ctx context.Context, page string, will int) {
	if page == "" || will == 0 {
		return
	}
	verb := "/confirm"
	if will == 1 {
		verb = "/refuse"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, page+verb, strings.NewReader(""))
	if err != nil {
		return
	}
	if res, err := r.doors.http.Do(req); err == nil {
		res.Body.Close()
	}
}

func (r *graphRun) cancel(b flashsale.Booking, o *graphOrder) (judged.Input, graphAsk) {
	who, orderID, key := r.person(b), o.id, id.New(id.Event)
	in := judged.Input{Kind: judged.CancelOrder, Account: b.AccountID, Booking: b.ID, Order: o.key}
	return in, func(ctx context.Context) (*judged.Output, *chaosTrouble) {
		var got struct {
			OrderCancel struct {
				Order      struct{ Status string }
				UserErrors graphErrors
			}
		}
		if t := r.doors.ask(ctx, 0, who.token, graphCancel, values{"input": values{"orderId": orderID, "idempotencyKey": key}}, &got); t != nil {
			return nil, t
		}
		return &judged.Output{Code: or(got.OrderCancel.UserErrors.code(), judged.OK), Status: got.OrderCancel.Order.Status}, nil
	}
}
