package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/id"
)

// A dutifulShop does in one plain statement what the inventory does for a hold: it takes the unit from the stock and from its warehouse, and writes
// the ledger, the key's answer and the event. Its tables have the inventory's columns and indexes for one hold, but no trigger, no CHECK and no
// foreign key: nothing but this statement sees to it that they tell the same story.
type dutifulShop struct{ pool *pgxpool.Pool }

func openDutiful(ctx context.Context, url string) (*dutifulShop, func(), error) {
	pool, err := reservePool(ctx, url, "dutiful")
	if err != nil {
		return nil, nil, err
	}
	_, err = pool.Exec(ctx, `
		CREATE SCHEMA dutiful;
		CREATE TABLE stock (variant_id text PRIMARY KEY, seq bigint NOT NULL, on_hand integer NOT NULL, held integer NOT NULL) WITH (fillfactor = 50);
		CREATE TABLE levels (
			variant_id text NOT NULL, warehouse_id text NOT NULL, on_hand integer NOT NULL, held integer NOT NULL, seq bigint NOT NULL, PRIMARY KEY (variant_id, warehouse_id)
		) WITH (fillfactor = 50);
		CREATE INDEX ON levels (warehouse_id, variant_id);
		CREATE TABLE ledger (
			variant_id text NOT NULL, seq bigint NOT NULL, reservation_id text COLLATE "C" NOT NULL, at timestamptz NOT NULL, due_at timestamptz,
			warehouse_id text NOT NULL, on_hand_after integer NOT NULL, held_after integer NOT NULL, quantity integer NOT NULL,
			order_id text NOT NULL, account_id text NOT NULL, key text NOT NULL, expires_at timestamptz NOT NULL,
			PRIMARY KEY (variant_id, seq), UNIQUE (reservation_id, variant_id));
		CREATE INDEX ON ledger (due_at) WHERE due_at IS NOT NULL;
		CREATE TABLE answers (key text COLLATE "C" PRIMARY KEY, input bytea NOT NULL, reservation_id text, short jsonb, created_at timestamptz NOT NULL);
		CREATE TABLE outbox (
			id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_id text NOT NULL UNIQUE, subject text NOT NULL, payload json NOT NULL, headers jsonb,
			created_at timestamptz NOT NULL DEFAULT now())`)
	if err != nil {
		pool.Close()
		return nil, nil, err
	}
	return &dutifulShop{pool}, pool.Close, nil
}

const takeDutifully = `
	WITH taken AS (
	    UPDATE stock SET seq = seq + 1, held = held + 1 WHERE variant_id = $1 AND held + 1 <= on_hand RETURNING variant_id, seq, on_hand - held AS available
	), placed AS (
	    UPDATE levels l SET seq = t.seq, held = l.held + 1 FROM taken t
	    WHERE l.variant_id = t.variant_id AND l.warehouse_id = $2 AND l.held + 1 <= l.on_hand RETURNING l.*
	), noted AS (
	    INSERT INTO ledger (variant_id, seq, reservation_id, at, due_at, warehouse_id, on_hand_after, held_after, quantity, order_id, account_id, key, expires_at)
	    SELECT variant_id, seq, $3, $4, $5, warehouse_id, on_hand, held, 1, $6, $7, $8, $5 FROM placed
	), answered AS (
	    INSERT INTO answers (key, input, reservation_id, created_at) SELECT $8, $9, $3, $4 FROM placed
	)
	INSERT INTO outbox (event_id, subject, payload)
	SELECT $10, $11, json_build_object('at', $4::timestamptz, 'variantId', variant_id, 'productId', $12::text, 'available', available, 'state', 'IN_STOCK', 'seq', seq) FROM taken`

func (s *dutifulShop) take() way {
	return way{"duties", "one conditional UPDATE with the same duties: ledger, key, event", func(ctx context.Context, _ int) (func(context.Context) error, error) {
		variant, shelf, product, input := id.New(id.Variant), id.New(id.Warehouse), id.New(id.Product), bytes.Repeat([]byte{1}, 32)
		_, err := s.pool.Exec(ctx, fmt.Sprintf(`INSERT INTO stock VALUES ('%[1]s', 0, %[3]d, 0); INSERT INTO levels VALUES ('%[1]s', '%[2]s', %[3]d, 0, 0)`, variant, shelf, plentyOfUnits))
		return func(ctx context.Context) error {
			now := time.Now()
			return one(s.pool.Exec(ctx, takeDutifully, variant, shelf, id.New(id.Reservation), now, now.Add(5*time.Minute),
				id.New(id.Order), id.New(id.Account), id.New(id.Event), input, id.New(id.Event), events.SubjectStockChanged, product))
		}, err
	}}
}
