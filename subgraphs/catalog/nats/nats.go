// Package nats joins the catalogue to the bus: it tells of products that changed, answers for variants, and asks who a seller is.
package nats

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/call"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/subgraphs/catalog"
)

const (
	lot   = 200
	poll  = 500 * time.Millisecond // how late an event is when the process that made it true died
	least = 100 * time.Millisecond // between tries after a failure, doubling
	most  = 10 * time.Second
)

// Tell publishes every change of a product until the context ends, at least once. Any number of processes may do so: an
// event keeps its id however often it is told, so that the stream drops it when it comes again.
func Tell(c *catalog.Catalog, js jetstream.JetStream, log *slog.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		wait := poll
		for failures := 0; ; {
			n, err := TellLot(ctx, c, js)
			switch {
			case ctx.Err() != nil:
				return nil
			case err != nil:
				failures++
				wait = min(most, least<<min(failures-1, 10))
				log.Warn("catalog: events wait to be told", "error", err, "failures", failures, "retry_in", wait)
			case n == lot:
				failures = 0
				continue
			default:
				failures, wait = 0, poll
			}
			ring := c.Changed()
			if failures > 0 {
				ring = nil // a change does not shorten a pause that follows a failure
			}
			select {
			case <-ctx.Done():
				return nil
			case <-ring:
			case <-time.After(wait):
			}
		}
	}
}

// TellLot publishes what waits longest and then notes that it did, in this order: a process that dies in between tells
// the same again under the same ids. It returns how many.
func TellLot(ctx context.Context, c *catalog.Catalog, js jetstream.JetStream) (int, error) {
	waiting, said, err := c.Untold(ctx, lot)
	if err != nil || len(waiting) == 0 {
		return 0, err
	}
	messages := make([]outbox.Message, len(waiting))
	for i, u := range waiting {
		payload, err := json.Marshal(said[i])
		if err != nil {
			return 0, fmt.Errorf("tell of %s: %w", u.Product.ID, err)
		}
		messages[i] = outbox.Message{ID: u.Event, Subject: events.SubjectProductSaved, Payload: payload, RecordedAt: u.Since}
	}
	if err := outbox.Publish(ctx, js, messages); err != nil {
		return 0, err
	}
	return len(waiting), c.Told(ctx, waiting)
}

// Calls are the calls that the catalogue answers.
func Calls(c *catalog.Catalog) []call.Endpoint {
	return []call.Endpoint{events.VariantsByID.Handle(c.Offers)}
}

// Sellers asks the accounts who a seller is.
type Sellers struct{ By call.Carrier }

var _ catalog.Sellers = Sellers{}

// Professional tells whether the seller may import in bulk; one that is not known may not.
func (s Sellers) Professional(ctx context.Context, sellerID string) (bool, error) {
	info, err := events.SellerByID.Do(ctx, s.By, events.SellerRequest{SellerID: sellerID})
	if fault.KindOf(err) == fault.NotFound {
		return false, nil
	}
	return info.Tier == "PROFESSIONAL", err
}
