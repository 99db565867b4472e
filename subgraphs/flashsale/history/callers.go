package history

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/flashsale"
)

// call asks one thing after the other until enough was asked.
func (r *run) call(ctx context.Context, client int, rnd *rand.Rand) {
	for ctx.Err() == nil && r.asked.Load() < int64(r.Ops) {
		if rnd.IntN(60) == 0 {
			r.cut(ctx)
		}
		fs := r.servers[rnd.IntN(len(r.servers))]
		if rnd.IntN(25) == 0 {
			r.pass(ctx, client, rnd)
			continue
		}
		in, ask := r.choose(rnd)
		for range 20 { // who has no answer asks the same again, often somebody else
			r.asked.Add(1)
			if r.ask(ctx, client, in, func(ctx context.Context) (*Output, error) { return ask(ctx, fs) }, rnd) {
				break
			}
			if rnd.IntN(2) == 0 {
				fs = r.servers[rnd.IntN(len(r.servers))]
			}
		}
	}
}

// pass lets time pass, and both servers end what is due by then, at once and until one of them could. Time passes for one caller after
// the other: what ran out in between would be anybody's guess, and there are too many guesses to judge them all.
func (r *run) pass(ctx context.Context, client int, rnd *rand.Rand) {
	r.passing.Lock()
	defer r.passing.Unlock()
	r.clock.Advance(time.Duration(rnd.Int64N(int64(holdTime / 10))))
	var swept atomic.Bool
	for !swept.Load() && ctx.Err() == nil {
		var both sync.WaitGroup
		for i, fs := range r.servers {
			hasty := rand.New(rand.NewPCG(rnd.Uint64(), 0))
			both.Go(func() {
				r.asked.Add(1)
				if r.ask(ctx, (i+1)*r.Callers+client, Input{Kind: Sweep}, func(ctx context.Context) (*Output, error) {
					return &Output{Code: OK}, fs.SweepNow(ctx)
				}, hasty) {
					swept.Store(true)
				}
			})
		}
		both.Wait()
	}
}

// ask records one question, and tells whether it was answered. Some callers hang up first.
func (r *run) ask(ctx context.Context, client int, in Input, ask func(context.Context) (*Output, error), rnd *rand.Rand) bool {
	if rnd.IntN(12) == 0 {
		var hangUp context.CancelFunc
		ctx, hangUp = context.WithTimeout(ctx, time.Duration(rnd.Int64N(int64(4*time.Millisecond))))
		defer hangUp()
	}
	done := r.Begin(client, in)
	out, err := ask(ctx)
	if refused, ok := fault.ForUser(err); ok {
		out, err = &Output{Code: refused.Code}, nil
	}
	if err != nil {
		done(nil)
		return false
	}
	done(out)
	if out.Shown != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		if !slices.ContainsFunc(r.bookings, func(b flashsale.Booking) bool { return b.ID == out.Shown.ID }) {
			r.bookings = append(r.bookings, *out.Shown)
		}
	}
	return true
}

