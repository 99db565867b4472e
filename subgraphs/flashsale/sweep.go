package flashsale

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/souk-shop/souk/internal/clock"
)

const (
	lot        = 200                    // bookings or sales in one question
	sweepPoll  = 500 * time.Millisecond // a booking made meanwhile, elsewhere, may be a short one
	sweepPause = 20 * time.Millisecond
	settlePoll = time.Second
	abandoned  = 5 * time.Second // after which a change is taken for left by whoever began it
)

// Sweep does what time brings, until the context ends: bookings whose time is up end, sales open and close. Any number may sweep
// at once, everything happens once. What fails is reported and tried again.
func (fs *FlashSales) Sweep(ctx context.Context, report func(error)) error {
	return clock.Every(ctx, fs.sweep, report)
}

// Settle brings to their end what moves between sales and stock, should whoever began it not, until the context ends.
func (fs *FlashSales) Settle(ctx context.Context, report func(error)) error {
	return clock.Every(ctx, func(ctx context.Context) (time.Duration, error) {
		return settlePoll, fs.SettleNow(ctx, fs.clock.Now().Add(-abandoned))
	}, report)
}

// sweep does what is due and returns how long nothing will be, at most half a second.
func (fs *FlashSales) sweep(ctx context.Context) (time.Duration, error) {
	err := fs.SweepNow(ctx)
	next, any, failed := fs.store.NextMoment(ctx)
	if err = errors.Join(err, failed); err != nil || !any {
		return sweepPoll, err
	}
	return min(max(next.Sub(fs.clock.Now()), sweepPause), sweepPoll), nil
}

// SweepNow does what is due by now. A sale that fails does not keep the others.
func (fs *FlashSales) SweepNow(ctx context.Context) error {
	var failed []error
	now := fs.clock.Now()
	sales, err := fs.store.DueSales(ctx, now, lot)
	failed = append(failed, err)
	for _, saleID := range sales {
		if err := fs.store.Serve(ctx, saleID, Wanted{}, now, (*Stand).Pass); err != nil {
			failed = append(failed, fmt.Errorf("sale %s: %w", saleID, err))
		}
	}
	for {
		due, err := fs.store.DueBookings(ctx, now, lot)
		if err != nil {
			return errors.Join(append(failed, err)...)
		}
		of := map[string][]string{}
		for _, b := range due {
			of[b.SaleID] = append(of[b.SaleID], b.ID)
		}
		before := len(failed)
		for saleID, bookings := range of {
			if err := fs.expire(ctx, saleID, bookings, now); err != nil {
				failed = append(failed, fmt.Errorf("bookings of %s: %w", saleID, err))
			}
		}
		if len(due) < lot || len(failed) > before {
			return errors.Join(failed...)
		}
	}
}

func (fs *FlashSales) expire(ctx context.Context, saleID string, bookings []string, now time.Time) error {
	return fs.store.Serve(ctx, saleID, Wanted{Bookings: bookings}, now, func(s *Stand) error {
		for _, id := range bookings {
			if b := s.Booking(id); b != nil {
				if err := s.End(b, Expired); err != nil {
					return err
				}
			}
		}
		return s.Pass()
	})
}

// SettleNow brings changes begun before a time to their end, and units that have left sales back into stock.
func (fs *FlashSales) SettleNow(ctx context.Context, before time.Time) error {
	left, err := fs.store.PendingChanges(ctx, before, lot)
	failed := []error{err}
	for _, c := range left {
		if _, err := fs.decide(ctx, c); err != nil {
			failed = append(failed, fmt.Errorf("change %s of %s: %w", c.ID, c.SaleID, err))
		}
	}
	return errors.Join(append(failed, fs.sendBack(ctx, ""))...)
}
