package outbox

import (
	"context"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
)

const lookAgain = time.Minute // so that a change that was not told is seen in the end

// A Follower shows live what any process has changed.
type Follower[T any] interface {
	Watched() bool                     // whether anybody looks
	Told(T)                            // must not block
	Refresh(ctx context.Context) error // reads what is watched again, as some of it may have been missed
}

// Follow tells a follower of a subject's events until the context ends: one subscription on the bus, however many watch. What was
// missed while the connection was lost is read from the store.
func Follow[T any](nc *nats.Conn, subject string, f Follower[T], log *slog.Logger) func(context.Context) error {
	log = log.With("follows", subject)
	return func(ctx context.Context) error {
		connected := nc.StatusChanged(nats.CONNECTED)
		defer nc.RemoveStatusListener(connected)
		stop, err := Listen(nc, []string{subject}, func(e Received) {
			if !f.Watched() {
				return
			}
			changed, err := Decode[T](e)
			if err != nil {
				log.Error("event", "error", err)
				return
			}
			f.Told(changed)
		})
		if err != nil {
			return err
		}
		defer stop()
		tick, again := time.NewTicker(lookAgain), connected
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case _, open := <-again:
				if !open { // with the connection
					again = nil
					continue
				}
				nc.FlushTimeout(time.Second) // then the server listens for us again
			case <-tick.C:
			}
			if err := f.Refresh(ctx); err != nil && ctx.Err() == nil {
				log.Warn("what is watched cannot be read", "error", err)
			}
		}
	}
}
