//go:build !linux

package main

import (
	"net"
	"sync"
)

// A poll reads sockets, a goroutine each.
type poll struct{ *readers }

type readers struct {
	mu    sync.Mutex
	conns []net.Conn

	wg sync.WaitGroup
}

func newPoll() (poll, error) { return poll{&readers{}}, nil }

// add takes a connection over, of which some was read already.
func (p poll) add(conn net.Conn, s *seat, read []byte) error {
	s.socket = conn
	p.mu.Lock()
	p.conns = append(p.conns, conn)
	p.mu.Unlock()
	if err := s.feed(read); err != nil {
		return err
	}
	p.wg.Go(func() {
		buffer := make([]byte, 4096)
		for {
			n, err := conn.Read(buffer)
			if err == nil {
				err = s.feed(buffer[:n])
			}
			if err != nil {
				s.of.gone(err)
				return
			}
		}
	})
	return nil
}

// close hangs up on all.
func (p poll) close() {
	p.mu.Lock()
	for _, c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}