// cut ends a connection of one of the servers, whatever it is doing.
func (r *run) cut(ctx context.Context) {
	_, _ = r.admin.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1`)
}

// asking puts a question to one of the servers.
type asking func(context.Context, *flashsale.FlashSales) (*Output, error)

// choose draws what is asked next.
func (r *run) choose(rnd *rand.Rand) (Input, asking) {
	n := rnd.IntN(100)
	b, any := r.pick(rnd)
	switch {
	case n < 8:
		return Input{Kind: Count}, func(ctx context.Context, fs *flashsale.FlashSales) (*Output, error) {
			found, err := counts(ctx, fs, r.sale.ID)
			return &Output{Code: OK, Counts: found}, err
		}
	case n < 50 || !any:
		who := r.people[min(rnd.IntN(len(r.people)), rnd.IntN(len(r.people)))] // some more often than others
		return r.book(who, r.sale.Offers[rnd.IntN(len(r.sale.Offers))].VariantID, id.New(id.Event))
	case n < 56:
		v := b.VariantID
		if n == 55 { // the key is another variant's already
			v = r.sale.Offers[rnd.IntN(len(r.sale.Offers))].VariantID
		}
		return r.book(viewer.Viewer{AccountID: b.AccountID}, v, b.Key)
	case n < 64:
		return Input{Kind: Release, Account: b.AccountID, Booking: b.ID}, func(ctx context.Context, fs *flashsale.FlashSales) (*Output, error) {
			is, err := fs.Release(ctx, viewer.Viewer{AccountID: b.AccountID}, b.ID)
			return &Output{Code: OK, Status: string(is.Status)}, err
		}
	case n < 72:
		return Input{Kind: Look, Booking: b.ID}, func(ctx context.Context, fs *flashsale.FlashSales) (*Output, error) {
			found, err := fs.BookingsByID(ctx, []string{b.ID})
			if err != nil || len(found) == 0 {
				return &Output{Code: "NOT_FOUND"}, err
			}
			return &Output{Code: OK, Shown: &found[0]}, nil
		}
	}
	order, paid, cancelled := b.OrderID, rnd.IntN(3) > 0, rnd.IntN(4) == 0
	switch {
	case order == "" || n > 97: // the second order for one booking is refused
		order = id.New(id.Order)
		return r.pay(b, order)
	case cancelled:
		return Input{Kind: Cancel, Booking: b.ID, Order: order}, func(ctx context.Context, fs *flashsale.FlashSales) (*Output, error) {
			rep, err := fs.Undo(ctx, events.BookingOfOrder{BookingID: b.ID, OrderID: order})
			return &Output{Code: OK, Status: rep.Status}, err
		}
	case paid:
		return Input{Kind: Confirm, Booking: b.ID, Order: order}, func(ctx context.Context, fs *flashsale.FlashSales) (*Output, error) {
			rep, err := fs.Confirm(ctx, events.BookingOfOrder{BookingID: b.ID, OrderID: order})
			return &Output{Code: OK, Status: rep.Status}, err
		}
	}
	return Input{Kind: Decline, Booking: b.ID, Order: order}, func(ctx context.Context, fs *flashsale.FlashSales) (*Output, error) {
		rep, err := fs.GiveBack(ctx, events.BookingOfOrder{BookingID: b.ID, OrderID: order})
		return &Output{Code: OK, Status: rep.Status}, err
	}
}

// pick draws one of the bookings that were shown, mostly a new one.
func (r *run) pick(rnd *rand.Rand) (flashsale.Booking, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.bookings)
	if n == 0 {
		return flashsale.Booking{}, false
	}
	if rnd.IntN(4) > 0 {
		return r.bookings[n-1-rnd.IntN(min(n, 24))], true
	}
	return r.bookings[rnd.IntN(n)], true
}

func (r *run) book(who viewer.Viewer, variant, key string) (Input, asking) {
	return Input{Kind: Book, Account: who.AccountID, Variant: variant, Key: key}, func(ctx context.Context, fs *flashsale.FlashSales) (*Output, error) {
		res, err := fs.Book(ctx, who, r.sale.ID, variant, key)
		switch {
		case err != nil:
			return nil, err
		case res.SoldOut != nil:
			return &Output{Code: SoldOut, Held: res.SoldOut.Held}, nil
		case res.AlreadyBooked != nil:
			return &Output{Code: AlreadyBooked, Shown: res.AlreadyBooked}, nil
		case res.Booking != nil:
			return &Output{Code: OK, Shown: res.Booking}, nil
		}
		return &Output{Code: Busy}, nil
	}
}

func (r *run) pay(b flashsale.Booking, order string) (Input, asking) {
	r.mu.Lock()
	for i := range r.bookings { // whoever confirms or declines later asks for this order, paid for or not
		if r.bookings[i].ID == b.ID && r.bookings[i].OrderID == "" {
			r.bookings[i].OrderID = order
		}
	}
	r.mu.Unlock()
	return Input{Kind: Pay, Account: b.AccountID, Booking: b.ID, Order: order}, func(ctx context.Context, fs *flashsale.FlashSales) (*Output, error) {
		rep, err := fs.Pay(ctx, events.PayForBookingRequest{BookingID: b.ID, AccountID: b.AccountID, OrderID: order, Until: r.clock.Now().Add(2 * holdTime)})
		return &Output{Code: OK, Ends: rep.ExpiresAt}, err
	}
}

// plenty is a catalogue and a stock that have whatever a sale asks for.
type plenty struct{}

var errPlenty = errors.New("plenty has no use for them")

func (plenty) Goods(_ context.Context, variantIDs []string) (found []events.VariantInfo, _ error) {
	for _, v := range variantIDs {
		found = append(found, events.VariantInfo{Variant: events.Variant{ID: v}, SellerID: string(id.Seller), ForSale: true})
	}
	return found, nil
}

func (plenty) MoveToPool(context.Context, events.PoolRequest) (events.PoolReply, error) {
	return events.PoolReply{}, nil
}

func (plenty) MoveFromPool(context.Context, events.PoolRequest) error { return errPlenty }
