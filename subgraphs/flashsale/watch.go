package flashsale

import (
	"context"
	"time"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/id"
)

// Live is the counts of a sale at a moment.
type Live struct {
	SaleID string
	Status Status
	Offers []Count
	AsOf   time.Time
	Seq    int64 // counts with a lower one are old news
}

// A Count is the counts of one variant in a sale.
type Count struct {
	VariantID string
	Remaining int
	Held      int
	Sold      int
}

// Key returns the sale's id.
func (l Live) Key() string { return l.SaleID }

// Rank orders what is told of a sale.
func (l Live) Rank() int64 { return l.Seq }

// Remaining returns how many units of all offers can be booked.
func (l Live) Remaining() (n int) {
	for _, c := range l.Offers {
		n += c.Remaining
	}
	return n
}

// Held returns how many units of all offers wait for their payment.
func (l Live) Held() (n int) {
	for _, c := range l.Offers {
		n += c.Held
	}
	return n
}

// Sold returns how many units of all offers are paid for.
func (l Live) Sold() (n int) {
	for _, c := range l.Offers {
		n += c.Sold
	}
	return n
}

// Live returns the sale's counts.
func (s Sale) Live(now time.Time) Live {
	l := Live{SaleID: s.ID, Status: s.Status(now), AsOf: now, Seq: s.Seq}
	for _, o := range s.Offers {
		l.Offers = append(l.Offers, Count{o.VariantID, o.Remaining, o.Held, o.Sold})
	}
	return l
}

const (
	pace       = 200 * time.Millisecond // between two counts of a sale, for one watcher
	mostReread = 100                    // sales in one question
)

// Watch returns the counts of a sale now and then as they change, until the context ends: at most five a second, with rising
// seq, the last of them exact. Who is slow to take them misses those in between.
func (fs *FlashSales) Watch(ctx context.Context, saleID string) (<-chan *Live, error) {
	if err := id.Check(id.FlashSale, saleID, "id"); err != nil {
		return nil, err
	}
	return fs.feed.Watch(ctx, []string{saleID}, func(ctx context.Context) ([]Live, error) {
		now, err := fs.live(ctx, []string{saleID})
		if err == nil && len(now) == 0 {
			err = ErrNoSale.At("id")
		}
		return now, err
	})
}

func (fs *FlashSales) live(ctx context.Context, saleIDs []string) ([]Live, error) {
	found, err := fs.SalesByID(ctx, saleIDs)
	now := make([]Live, len(found))
	for i, s := range found {
		now[i] = s.Live(fs.clock.Now())
	}
	return now, err
}

// Told passes on to those who watch what this or another process has changed. It does not wait for any of them.
func (fs *FlashSales) Told(e events.FlashSaleChanged) {
	l := Live{SaleID: e.SaleID, Status: Status(e.Status), AsOf: e.At.At, Seq: e.Seq}
	for _, o := range e.Offers {
		l.Offers = append(l.Offers, Count{o.VariantID, o.Remaining, o.Held, o.Sold})
	}
	fs.feed.Tell(l)
}

// Watched tells whether anybody watches anything.
func (fs *FlashSales) Watched() bool { return fs.feed.Watched() }

// Refresh reads again what is being watched: for when some change may not have been told.
func (fs *FlashSales) Refresh(ctx context.Context) error {
	return fs.feed.Refresh(ctx, mostReread, fs.live)
}
