package main

import (
	"net"
	"sync"
)

// A breaker is the address of a part that a test can take down: it hangs up on everybody, as a dead process does.
type breaker struct {
	net.Listener
	mu    sync.Mutex
	down  bool
	conns map[net.Conn]bool
}

func (b *breaker) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		b.mu.Lock()
		if !b.down {
			b.conns[c] = true
			b.mu.Unlock()
			return c, nil
		}
		b.mu.Unlock()
		c.Close()
	}
}

// take takes the part down, or brings it back.
func (b *breaker) take(down bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = down
	if down {
		for c := range b.conns {
			c.Close()
		}
		b.conns = map[net.Conn]bool{}
	}
}
