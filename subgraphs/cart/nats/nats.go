// Package nats joins the carts to the bus: what they ask, what they answer, what they hear.
package nats

import (
	"context"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/call"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/subgraphs/cart"
	"github.com/souk-shop/souk/subgraphs/cart/postgres"
)

// Goods asks the catalogue and inventory over the bus.
type Goods struct{ Bus call.Carrier }

var _ cart.Goods = Goods{}

// Variants tells what variants cost now.
func (g Goods) Variants(ctx context.Context, ids []string) (map[string]events.VariantInfo, error) {
	found := make(map[string]events.VariantInfo, len(ids))
	if len(ids) == 0 {
		return found, nil
	}
	rep, err := events.VariantsByID.Do(ctx, g.Bus, events.VariantsRequest{IDs: ids})
	for _, v := range rep.Variants {
		found[v.ID] = v
	}
	return found, err
}

// Available tells how many of each variant can be had now.
func (g Goods) Available(ctx context.Context, ids []string) (map[string]int, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	rep, err := events.Availability.Do(ctx, g.Bus, events.AvailabilityRequest{VariantIDs: ids})
	return rep.Available, err
}

// Calls is what the carts answer.
func Calls(c *cart.Carts) []call.Endpoint {
	return []call.Endpoint{
		events.CartForCheckout.Handle(func(ctx context.Context, req events.CartRequest) (events.CartSnapshot, error) {
			return c.Snapshot(ctx, req.CartID, req.AccountID)
		}),
	}
}

// Orders takes what was ordered out of the carts. The store knows of which orders it did so already.
func Orders(js jetstream.JetStream, s *postgres.Store, log *slog.Logger) func(context.Context) error {
	consumer := outbox.Consumer{Name: "cart-orders", Subjects: []string{events.OrderBecame("PLACED")}}
	return outbox.Subscribe(js, consumer, func(ctx context.Context, batch []outbox.Received) error {
		var purchases []cart.Purchase
		for _, e := range batch {
			o, err := outbox.Decode[events.OrderChanged](e)
			if err != nil {
				return err
			}
			if o.CartID == "" { // what was bought was booked
				continue
			}
			units := map[string]int{}
			for _, l := range o.Lines {
				units[l.VariantID] += l.Quantity
			}
			purchases = append(purchases, cart.Purchase{OrderID: o.OrderID, CartID: o.CartID, Units: units})
		}
		if len(purchases) == 0 {
			return nil
		}
		return s.TakeOrdered(ctx, purchases)
	}, log)
}

// Sweep throws old carts away, now and every hour.
func Sweep(s *postgres.Store, c clock.Clock, log *slog.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		for {
			for {
				n, err := s.Sweep(ctx, c.Now())
				if err != nil && ctx.Err() == nil {
					log.Warn("old carts stay for now", "error", err)
				}
				if n == 0 {
					break
				}
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(time.Hour):
			}
		}
	}
}
