// Package feed tells many watchers what changes, at a pace that none of them can be drowned by: each gets the newest values,
// never an older one after a newer, and the last one exact. What comes in once goes out to however many watch.
package feed

import (
	"context"
	"sync"
	"time"
)

// A Value is the whole of something at a moment.
type Value interface {
	Key() string // of what
	Rank() int64 // rises with every change; a value with a lower one is old news
}

// A Feed knows who watches what.
type Feed[V Value] struct {
	pace     time.Duration
	mu       sync.RWMutex
	watchers map[string]map[*watcher[V]]struct{} // by key
}

// New returns a feed that lets this much time pass between two values of one thing for one watcher.
func New[V Value](pace time.Duration) *Feed[V] {
	return &Feed[V]{pace: pace, watchers: map[string]map[*watcher[V]]struct{}{}}
}

// Watch returns what read returns, and then what is told of the keys, until the context ends. Who is slow to take values misses
// those in between.
func (f *Feed[V]) Watch(ctx context.Context, keys []string, read func(context.Context) ([]V, error)) (<-chan *V, error) {
	w := &watcher[V]{news: map[string]V{}, bell: make(chan struct{}, 1)}
	leave := f.join(w, keys) // before reading, so that no change falls in between
	now, err := read(ctx)
	if err != nil {
		leave()
		return nil, err
	}
	for _, v := range now {
		w.tell(v)
	}
	out := make(chan *V)
	go func() {
		defer close(out)
		defer leave()
		w.run(ctx, f.pace, out)
	}()
	return out, nil
}

// Tell passes a value on to those who watch it. It does not wait for any of them.
func (f *Feed[V]) Tell(v V) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for w := range f.watchers[v.Key()] {
		w.tell(v)
	}
}

// Watched tells whether anybody watches anything.
func (f *Feed[V]) Watched() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return len(f.watchers) > 0
}

// Refresh reads again what is being watched, so many keys at a time: for when some change may not have been told.
func (f *Feed[V]) Refresh(ctx context.Context, most int, read func(context.Context, []string) ([]V, error)) error {
	for keys := f.keys(); len(keys) > 0; {
		n := min(len(keys), most)
		now, err := read(ctx, keys[:n])
		if err != nil {
			return err
		}
		for _, v := range now {
			f.Tell(v)
		}
		keys = keys[n:]
	}
	return nil
}

func (f *Feed[V]) keys() []string {
	f.mu.RLock()
	defer f.mu.RUnlock()
	keys := make([]string, 0, len(f.watchers))
	for k := range f.watchers {
		keys = append(keys, k)
	}
	return keys
}

func (f *Feed[V]) join(w *watcher[V], keys []string) (leave func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, k := range keys {
		if f.watchers[k] == nil {
			f.watchers[k] = map[*watcher[V]]struct{}{}
		}
		f.watchers[k][w] = struct{}{}
	}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, k := range keys {
			if delete(f.watchers[k], w); len(f.watchers[k]) == 0 {
				delete(f.watchers, k)
			}
		}
	}
}

// A watcher keeps the newest value of each key until its subscriber takes it.
type watcher[V Value] struct {
	mu   sync.Mutex
	news map[string]V
	bell chan struct{}
}

func (w *watcher[V]) tell(v V) {
	w.mu.Lock()
	if had, ok := w.news[v.Key()]; !ok || v.Rank() > had.Rank() {
		w.news[v.Key()] = v
	}
	w.mu.Unlock()
	select {
	case w.bell <- struct{}{}:
	default: // rung already
	}
}

// sent is what a subscriber last got of a key, and when.
type sent struct {
	rank int64
	at   time.Time
}

// run hands out news when its time has come.
func (w *watcher[V]) run(ctx context.Context, pace time.Duration, out chan<- *V) {
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
			v, wait := w.take(last, pace, time.Now())
			if wait > 0 {
				alarm.Reset(wait)
			}
			if v == nil {
				break
			}
			key, rank := (*v).Key(), (*v).Rank() // the subscriber owns it once it is sent
			select {
			case <-ctx.Done():
				return
			case out <- v:
				last[key] = sent{rank, time.Now()}
			}
		}
	}
}

// take returns news that may go out, or else how long until some may; 0 when there are none.
func (w *watcher[V]) take(last map[string]sent, pace time.Duration, now time.Time) (*V, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var soonest time.Duration
	for key, v := range w.news {
		before, any := last[key]
		if any && v.Rank() <= before.rank {
			delete(w.news, key)
			continue
		}
		wait := before.at.Add(pace).Sub(now)
		if !any || wait <= 0 {
			delete(w.news, key)
			return &v, 0
		}
		if soonest == 0 || wait < soonest {
			soonest = wait
		}
	}
	return nil, soonest
}
