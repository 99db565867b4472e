package flashsale

import (
	"context"
	"sync"
	"time"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/id"
)

// Live is the counts of a sale at a moment.
type Live struct {
	SaleID   string
	Status   Status
	StartsAt time.Time
	Offers   []Count
	AsOf     time.Time
	Seq      int64 // counts with a lower one are old news
	Room     Progress
}

// Progress is how far a waiting room has got.
type Progress struct {
	Joined    int64 // tickets ever given
	Called    int64 // places whose turn has come
	Drawn     bool
	PerSecond float64 // people let in, lately
	Rev       int64   // rises with every change
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

// Rank orders what is told of a sale: by its counts, and where they are the same, by its waiting room.
func (l Live) Rank() int64 { return l.Seq<<revBits | min(l.Room.Rev, 1<<revBits-1) }

const revBits = 26 // a room changes less often than that, and 2^37 movements are more than there are units

// Waiting returns how many people's turn is to come.
func (l Live) Waiting() int {
	if l.Status == Ended || l.Status == Cancelled {
		return 0
	}
	return int(l.Room.Joined - l.Room.Called)
}

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
	l := Live{SaleID: s.ID, Status: s.Status(now), StartsAt: s.StartsAt, AsOf: now, Seq: s.Seq}
	if s.HasRoom() {
		l.Room = Progress{Joined: s.Room.Joined, Called: s.Room.Called, Drawn: s.Room.DrawnAt != nil, PerSecond: s.perSecond(), Rev: s.Room.Rev}
	}
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
		now[i] = fs.newest.with(s.Live(fs.clock.Now()))
	}
	return now, err
}

// newest keeps what is known of sales. Their counts and their rooms are told by different transactions, each of which knows the
// other half as it was when it looked: of each half, the newest holds.
type newest struct {
	mu sync.Mutex
	of map[string]Live // by sale, until it is over
}

// with returns what is known of a sale, with this.
func (n *newest) with(l Live) Live {
	n.mu.Lock()
	defer n.mu.Unlock()
	if had, any := n.of[l.SaleID]; any {
		room := had.Room
		if l.Room.Rev > room.Rev {
			room = l.Room
		}
		if had.Seq > l.Seq || had.Seq == l.Seq && had.AsOf.After(l.AsOf) {
			l = had
		}
		l.Room = room
	}
	if l.Status == Ended || l.Status == Cancelled {
		delete(n.of, l.SaleID)
		return l
	}
	if n.of == nil {
		n.of = map[string]Live{}
	}
	n.of[l.SaleID] = l
	return l
}

// Told passes on to those who watch what this or another process has changed. It does not wait for any of them.
func (fs *FlashSales) Told(e events.FlashSaleChanged) {
	l := Live{SaleID: e.SaleID, Status: Status(e.Status), StartsAt: e.StartsAt, AsOf: e.At.At, Seq: e.Seq}
	if r := e.Room; r != nil {
		l.Room = Progress{Joined: r.Joined, Called: r.Called, Drawn: r.Drawn, PerSecond: r.PerSecond, Rev: r.Rev}
	}
	for _, o := range e.Offers {
		l.Offers = append(l.Offers, Count{o.VariantID, o.Remaining, o.Held, o.Sold})
	}
	fs.feed.Tell(fs.newest.with(l))
}

// Watched tells whether anybody watches anything.
func (fs *FlashSales) Watched() bool { return fs.feed.Watched() }

// Refresh reads again what is being watched: for when some change may not have been told.
func (fs *FlashSales) Refresh(ctx context.Context) error {
	return fs.feed.Refresh(ctx, mostReread, fs.live)
}
