package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sync/errgroup"
)

const watchSaleCounts = `subscription Watch($id: ID!) { flashSaleChanged(id: $id) { status remaining held sold seq asOf } }`

// lastCount is how long those who watch have for hearing of the last change.
const lastCount = 20 * time.Second

// An audience is sockets that watch a sale, none of them signed in.
type audience struct {
	ends   context.CancelFunc
	seats  []*seat
	latest atomic.Pointer[saleEvent] // as the first of them was told
	wg     sync.WaitGroup
}

// A seat is one socket.
type seat struct {
	conn *websocket.Conn
	mu   sync.Mutex
	last saleEvent
	lags []time.Duration // from a change to its arrival, but for the first event, which tells how things stood
	back int             // events that went back in time
	err  error           // why it heard no more
}

type saleEvent struct {
	Status string
	AsOf   time.Time
	saleCounts
}

// watchSale opens the sockets and returns when each has heard how the sale stands.
func watchSale(ctx context.Context, base, sale string, count int) (*audience, error) {
	ctx, cancel := context.WithCancel(ctx)
	a := &audience{ends: cancel, seats: make([]*seat, count)}
	g, opening := errgroup.WithContext(ctx)
	g.SetLimit(64)
	for i := range a.seats {
		g.Go(func() error {
			s := &seat{}
			a.seats[i] = s
			return s.open(opening, base, sale)
		})
	}
	if err := g.Wait(); err != nil {
		a.leave()
		return nil, err
	}
	for i, s := range a.seats {
		a.wg.Go(func() {
			for {
				e, err := s.hear(ctx)
				if err != nil {
					s.mu.Lock()
					s.err = err
					s.mu.Unlock()
					return
				}
				if i == 0 {
					a.latest.Store(&e)
				}
			}
		})
	}
	return a, nil
}

func (s *seat) open(ctx context.Context, base, sale string) error {
	var err error
	s.conn, _, err = websocket.Dial(ctx, strings.Replace(base, "http", "ws", 1)+"/graphql", &websocket.DialOptions{
		Subprotocols: []string{"graphql-transport-ws"}, CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		return err
	}
	subscribe, err := json.Marshal(values{"type": "subscribe", "id": "1", "payload": values{"query": watchSaleCounts, "variables": values{"id": sale}}})
	if err != nil {
		return err
	}
	for _, m := range [][]byte{[]byte(`{"type":"connection_init"}`), subscribe} {
		if err := s.conn.Write(ctx, websocket.MessageText, m); err != nil {
			return err
		}
	}
	_, err = s.hear(ctx)
	s.lags = nil
	return err
}

// hear returns the next event.
func (s *seat) hear(ctx context.Context) (saleEvent, error) {
	for {
		_, text, err := s.conn.Read(ctx)
		if err != nil {
			return saleEvent{}, err
		}
		var m struct {
			Type    string
			Payload json.RawMessage
		}
		if err := json.Unmarshal(text, &m); err != nil {
			return saleEvent{}, err
		}
		switch m.Type {
		case "connection_ack", "pong":
			continue
		case "ping":
			if err := s.conn.Write(ctx, websocket.MessageText, []byte(`{"type":"pong"}`)); err != nil {
				return saleEvent{}, err
			}
			continue
		}
		var p struct {
			Data struct{ FlashSaleChanged *saleEvent }
		}
		if m.Type != "next" || json.Unmarshal(m.Payload, &p) != nil || p.Data.FlashSaleChanged == nil {
			return saleEvent{}, fmt.Errorf("a watcher heard %.300s", text)
		}
		e := *p.Data.FlashSaleChanged
		s.mu.Lock()
		s.lags = append(s.lags, time.Since(e.AsOf))
		if e.Seq < s.last.Seq {
			s.back++
		}
		s.last = e
		s.mu.Unlock()
		return e, nil
	}
}

// awaitLast waits until everybody has heard of the last change, for a while.
func (a *audience) awaitLast(ctx context.Context, is saleCounts) {
	for deadline := time.Now().Add(lastCount); time.Now().Before(deadline) && a.exact(is) < len(a.seats); {
		if pause(ctx, 10*time.Millisecond) != nil {
			return
		}
	}
}

// exact counts who was last told what is.
func (a *audience) exact(is saleCounts) (n int) {
	for _, s := range a.seats {
		s.mu.Lock()
		if s.last.saleCounts == is {
			n++
		}
		s.mu.Unlock()
	}
	return n
}

// heard returns the lags of all events, and how many went back in time.
func (a *audience) heard() (lags timings, back int, err error) {
	for _, s := range a.seats {
		s.mu.Lock()
		lags.took = append(lags.took, s.lags...)
		back += s.back
		if s.err != nil && err == nil {
			err = s.err
		}
		s.mu.Unlock()
	}
	slices.Sort(lags.took)
	return lags, back, err
}

func (a *audience) leave() {
	a.ends()
	for _, s := range a.seats {
		if s != nil && s.conn != nil {
			s.conn.CloseNow()
		}
	}
	a.wg.Wait()
}
