package inventory

import (
	"context"
	"strconv"
	"sync"
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
	w := &watcher{news: map[string]Update{}, bell: make(chan struct{}, 1)}
	leave := inv.feed.join(w, variantIDs) // before reading, so that no change falls in between
	now, err := inv.StockOf(ctx, variantIDs)
	if err != nil {
		leave()
		return nil, err
	}
	for _, s := range now {
		w.tell(Update{VariantID: s.VariantID, Available: s.Available(), Seq: s.Seq, AsOf: s.AsOf})
	}
	out := make(chan *Update)
	go func() {
		defer close(out)
		defer leave()
		w.run(ctx, out)
	}()
	return out, nil
}

// Told passes on to those who watch what this or another process has changed. It does not wait for any of them.
func (inv *Inventory) Told(e events.StockChanged) {
	inv.feed.tell(Update{VariantID: e.VariantID, Available: e.Available, Seq: e.Seq, AsOf: e.At.At})
}

// Watched tells whether anybody watches anything.
func (inv *Inventory) Watched() bool { return inv.feed.watched() }

// Refresh reads again what is being watched: for when some change may not have been told.
func (inv *Inventory) Refresh(ctx context.Context) error {
	for ids := inv.feed.variants(); len(ids) > 0; {
		n := min(len(ids), mostAvailability)
		stock, err := inv.StockOf(ctx, ids[:n])
		if err != nil {
			return err
		}
		for _, s := range stock {
			inv.feed.tell(Update{VariantID: s.VariantID, Available: s.Available(), Seq: s.Seq, AsOf: s.AsOf})
		}
		ids = ids[n:]
	}
	return nil
}

// A feed knows who watches what.
type feed struct {
	mu       sync.RWMutex
	watchers map[string]map[*watcher]struct{} // by variant
}

func newFeed() *feed { return &feed{watchers: map[string]map[*watcher]struct{}{}} }

func (f *feed) join(w *watcher, variantIDs []string) (leave func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, v := range variantIDs {
		if f.watchers[v] == nil {
			f.watchers[v] = map[*watcher]struct{}{}
		}
		f.watchers[v][w] = struct{}{}
	}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, v := range variantIDs {
			if delete(f.watchers[v], w); len(f.watchers[v]) == 0 {
				delete(f.watchers, v)
			}
		}
	}
}

func (f *feed) tell(u Update) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for w := range f.watchers[u.VariantID] {
		w.tell(u)
	}
}

func (f *feed) watched() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return len(f.watchers) > 0
}

func (f *feed) variants() []string {
	f.mu.RLock()
	defer f.mu.RUnlock()
	ids := make([]string, 0, len(f.watchers))
	for v := range f.watchers {
		ids = append(ids, v)
	}
	return ids
}

// A watcher keeps the newest update of each variant until its subscriber takes it.
type watcher struct {
	mu   sync.Mutex
	news map[string]Update
	bell chan struct{}
}

func (w *watcher) tell(u Update) {
	w.mu.Lock()
	if had, ok := w.news[u.VariantID]; !ok || u.Seq > had.Seq {
		w.news[u.VariantID] = u
	}
	w.mu.Unlock()
	select {
	case w.bell <- struct{}{}:
	default: // rung already
	}
}

// sent is what a subscriber last got of a variant, and when.
type sent struct {
	seq int64
	at  time.Time
}

// run hands out news when its time has come.
func (w *watcher) run(ctx context.Context, out chan<- *Update) {
	last := map[string]sent{}
	alarm := time.NewTimer(0)
	defer alarm.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.bell:
		case <-alarm.C:
		}
		for {
			u, wait := w.take(last, time.Now())
			if wait > 0 {
				alarm.Reset(wait)
			}
			if u == nil {
				break
			}
			select {
			case <-ctx.Done():
				return
			case out <- u:
				last[u.VariantID] = sent{u.Seq, time.Now()}
			}
		}
	}
}

// take returns news that may go out, or else how long until some may; 0 when there are none.
func (w *watcher) take(last map[string]sent, now time.Time) (*Update, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var soonest time.Duration
	for v, u := range w.news {
		before, any := last[v]
		if any && u.Seq <= before.seq {
			delete(w.news, v)
			continue
		}
		wait := before.at.Add(pace).Sub(now)
		if !any || wait <= 0 {
			delete(w.news, v)
			return &u, 0
		}
		if soonest == 0 || wait < soonest {
			soonest = wait
		}
	}
	return nil, soonest
}
