package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const watchSaleCounts = `subscription Watch($id: ID!) { flashSaleChanged(id: $id) { status remaining held sold seq asOf } }`

const (
	lastCount = 20 * time.Second // is how long those who watch have for hearing of the last change
	seating   = time.Minute      // is how long all of them have for hearing how the sale stands
	atTheDoor = 512              // sockets that open at once
)

// An audience watches a sale, each of it over a socket of its own, none of them signed in.
type audience interface {
	size() int
	latest() saleEvent           // as one of them was told
	exact(is saleCounts) (n int) // how many were last told what is
	heard() (of hearing)         // since it was asked before
	used() (cpu time.Duration)   // of a process that is theirs alone; 0 when they have none
	leave()
}

type saleEvent struct {
	Status string    `json:"status"`
	AsOf   time.Time `json:"asOf"`
	saleCounts
}

// A hearing is what an audience heard in a while.
type hearing struct {
	Frames   int           `json:"frames"`
	Counts   int           `json:"counts"` // different ones
	For      time.Duration `json:"for"`
	Lag      latency       `json:"lag"`      // from a change to its arrival
	Backward int           `json:"backward"` // events that went back in time
	Failed   string        `json:"failed,omitempty"`
}

// awaitLast waits until everybody has heard of the last change, for a while.
func awaitLast(ctx context.Context, a audience, is saleCounts) {
	for deadline := time.Now().Add(lastCount); time.Now().Before(deadline) && a.exact(is) < a.size(); {
		if pause(ctx, 20*time.Millisecond) != nil {
			return
		}
	}
}

// A stand is an audience of this process. What it has to do for a frame is little, and done for many sockets by one goroutine where
// the system allows it: clients that share a machine with the shop shall leave it to the shop.
type stand struct {
	seats []*seat
	poll  poll

	mu     sync.Mutex
	seated int // who heard how the sale stands
	all    chan struct{}
	text   []byte // the newest event, as it was written, and as it was read
	event  saleEvent
	since  time.Time
	frames int
	counts int
	lags   []time.Duration
	back   int
	failed error
}

// A seat is one socket.
type seat struct {
	of     *stand
	socket io.ReadWriteCloser
	begins []byte // how a count begins
	part   []byte // of a frame that came in part
	any    bool
	last   saleCounts
}

// watchSale opens the sockets and returns when each has heard how the sale stands.
func watchSale(ctx context.Context, base, sale string, count int) (*stand, error) {
	at, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	a := &stand{seats: make([]*seat, count), all: make(chan struct{}), since: time.Now()}
	if a.poll, err = newPoll(); err != nil {
		return nil, err
	}
	open, cancel := context.WithTimeout(ctx, seating)
	defer cancel()
	g, opening := errgroup.WithContext(open)
	g.SetLimit(atTheDoor)
	for i := range a.seats {
		g.Go(func() error {
			s := &seat{of: a}
			a.seats[i] = s
			return s.open(opening, at.Host, sale)
		})
	}
	err = g.Wait()
	if err == nil {
		select {
		case <-a.all:
		case <-open.Done():
			err = open.Err()
		}
	}
	a.mu.Lock()
	err = errors.Join(err, a.failed)
	a.mu.Unlock()
	if err != nil {
		a.leave()
		return nil, err
	}
	a.heard() // how it stood is not how late news is
	return a, nil
}

// open does the handshake and subscribes, all of it in one go, under an id that nobody else has, as clients do.
func (s *seat) open(ctx context.Context, host, sale string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", host)
	if err != nil {
		return err
	}
	id := newKey()
	s.begins = fmt.Appendf(nil, `{"id":%q,"type":"next","payload":`, id)
	subscribe, err := json.Marshal(values{"type": "subscribe", "id": id, "payload": values{"query": watchSaleCounts, "variables": values{"id": sale}}})
	if err != nil {
		return err
	}
	hello := fmt.Appendf(nil, "GET /graphql HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n", host)
	hello = clientFrame(clientFrame(hello, []byte(`{"type":"connection_init"}`)), subscribe)
	if _, err = conn.Write(hello); err != nil {
		conn.Close()
		return err
	}
	// What is read past the handshake are frames.
	var got []byte
	for end := -1; end < 0; {
		buffer := make([]byte, 1024)
		n, err := conn.Read(buffer)
		if err != nil {
			conn.Close()
			return fmt.Errorf("a watcher at the door: %w: %.300s", err, got)
		}
		got = append(got, buffer[:n]...)
		if end = bytes.Index(got, []byte("\r\n\r\n")); end >= 0 {
			if !bytes.HasPrefix(got, []byte("HTTP/1.1 101 ")) {
				conn.Close()
				return fmt.Errorf("a watcher was turned away: %.300s", got)
			}
			got = got[end+4:]
		}
	}
	return s.of.poll.add(conn, s, got)
}

