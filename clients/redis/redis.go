// Package redis keeps a connection to a Redis that may be away. Who asks while it is hears so at once, and decides alone.
package redis

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/souk-shop/souk/internal/clock"
)

// Patience is how long the shop waits for one answer.
const Patience = 100 * time.Millisecond

const (
	retry = time.Second // between attempts to reach a Redis that is away
	quiet = time.Minute // between two lines about it
)

// ErrAway says that Redis was not asked, since it cannot be reached.
var ErrAway = errors.New("it cannot be reached")

// A Conn is a connection that comes back by itself. It is safe for concurrent use.
type Conn struct {
	options  rueidis.ClientOption
	patience time.Duration
	log      *slog.Logger
	clock    clock.Clock
	client   atomic.Pointer[rueidis.Client] // nil while away
	lost     chan struct{}                  // somebody found it away
	logged   atomic.Int64                   // when, in nanoseconds

	stop context.CancelFunc
	gone chan struct{}
}

// Open returns a connection to the Redis at a URL, whether it can be reached now or later. One that takes longer than patience for an
// answer is away. End it with Close.
func Open(url string, patience time.Duration, c clock.Clock, log *slog.Logger) (*Conn, error) {
	options, err := rueidis.ParseURL(url)
	if err != nil {
		return nil, errors.New("the URL of Redis is not one: redis://:password@host:6379, rediss://… or unix:///…") // err may quote the password
	}
	options.DisableCache, options.DisableRetry = true, true
	options.Dialer.Timeout, options.ConnWriteTimeout = max(retry, patience), max(retry, patience)
	r := &Conn{options: options, patience: patience, log: log, clock: c, lost: make(chan struct{}, 1), gone: make(chan struct{})}
	var ctx context.Context
	ctx, r.stop = context.WithCancel(context.Background())
	first := make(chan struct{})
	go r.keep(ctx, first)
	<-first
	return r, nil
}

// Close ends the connection.
func (r *Conn) Close() error {
	r.stop()
	<-r.gone
	return nil
}

// There tells whether Redis can be reached, as far as is known.
func (r *Conn) There() bool { return r.client.Load() != nil }

// Ask has Redis answer a question. An error says that it did not, for whatever reason; a line a minute says so in the
// log. A caller who hangs up does not make it look as if Redis were away.
func (r *Conn) Ask(ctx context.Context, question func(context.Context, rueidis.Client) error) error {
	client := r.client.Load()
	if client == nil {
		r.complain(ErrAway)
		return ErrAway
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.patience)
	defer cancel()
	err := question(ctx, *client)
	if err == nil {
		return nil
	}
	if _, answered := rueidis.IsRedisErr(err); !answered {
		r.client.CompareAndSwap(client, nil)
		select {
		case r.lost <- struct{}{}:
		default:
		}
	}
	r.complain(err)
	return err
}

// keep keeps a connection that answers, trying again for as long as it takes; first is closed after the first attempt.
func (r *Conn) keep(ctx context.Context, first chan struct{}) {
	defer close(r.gone)
	var client rueidis.Client
	defer func() {
		r.client.Store(nil)
		if client != nil {
			client.Close()
		}
	}()
	for {
		var err error
		if client == nil {
			client, err = rueidis.NewClient(r.options)
		}
		if err == nil {
			trial, cancel := context.WithTimeout(ctx, max(retry, r.patience))
			err = client.Do(trial, client.B().Ping().Build()).Error()
			cancel()
		}
		var again <-chan time.Time
		if err == nil {
			usable := client
			r.client.Store(&usable)
		} else if ctx.Err() == nil {
			r.client.Store(nil)
			r.complain(err)
			if client != nil { // made anew, wherever its name leads by then
				client.Close()
				client = nil
			}
			again = time.After(retry)
		}
		if first != nil {
			close(first)
			first = nil
		}
		select {
		case <-ctx.Done():
			return
		case <-r.lost:
		case <-again:
		}
	}
}

// complain writes a line, unless it has lately.
func (r *Conn) complain(err error) {
	now, last := r.clock.Now().UnixNano(), r.logged.Load()
	if last != 0 && now-last < int64(quiet) || !r.logged.CompareAndSwap(last, now) {
		return
	}
	r.log.Warn("Redis does not answer: each process decides alone", "error", err)
}
