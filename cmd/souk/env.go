package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/souk-shop/souk/clients/blob"
	clientnats "github.com/souk-shop/souk/clients/nats"
	"github.com/souk-shop/souk/clients/postgres"
	"github.com/souk-shop/souk/clients/redis"
	"github.com/souk-shop/souk/internal/bus"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/outage"
	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/internal/passport"
	"github.com/souk-shop/souk/internal/subgraph"
	"github.com/souk-shop/souk/internal/telemetry"
)

// env is what the parts share: configuration, log, and connections that are opened on first use and closed last.
type env struct {
	config
	log      *slog.Logger
	clock    clock.Clock
	metrics  *prometheus.Registry
	kept     time.Duration          // what is not kept for ever
	forgot   *prometheus.CounterVec // rows, by part and what they were
	passport passport.Key
	urls     map[string]string // where the subgraphs of this process are, by name
	dev      bool              // souk dev: the playground is there

	notice         string                            // what the playground says of who can sign in
	demoIDs        atomic.Pointer[map[string]string] // of the demo goods, once they are there
	supergraphFile string                            // what the gateway serves instead of souk's own

	nc    *clientnats.Conn
	rd    *redis.Conn
	close []func() error
}

// openEnv reads what every part needs. A gateway to another supergraph than souk's needs no key: its subgraphs know no passports.
func openEnv(c config, log *slog.Logger, supergraphFile string) (*env, error) {
	key, err := c.passportKey()
	if err != nil && (supergraphFile == "" || c.get("SOUK_PASSPORT_KEY") != "") {
		return nil, err
	}
	kept, err := c.retention()
	if err != nil {
		return nil, err
	}
	e := &env{supergraphFile: supergraphFile, config: c, log: log, clock: clock.System, metrics: telemetry.NewRegistry(), kept: kept, forgot: newForgot(), passport: key, urls: map[string]string{}}
	return e, e.metrics.Register(e.forgot)
}

// Close closes what was opened, the last first.
func (e *env) Close() error {
	var errs []error
	for i := len(e.close) - 1; i >= 0; i-- {
		errs = append(errs, e.close[i]())
	}
	e.close = nil
	return errors.Join(errs...)
}

// postgres opens a subgraph's tables and brings them up to date.
func (e *env) postgres(ctx context.Context, part string, migrations fs.FS) (*pgxpool.Pool, error) {
	url, err := e.postgresURL(part)
	if err != nil {
		return nil, err
	}
	var pool *pgxpool.Pool
	err = e.await(ctx, func() (err error) { pool, err = postgres.Open(ctx, url, part); return err })
	if err != nil {
		return nil, err
	}
	e.close = append(e.close, func() error { pool.Close(); return nil })
	return pool, e.await(ctx, func() error { return postgres.Migrate(ctx, pool, migrations) })
}

const (
	startPatience = time.Minute // with an engine that is away
	startPause    = 250 * time.Millisecond
)

// await tries for a while what fails because an engine is away: a part that starts in the middle of an outage begins when it is
// over. One that ended instead would be started again later and later by most of what starts programs.
func (e *env) await(ctx context.Context, open func() error) error {
	for given := time.Now().Add(startPatience); ; {
		err := open()
		if err == nil || !outage.Passing(err) || time.Now().After(given) {
			return err
		}
		e.log.Warn("an engine is away: waiting for it", "error", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(startPause):
		}
	}
}

// nats opens the connection that all parts of this process share, with the stream of events in place.
func (e *env) nats(ctx context.Context) (*nats.Conn, jetstream.JetStream, error) {
	if e.nc != nil {
		return e.nc.Conn, e.nc.Streams, nil
	}
	url, err := e.need("SOUK_NATS_URL")
	if err != nil {
		return nil, nil, err
	}
	var nc *clientnats.Conn
	err = e.await(ctx, func() (err error) { nc, err = clientnats.Open(ctx, url, "souk", e.log); return err })
	if err != nil {
		return nil, nil, err
	}
	e.close = append(e.close, nc.Close)
	if err := e.await(ctx, func() error { return outbox.Stream(ctx, nc.Streams) }); err != nil {
		return nil, nil, fmt.Errorf("stream of events: %w", err)
	}
	e.nc = nc
	return nc.Conn, nc.Streams, nil
}

// redis opens the connection that all parts of this process share, nil when nothing is shared with other processes.
func (e *env) redis() (*redis.Conn, error) {
	url := e.get("SOUK_REDIS_URL")
	if e.rd != nil || url == "" {
		return e.rd, nil
	}
	rd, err := redis.Open(url, redis.Patience, e.clock, e.log)
	if err != nil {
		return nil, fmt.Errorf("SOUK_REDIS_URL: %w", err)
	}
	e.close = append(e.close, rd.Close)
	e.rd = rd
	return rd, nil
}

// blobs opens where pictures and feeds are kept.
func (e *env) blobs(ctx context.Context) (blob.Store, error) {
	url, err := e.need("SOUK_BLOB_URL")
	if err != nil {
		return nil, err
	}
	return blob.Open(ctx, url)
}

// bus opens the way to the other subgraphs.
func (e *env) bus(ctx context.Context) (*bus.Bus, error) {
	nc, _, err := e.nats(ctx)
	if err != nil {
		return nil, err
	}
	return bus.New(nc, e.log), nil
}

// mount gives a subgraph its address, healthy while its pool answers.
func (e *env) mount(graph http.Handler, ping func(context.Context) error) http.Handler {
	return subgraph.Mount(graph, e.passport.Guard, ping)
}
