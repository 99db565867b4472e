package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/souk-shop/souk/clients/psp"
	"github.com/souk-shop/souk/clients/psp/fake"
)

// A chaosBank is the payment provider of a chaos run. It lives outside the shop, so that its books outlive every process, and it is
// as unreliable as real ones: it hangs up before and after it did what it was asked for, takes its time, and tells everything twice.
type chaosBank struct {
	*fake.Provider
	url    string
	secret string
	server *http.Server
	stop   context.CancelFunc
	gone   sync.WaitGroup

	mu       sync.Mutex
	rng      *rand.Rand
	sound    atomic.Bool // it behaves
	hangUps  atomic.Int64
	lateness atomic.Int64
}

// openBank starts a bank that tells a shop's payments, at a URL, what became of them.
func openBank(secret, payments string, rng *rand.Rand) (*chaosBank, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &chaosBank{url: "http://" + l.Addr().String(), secret: secret, rng: rng}
	b.Provider, err = fake.New(fake.Config{
		Secret: []byte(secret), WebhookURL: payments + "/webhooks/" + fake.Name, PublicURL: b.url, Delivery: fake.Delivery{Twice: true}, Slow: 2500 * time.Millisecond,
	})
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	ctx, stop := context.WithCancel(context.Background())
	b.stop = stop
	b.server = &http.Server{Handler: b.moody(b.Desk()), ReadHeaderTimeout: 5 * time.Second}
	b.gone.Go(func() { b.server.Serve(l) })
	b.gone.Go(func() { b.Run(ctx) })
	b.gone.Go(func() { b.awake(ctx) })
	return b, nil
}

// awake decides, now and then, payments that it has not answered for: too late for their orders, and half of them well, for whoever
// decides has not heard that they were let go.
func (b *chaosBank) awake(ctx context.Context) {
	for ctx.Err() == nil {
		sleepFor(ctx, time.Second)
		for _, r := range b.Books() {
			b.mu.Lock()
			dice := b.rng.IntN(20)
			b.mu.Unlock()
			if r.Outcome != psp.Unknown || dice > 1 && !b.sound.Load() {
				continue
			}
			if dice%2 == 0 {
				b.Succeed(r.Key)
			} else {
				b.Fail(r.Key)
			}
		}
	}
}

// moody makes a handler unreliable.
func (b *chaosBank) moody(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		mood := b.rng.IntN(100)
		b.mu.Unlock()
		switch {
		case b.sound.Load():
		case mood < 3: // what was asked is not done
			b.hangUps.Add(1)
			panic(http.ErrAbortHandler)
		case mood < 6: // what was asked is done, and nobody hears of it
			b.hangUps.Add(1)
			h.ServeHTTP(nowhere{}, r)
			panic(http.ErrAbortHandler)
		case mood < 9:
			b.lateness.Add(1)
			sleepFor(r.Context(), 2*time.Second)
		}
		h.ServeHTTP(w, r)
	})
}

// nowhere is a connection that broke.
type nowhere struct{}

func (nowhere) Header() http.Header         { return http.Header{} }
func (nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (nowhere) WriteHeader(int)             {}

func (b *chaosBank) close() {
	b.stop()
	b.server.Close()
	b.gone.Wait()
}
