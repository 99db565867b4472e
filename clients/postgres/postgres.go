// Package postgres opens PostgreSQL: a pool for one subgraph in its own schema, and the migrations of that schema.
package postgres

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel"

	"github.com/souk-shop/souk/internal/telemetry"
)

const (
	mostConnections = 16 // a subgraph's share of the server's 200; pool_max_conns in the URL overrides it
	dialTimeout     = 5 * time.Second
)

// Open returns a pool whose unqualified names mean the tables of schema, and which answered a ping.
func Open(ctx context.Context, databaseURL, schema string) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL for %s: %w", schema, err)
	}
	if !sizesPool(databaseURL) {
		cfg.MaxConns = mostConnections
	}
	cfg.MaxConnLifetime, cfg.MaxConnLifetimeJitter = time.Hour, 10*time.Minute
	cfg.MaxConnIdleTime = 5 * time.Minute
	cfg.ConnConfig.ConnectTimeout = dialTimeout
	if !telemetry.Silent(otel.GetTracerProvider()) {
		cfg.ConnConfig.Tracer = otelpgx.NewTracer(otelpgx.WithDisableAcquireTracer())
	}
	params := cfg.ConnConfig.RuntimeParams
	params["search_path"] = pgx.Identifier{schema}.Sanitize()
	params["application_name"] = "souk-" + schema
	params["timezone"] = "UTC"
	params["idle_in_transaction_session_timeout"] = "60s" // a caller that hangs must not hold its locks for ever
	cfg.AfterConnect = inUTC

	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL for %s: %w", schema, err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("PostgreSQL for %s: %w", schema, err)
	}
	return pool, nil
}

// inUTC makes times read from the database compare equal to those the shop's clock tells.
func inUTC(_ context.Context, conn *pgx.Conn) error {
	conn.TypeMap().RegisterType(&pgtype.Type{
		Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
	})
	return nil
}

func sizesPool(databaseURL string) bool {
	at, err := url.Parse(databaseURL)
	return err == nil && at.Query().Has("pool_max_conns")
}
