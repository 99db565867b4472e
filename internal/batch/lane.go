package batch

import "time"

// A lane is a key that somebody uses: those waiting, oldest first, and how many batches run.
// The group's lock guards it. It exists only while it is of use.
type lane[K comparable, Req, Res any] struct {
	key         K
	first, last *waiter[K, Req, Res]
	waiting     int
	running     int
	latest      int // how many are in the batch that began last

	ready bool // in line for a worker
	next  *lane[K, Req, Res]

	target int // wait until so many wait, or the timer fires; 0 when not lingering
	timer  *time.Timer
}

func (l *lane[K, Req, Res]) push(w *waiter[K, Req, Res]) {
	w.lane, w.prev, w.next = l, l.last, nil
	if l.last == nil {
		l.first = w
	} else {
		l.last.next = w
	}
	l.last = w
	l.waiting++
}

func (l *lane[K, Req, Res]) remove(w *waiter[K, Req, Res]) {
	if w.prev == nil {
		l.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		l.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.prev, w.next = nil, nil
	l.waiting--
}

// take moves up to most waiters, oldest first, to the end of lot.
func (l *lane[K, Req, Res]) take(lot []*waiter[K, Req, Res], most int) []*waiter[K, Req, Res] {
	for w := l.first; w != nil && most > 0; most-- {
		next := w.next
		w.prev, w.next = nil, nil
		w.state.Store(taken)
		lot = append(lot, w)
		l.waiting--
		w = next
		l.first = w
	}
	if l.first == nil {
		l.last = nil
	} else {
		l.first.prev = nil
	}
	return lot
}

// A line of lanes that have requests and wait for a worker. Whoever was served goes to the end: that is the fairness.
type line[K comparable, Req, Res any] struct {
	first, last *lane[K, Req, Res]
	length      int
}

func (q *line[K, Req, Res]) push(l *lane[K, Req, Res]) {
	if q.last == nil {
		q.first = l
	} else {
		q.last.next = l
	}
	q.last, l.ready = l, true
	q.length++
}

func (q *line[K, Req, Res]) pop() *lane[K, Req, Res] {
	l := q.first
	if l == nil {
		return nil
	}
	if q.first = l.next; q.first == nil {
		q.last = nil
	}
	l.next, l.ready = nil, false
	q.length--
	return l
}

// open returns the lane of a key, made if need be.
func (g *Group[K, Req, Res]) open(key K) *lane[K, Req, Res] {
	l := g.lanes[key]
	if l != nil {
		return l
	}
	if n := len(g.spare); n > 0 {
		l, g.spare[n-1] = g.spare[n-1], nil
		g.spare = g.spare[:n-1]
	} else {
		l = &lane[K, Req, Res]{}
	}
	l.key, g.lanes[key] = key, l
	return l
}

// schedule puts a lane where it belongs after any change: in line for a worker, or away.
func (g *Group[K, Req, Res]) schedule(l *lane[K, Req, Res]) (inLine bool) {
	switch {
	case l.ready || l.target > 0:
	case l.waiting > 0 && (l.running == 0 || l.running < g.cfg.Pipeline && l.waiting >= l.latest):
		g.line.push(l)
		return true
	case l.waiting == 0 && l.running == 0:
		delete(g.lanes, l.key)
		if len(g.spare) < g.cfg.Concurrency {
			var none K
			l.key = none
			g.spare = append(g.spare, l)
		}
	}
	return false
}

// finish notes that a batch of n has ended.
func (g *Group[K, Req, Res]) finish(l *lane[K, Req, Res], n int) {
	l.running--
	n = min(n, g.cfg.Depth)
	if g.cfg.Linger > 0 && n > 1 && l.waiting < n && l.target == 0 && !g.closed {
		l.target = n
		if l.timer == nil {
			l.timer = time.AfterFunc(g.cfg.Linger, func() { g.lingered(l) })
		} else {
			l.timer.Reset(g.cfg.Linger)
		}
		return
	}
	g.schedule(l)
}

// lingered ends a lane's wait for company when its time is over. A timer that fires in the moment it is
// stopped may end the lane's next wait too early, which costs a smaller batch and nothing else.
func (g *Group[K, Req, Res]) lingered(l *lane[K, Req, Res]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l.target > 0 {
		l.target = 0
		if g.schedule(l) {
			g.wake()
		}
	}
}
