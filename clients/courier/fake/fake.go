// Package fake is a courier for development and tests: it brings every parcel at once, and says so twice and out of order when told to.
package fake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/souk-shop/souk/clients/courier"
)

// ErrSilent is what a caller gets from a courier that does not answer.
var ErrSilent = errors.New("the courier does not answer")

// A Courier is a courier that exists in this process only.
type Courier struct {
	// Pause is how long each leg of the way takes.
	Pause time.Duration

	mu      sync.Mutex
	booked  map[string]bool
	silent  int // this many bookings get no answer
	parcels chan courier.Parcel
}

// New returns a courier that brings a parcel in three legs of so long each.
func New(pause time.Duration) *Courier {
	return &Courier{Pause: pause, booked: map[string]bool{}, parcels: make(chan courier.Parcel, 1000)}
}

// Silence makes the next bookings go unanswered, though they are taken in.
func (c *Courier) Silence(bookings int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.silent = bookings
}

// Book takes a parcel in. Its tracking number depends on the shipment alone, so booking one twice gives the same.
func (c *Courier) Book(_ context.Context, p courier.Parcel) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.booked[p.ShipmentID] {
		select {
		case c.parcels <- p:
			c.booked[p.ShipmentID] = true
		default:
			return "", errors.New("the courier has too many parcels")
		}
	}
	if c.silent > 0 {
		c.silent--
		return "", ErrSilent
	}
	sum := sha256.Sum256([]byte(p.ShipmentID))
	return strings.ToUpper(p.Courier[:min(2, len(p.Courier))] + hex.EncodeToString(sum[:5])), nil
}

// Deliver brings parcels until ctx ends, telling of each leg. Every report comes twice, and the first leg once more at the end:
// whoever listens must not mind. A report that could not be told is told again.
func (c *Courier) Deliver(ctx context.Context, tell func(context.Context, courier.Report) error) error {
	var vans errgroup.Group
	vans.SetLimit(100)
	for {
		select {
		case <-ctx.Done():
			return vans.Wait()
		case p := <-c.parcels:
			vans.Go(func() error { c.bring(ctx, p, tell); return nil })
		}
	}
}

func (c *Courier) bring(ctx context.Context, p courier.Parcel, tell func(context.Context, courier.Report) error) {
	for _, status := range []string{"HANDED_OVER", "HANDED_OVER", "OUT_FOR_DELIVERY", "DELIVERED", "DELIVERED", "HANDED_OVER"} {
		if !c.leg(ctx, courier.Report{ShipmentID: p.ShipmentID, EventID: p.ShipmentID + "-" + status, Status: status, At: time.Now().UTC()}, tell) {
			return
		}
	}
}

// leg takes a while and tells of it, until it was heard or ctx ends.
func (c *Courier) leg(ctx context.Context, r courier.Report, tell func(context.Context, courier.Report) error) bool {
	for wait := c.Pause; ; wait = min(wait*2+10*time.Millisecond, time.Second) {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
		}
		if tell(ctx, r) == nil {
			return true
		}
	}
}
