package engine

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// lot is how many listeners one goroutine tells before it looks for more.
const lot = 128

// cry tells listeners what there is to tell until the broadcast is over. No lock is held meanwhile, so who comes or leaves waits for
// nobody; and as it alone tells them, nobody hears anything twice or out of turn.
func (b *broadcast) cry() {
	defer b.dismiss()
	var told []byte // the newest that all on the list have heard
	for over := false; !over; {
		<-b.bell
		b.of.mu.Lock()
		arrived, last := b.arrived, b.last
		b.arrived, over = nil, b.over
		if b.gone > len(b.list)/4 {
			b.list, b.gone = slices.DeleteFunc(b.list, (*listener).left), 0
		}
		b.of.mu.Unlock()
		switch {
		case last == nil:
		case same(last, told):
			tellAll(arrived, last)
		default:
			tellAll(arrived, last) // first, since they have heard nothing yet
			tellAll(b.list, last)
			told = last
		}
		b.list = append(b.list, slices.DeleteFunc(arrived, (*listener).left)...)
	}
}

func (l *listener) left() bool { return l.hear.Load() == nil }

// dismiss tells all who are still there that it is over.
func (b *broadcast) dismiss() {
	close(b.done)
	for _, l := range b.list {
		if l.over != nil && l.hear.Swap(nil) != nil {
			l.over(b.err)
		}
	}
}

// same tells whether two are one and the same event, which is more than that they are alike.
func same(a, b []byte) bool { return len(a) > 0 && len(b) > 0 && &a[0] == &b[0] }

// tellAll makes all hear an event who have not left, on as many processors as there are.
func tellAll(listeners []*listener, event []byte) {
	var next atomic.Int64
	tell := func() {
		for {
			to := int(next.Add(lot))
			from := to - lot
			if from >= len(listeners) {
				return
			}
			for _, l := range listeners[from:min(to, len(listeners))] {
				if hear := l.hear.Load(); hear != nil {
					(*hear)(event)
				}
			}
		}
	}
	var others sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(listeners)/lot) - 1 {
		others.Go(tell)
	}
	tell()
	others.Wait()
}
