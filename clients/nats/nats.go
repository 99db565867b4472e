// Package nats opens NATS: a connection that comes back by itself, and lets go in order.
package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	dialTimeout  = 5 * time.Second
	drainTimeout = 10 * time.Second
)

// A Conn is a connection and its streams.
type Conn struct {
	*nats.Conn
	Streams jetstream.JetStream
	closed  chan struct{}
}

// Open returns a connection under a name that operators see, and which answered a ping. When the server goes away it
// reconnects for as long as it takes; what is published meanwhile fails at once instead of being sent late.
func Open(ctx context.Context, url, name string, log *slog.Logger, options ...nats.Option) (*Conn, error) {
	c := &Conn{closed: make(chan struct{})}
	options = append([]nats.Option{
		nats.Name("souk-" + name),
		nats.Timeout(dialTimeout),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(200 * time.Millisecond),
		nats.ReconnectJitter(100*time.Millisecond, time.Second),
		nats.ReconnectBufSize(-1),
		nats.PingInterval(20 * time.Second),
		nats.DrainTimeout(drainTimeout),
		nats.ClosedHandler(func(*nats.Conn) { close(c.closed) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("nats: connection lost", "client", name, "error", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { log.Info("nats: connected again", "client", name) }),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			subject := ""
			if sub != nil {
				subject = sub.Subject
			}
			log.Warn("nats: "+err.Error(), "client", name, "subject", subject)
		}),
	}, options...)
	var err error
	if c.Conn, err = nats.Connect(url, options...); err != nil {
		return nil, fmt.Errorf("NATS for %s: %w", name, err)
	}
	if c.Streams, err = jetstream.New(c.Conn); err != nil {
		c.Conn.Close()
		return nil, fmt.Errorf("NATS for %s: %w", name, err)
	}
	if err := c.Ping(ctx); err != nil {
		c.Conn.Close()
		return nil, fmt.Errorf("NATS for %s: %w", name, err)
	}
	return c, nil
}

// Ping asks the server for a sign of life.
func (c *Conn) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return c.FlushWithContext(ctx)
}

// Close lets messages in flight finish, at most for the drain timeout, then hangs up.
func (c *Conn) Close() error {
	err := c.Drain()
	if errors.Is(err, nats.ErrConnectionClosed) {
		return nil
	}
	if err != nil { // such as while reconnecting: there is nothing to wait for
		c.Conn.Close()
	}
	<-c.closed
	return err
}
