package payments

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"log/slog"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/souk-shop/souk/clients/psp"
	"github.com/souk-shop/souk/internal/clock"
)

// Orders tells how orders stand.
type Orders interface {
	// Placed tells whether the order is placed, or further; ErrNotFound when there is none.
	Placed(ctx context.Context, orderID string) (bool, error)
}

// Options are what may differ from shop to shop. The zero Options are fine.
type Options struct {
	Patience time.Duration // how long a caller waits for the provider; 0 means 2 s
	Log      *slog.Logger  // hears of what goes wrong while nobody waits; nil is silent
}

// Payments is what the shop can do with money.
type Payments struct {
	Reader
	store    Store
	provider psp.Provider
	orders   Orders
	clock    clock.Clock
	patience time.Duration
	log      *slog.Logger

	life context.Context // ends requests to the provider that nobody waits for, when Work does
	end  context.CancelFunc

	mu      sync.Mutex
	running map[string]bool    // operations that this process is at
	flights map[string]*flight // by payment
}

// A flight is what this process asks of the provider for one payment.
type flight struct {
	running int
	payment Payment       // as the last that landed saved it
	landed  chan struct{} // closed when nothing runs any more
}

// New returns the shop's payments, kept in a store and moved by a provider.
func New(s Store, provider psp.Provider, orders Orders, c clock.Clock, o Options) *Payments {
	ps := &Payments{
		Reader: s, store: s, provider: provider, orders: orders, clock: c, patience: cmp.Or(o.Patience, 2*time.Second),
		log: cmp.Or(o.Log, slog.New(slog.DiscardHandler)), running: map[string]bool{}, flights: map[string]*flight{},
	}
	ps.life, ps.end = context.WithCancel(context.Background())
	return ps
}

// Audit compares the payments with the ledger, and says where they disagree: nothing, as long as the constraints are in place.
func (ps *Payments) Audit(ctx context.Context) ([]string, error) { return ps.store.Audit(ctx) }

// now returns the payment as it is.
func (ps *Payments) now(ctx context.Context, id string) (Payment, error) {
	found, err := ps.store.PaymentsByID(ctx, []string{id})
	if err != nil {
		return Payment{}, err
	}
	if len(found) == 0 {
		return Payment{}, ErrNotFound
	}
	return found[0], nil
}

func hashOf(input ...any) ([]byte, error) {
	b, err := json.Marshal(input)
	sum := sha256.Sum256(b)
	return sum[:], err
}

func checkKey(key string, field ...string) error {
	if n := utf8.RuneCountInString(key); n < 1 || n > 128 {
		return ErrKey.At(field...)
	}
	return nil
}
