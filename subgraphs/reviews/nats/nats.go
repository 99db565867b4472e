// Package nats lets the reviews hear of deliveries.
package nats

import (
	"context"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/subgraphs/reviews"
	"github.com/souk-shop/souk/subgraphs/reviews/postgres"
)

// Deliveries notes what buyers received, so that they may review it.
func Deliveries(pool *pgxpool.Pool, js jetstream.JetStream, log *slog.Logger) func(context.Context) error {
	consumer := outbox.Consumer{Name: "reviews-deliveries", Subjects: []string{events.OrderBecame("DELIVERED")}}
	return outbox.Consume(pool, js, consumer, func(ctx context.Context, tx pgx.Tx, e outbox.Received) error {
		order, err := outbox.Decode[events.OrderChanged](e)
		if err != nil {
			return err
		}
		products := reviews.Received(order)
		if len(products) == 0 {
			return nil
		}
		return postgres.Receive(ctx, tx, order.AccountID, products, order.At.At)
	}, log)
}
