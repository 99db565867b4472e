package inventory

import (
	"context"
	"strconv"
	"time"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/id"
)

// An Update is how much of a variant could be had at a moment.
type Update struct {
	VariantID string
	Available int
	Seq       int64 // an update with a lower one is old news
	AsOf      time.Time
}

// Key returns the variant's id.
func (u Update) Key() string { return u.VariantID }

// Rank orders the updates of a variant.
func (u Update) Rank() int64 { return u.Seq }

// State says in a word whether the variant could be had.
func (u Update) State() State { return stateOf(u.Available) }

const (
	mostWatched = 100                    // variants in one subscription
	pace        = 200 * time.Millisecond // between two updates of a variant
)

// Watch returns the stock of the variants now and then as it changes, until the context ends: of each variant at most
// five updates a second, with rising seq, the last of them exact. Who is slow to take them misses those in between.
func (inv *Inventory) Watch(ctx context.Context, variantIDs []string) (<-chan *Update, error) {
	if len(variantIDs) < 1 || len(variantIDs) > mostWatched {
		return nil, invalid("watch 1 to %d variants", mostWatched).At("variantIds")
	}
	for i, v := range variantIDs {
		if err := id.Check(id.Variant, v, "variantIds", strconv.Itoa(i)); err != nil {
			return nil, err
		}
	}
	return inv.feed.Watch(ctx, variantIDs, func(ctx context.Context) ([]Update, error) { return inv.updates(ctx, variantIDs) })
}

func (inv *Inventory) updates(ctx context.Context, variantIDs []string) ([]Update, error) {
	stock, err := inv.StockOf(ctx, variantIDs)
	now := make([]Update, len(stock))
	for i, s := range stock {
		now[i] = Update{VariantID: s.VariantID, Available: s.Available(), Seq: s.Seq, AsOf: s.AsOf}
	}
	return now, err
}

// Told passes on to those who watch what this or another process has changed. It does not wait for any of them.
func (inv *Inventory) Told(e events.StockChanged) {
	inv.feed.Tell(Update{VariantID: e.VariantID, Available: e.Available, Seq: e.Seq, AsOf: e.At.At})
}

// Watched tells whether anybody watches anything.
func (inv *Inventory) Watched() bool { return inv.feed.Watched() }

// Refresh reads again what is being watched: for when some change may not have been told.
func (inv *Inventory) Refresh(ctx context.Context) error {
	return inv.feed.Refresh(ctx, mostAvailability, inv.updates)
}
