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
	var told *news // by which all on the list know it, or know better
	for over := false; !over; {
		<-b.bell
		b.of.mu.Lock()
		arrived := b.arrived
		b.arrived, over = nil, b.over
		if b.gone > len(b.list)/4 {
			b.list, b.gone = slices.DeleteFunc(b.list, (*listener).left), 0
		}
		b.of.mu.Unlock()
		newest := b.newest.Load() // when there is another meanwhile, the bell rings again
		b.tellAll(arrived)        // first, since they have heard nothing yet
		if newest != told {
			b.tellAll(b.list)
			told = newest
		}
		b.list = append(b.list, slices.DeleteFunc(arrived, (*listener).left)...)
	}
}

func (l *listener) left() bool { return l.hear.Load() == nil }

// dismiss tells all who are still there that it is over.
func (b *broadcast) dismiss() {
	close(b.done)
	for _, l := range b.list {
		if l.hear.Swap(nil) != nil {
			b.part(l, b.err)
		}
	}
}

// part tells who has left that there is no more.
func (b *broadcast) part(l *listener, err error) {
	if l.over != nil {
		b.alone(func() { l.over(err) })
	}
}

// alone does what one listener brought along on the goroutine of all: a bug there must not end the others.
func (b *broadcast) alone(do func()) error {
	_, err := contained(b.of.log, func() (struct{}, error) { do(); return struct{}{}, nil })
	return err
}

// tellAll makes all hear the newest event who have not left and have not heard it, on as many processors as there are.
func (b *broadcast) tellAll(listeners []*listener) {
	var next atomic.Int64
	tell := func() {
		for {
			to := int(next.Add(lot))
			from := to - lot
			if from >= len(listeners) {
				return
			}
			for _, l := range listeners[from:min(to, len(listeners))] {
				b.tellOne(l)
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

func (b *broadcast) tellOne(l *listener) {
	newest, hear := b.newest.Load(), l.hear.Load()
	if newest == l.told || hear == nil {
		return
	}
	l.told = newest
	if err := b.alone(func() { (*hear)(newest.event) }); err != nil && b.leave(l) {
		b.part(l, err)
	}
}
