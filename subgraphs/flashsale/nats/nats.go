// Package nats joins the flash sales to the bus: what they answer and ask, what time brings, and who watches them.
package nats

import (
	"context"
	"log/slog"

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
		events.CancelBooking.Handle(fs.Undo),
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

// Admit makes draws and lets people in from waiting rooms, until the context ends.
func Admit(fs *flashsale.FlashSales, log *slog.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		return fs.Admit(ctx, func(err error) { log.Error("flashsale: people cannot be let in", "error", err) })
	}
}

// Settle brings to its end what moves between sales and stock, until the context ends.
func Settle(fs *flashsale.FlashSales, log *slog.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		return fs.Settle(ctx, func(err error) { log.Warn("flashsale: units wait between a sale and the stock", "error", err) })
	}
}

// Watch passes on to those who watch sales what any process has changed, until the context ends.
func Watch(nc *nats.Conn, fs *flashsale.FlashSales, log *slog.Logger) func(context.Context) error {
	return outbox.Follow[events.FlashSaleChanged](nc, events.SubjectFlashSaleChanged, fs, log)
}