// clientFrame appends a message of less than 64 KB as a client's frame, whose mask of zeros leaves it as it is.
func clientFrame(to, message []byte) []byte {
	const finalText, masked = 0x81, 0x80
	if n := len(message); n < 126 {
		to = append(to, finalText, masked|byte(n))
	} else {
		to = append(to, finalText, masked|126, byte(n>>8), byte(n))
	}
	return append(append(to, 0, 0, 0, 0), message...)
}

// feed takes what came over the socket. It is called by one goroutine at a time.
func (s *seat) feed(data []byte) error {
	now := time.Now()
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	if len(s.part) > 0 {
		s.part = append(s.part, data...)
		data = s.part
	}
	for {
		kind, payload, rest, whole := serverFrame(data)
		if !whole {
			s.part = append(s.part[:0], data...)
			return nil
		}
		if kind == 0x8 {
			return fmt.Errorf("a watcher was told to go: %q", payload)
		}
		if err := s.hear(payload, now); err != nil {
			return err
		}
		data = rest
	}
}

// serverFrame cuts off the first frame, if it is there.
func serverFrame(data []byte) (kind byte, payload, rest []byte, whole bool) {
	if len(data) < 2 {
		return 0, nil, nil, false
	}
	head, n := 2, int(data[1]&0x7f)
	if n == 126 {
		if head = 4; len(data) < head {
			return 0, nil, nil, false
		}
		n = int(data[2])<<8 | int(data[3])
	}
	if len(data) < head+n {
		return 0, nil, nil, false
	}
	return data[0] & 0xf, data[head : head+n], data[head+n:], true
}

// hear takes a message. An event that reads like the one before it, as it does for all others who are told, is that one.
func (s *seat) hear(message []byte, at time.Time) error {
	event, ok := bytes.CutPrefix(message, s.begins)
	if !ok {
		return s.hearOther(message)
	}
	a := s.of
	if !bytes.Equal(event, a.text) {
		var m struct {
			Data struct{ FlashSaleChanged *saleEvent }
		}
		if err := json.Unmarshal(event[:len(event)-1], &m); err != nil || m.Data.FlashSaleChanged == nil {
			return fmt.Errorf("a watcher heard %.300s", message)
		}
		a.text, a.event = append(a.text[:0], event...), *m.Data.FlashSaleChanged
		a.counts++
	}
	a.frames++
	a.lags = append(a.lags, at.Sub(a.event.AsOf))
	if a.event.Seq < s.last.Seq {
		a.back++
	}
	s.last = a.event.saleCounts
	if !s.any {
		s.any = true
		if a.seated++; a.seated == len(a.seats) {
			close(a.all)
		}
	}
	return nil
}

func (s *seat) hearOther(message []byte) error {
	var m struct{ Type string }
	if err := json.Unmarshal(message, &m); err != nil {
		return fmt.Errorf("a watcher heard %.300s", message)
	}
	switch m.Type {
	case "connection_ack", "pong":
		return nil
	case "ping":
		_, err := s.socket.Write(clientFrame(nil, []byte(`{"type":"pong"}`)))
		return err
	}
	return fmt.Errorf("a watcher heard %.300s", message)
}

// gone notes why a seat hears no more.
func (a *stand) gone(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failed == nil {
		a.failed = err
	}
}

func (a *stand) size() int { return len(a.seats) }

func (a *stand) latest() saleEvent {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.event
}

func (a *stand) exact(is saleCounts) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.seats {
		if s.last == is {
			n++
		}
	}
	return n
}

func (a *stand) heard() hearing {
	a.mu.Lock()
	h := hearing{Frames: a.frames, Counts: a.counts, For: time.Since(a.since), Backward: a.back}
	if a.failed != nil {
		h.Failed = a.failed.Error()
	}
	lags := a.lags
	a.frames, a.counts, a.back, a.lags, a.since = 0, 0, 0, nil, time.Now()
	a.mu.Unlock()
	h.Lag = latencyOf(lags)
	return h
}

func (a *stand) used() time.Duration { return 0 }

func (a *stand) leave() { a.poll.close() }
