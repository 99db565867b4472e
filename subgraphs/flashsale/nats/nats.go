// Package nats joins the flash sales to the bus: what they answer and ask, what time brings, and who watches them.
package nats

import (
	"context"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/call"
	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/subgraphs/flashsale"
)

// Calls are what the flash sales answer.
func Calls(fs *flashsale.FlashSales) []call.Endpoint {
	return []call.Endpoint{
		events.BookingForCheckout.Handle(fs.ForCheckout),
		events.PayForBooking.Handle(fs.Pay),
		events.ConfirmBooking.Handle(fs.Confirm),
		events.ReleaseBooking.Handle(fs.GiveBack),
	}
}

// A Shop asks the catalogue and the inventory. It is a flashsale.Shop.
type Shop struct{ By call.Carrier }

// Goods finds what is known of variants.
func (s Shop) Goods(ctx context.Context, variantIDs []string) ([]events.VariantInfo, error) {
	reply, err := events.VariantsByID.Do(ctx, s.By, events.VariantsRequest{IDs: variantIDs})
	return reply.Variants, err
}

// MoveToPool moves units out of stock and into a sale.
func (s Shop) MoveToPool(ctx context.Context, r events.PoolRequest) (events.PoolReply, error) {
	return events.MoveToPool.Do(ctx, s.By, r)
}

// MoveFromPool moves units of a sale back into stock.
func (s Shop) MoveFromPool(ctx context.Context, r events.PoolRequest) error {
	_, err := events.MoveFromPool.Do(ctx, s.By, r)
	return err
}

// Sweep ends bookings whose time is up, and opens and closes sales, until the context ends.
func Sweep(fs *flashsale.FlashSales, log *slog.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		return fs.Sweep(ctx, func(err error) { log.Error("flashsale: what is due cannot be done", "error", err) })
	}
}

// Settle brings to its end what moves between sales and stock, until the context ends.
func Settle(fs *flashsale.FlashSales, log *slog.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		return fs.Settle(ctx, func(err error) { log.Warn("flashsale: units wait between a sale and the stock", "error", err) })
	}
}

const lookAgain = time.Minute // so that a change that was not told is seen in the end

// Watch passes on to those who watch sales what any process has changed, until the context ends: one subscription on the bus,
// however many watch. What was missed while the connection was lost is read from the store.
func Watch(nc *nats.Conn, fs *flashsale.FlashSales, log *slog.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		connected := nc.StatusChanged(nats.CONNECTED)
		defer nc.RemoveStatusListener(connected)
		stop, err := outbox.Listen(nc, []string{events.SubjectFlashSaleChanged}, func(e outbox.Received) {
			if !fs.Watched() {
				return
			}
			changed, err := outbox.Decode[events.FlashSaleChanged](e)
			if err != nil {
				log.Error("flashsale: event", "error", err)
				return
			}
			fs.Told(changed)
		})
		if err != nil {
			return err
		}
		defer stop()
		tick, again := time.NewTicker(lookAgain), connected
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case _, open := <-again:
				if !open { // with the connection
					again = nil
					continue
				}
				nc.FlushTimeout(time.Second) // then the server listens for us again
			case <-tick.C:
			}
			if err := fs.Refresh(ctx); err != nil && ctx.Err() == nil {
				log.Warn("flashsale: watched sales cannot be read", "error", err)
			}
		}
	}
}
