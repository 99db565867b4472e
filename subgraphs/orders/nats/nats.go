// Package nats joins the orders to the bus: what they answer, what they hear, and who watches them.
package nats

import (
	"context"
	"log/slog"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/call"
	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/subgraphs/orders"
	"github.com/souk-shop/souk/subgraphs/orders/postgres"
)

// Calls is what the orders answer.
func Calls(o *orders.Orders) []call.Endpoint {
	return []call.Endpoint{
		events.OrderByID.Handle(func(ctx context.Context, req events.OrderRequest) (events.OrderChanged, error) {
			found, err := o.OrdersByID(ctx, []string{req.OrderID})
			if err != nil {
				return events.OrderChanged{}, err
			}
			if len(found) == 0 {
				return events.OrderChanged{}, orders.ErrNotFound
			}
			return found[0].Tell(), nil
		}),
	}
}

// Payments takes in what payments tells of orders. An order knows which version of its payment it has heard of, and most often its saga was
// told first: then there is nothing to change.
func Payments(js jetstream.JetStream, s *postgres.Store, c *orders.Checkout, log *slog.Logger) func(context.Context) error {
	consumer := outbox.Consumer{Name: "orders-payments", Subjects: []string{events.SubjectPaymentChanged}}
	return outbox.Subscribe(js, consumer, func(ctx context.Context, batch []outbox.Received) error {
		var told []events.Payment
		for _, e := range batch {
			p, err := outbox.Decode[events.PaymentChanged](e)
			if err != nil {
				return err
			}
			if orders.Tells(p.Payment) {
				told = append(told, p.Payment)
			}
		}
		if len(told) == 0 {
			return nil
		}
		news, err := s.Unheard(ctx, told)
		if err != nil {
			return err
		}
		for _, p := range news {
			if _, err := s.Change(ctx, p.OrderID, c.PaymentChanged(p)); err != nil {
				return err
			}
		}
		return nil
	}, log)
}

// Parcels takes in what logistics tells of orders.
func Parcels(pool *pgxpool.Pool, js jetstream.JetStream, s *postgres.Store, c *orders.Checkout, log *slog.Logger) func(context.Context) error {
	consumer := outbox.Consumer{Name: "orders-parcels", Subjects: []string{events.SubjectShipmentChanged}}
	return outbox.Consume(pool, js, consumer, func(ctx context.Context, tx pgx.Tx, e outbox.Received) error {
		shipment, err := outbox.Decode[events.ShipmentChanged](e)
		if err != nil {
			return err
		}
		return s.MoveParcel(ctx, tx, shipment, c.ParcelsMoved)
	}, log)
}

// Watchers tells whoever watches an order that it changed: one subscription on the bus, however many watch.
type Watchers struct {
	mu sync.Mutex
	of map[string]map[chan struct{}]struct{} // by order
}

// NewWatchers returns watchers that hear of changes once Listen runs.
func NewWatchers() *Watchers { return &Watchers{of: map[string]map[chan struct{}]struct{}{}} }

// Listen hears of changes until ctx ends.
func (w *Watchers) Listen(nc *nats.Conn, log *slog.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		stop, err := outbox.Listen(nc, []string{events.SubjectOrderChanged}, func(e outbox.Received) {
			o, err := outbox.Decode[events.OrderChanged](e)
			if err != nil {
				log.Warn("unreadable event", "error", err)
				return
			}
			w.tell(o.OrderID)
		})
		if err != nil {
			return err
		}
		<-ctx.Done()
		return stop()
	}
}

// Watch sends whenever the order may have changed, until ctx ends.
func (w *Watchers) Watch(ctx context.Context, orderID string) <-chan struct{} {
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of[orderID] == nil {
		w.of[orderID] = map[chan struct{}]struct{}{}
	}
	w.of[orderID][c] = struct{}{}
	context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.of[orderID], c)
		if len(w.of[orderID]) == 0 {
			delete(w.of, orderID)
		}
	})
	return c
}

func (w *Watchers) tell(orderID string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.of[orderID] {
		select {
		case c <- struct{}{}:
		default: // told already
		}
	}
}
