package main

import (
	"io"
	"net"
	"sync"
)

// A balancer is one address in front of several, which take connections in turn, as a cluster's service is; one that takes none is passed over.
type balancer struct {
	net.Listener
	to    []string
	mu    sync.Mutex
	conns map[net.Conn]struct{}
	turn  int
}

func balance(to []string) (*balancer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &balancer{Listener: l, to: to, conns: map[net.Conn]struct{}{}}
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go b.join(in)
		}
	}()
	return b, nil
}

func (b *balancer) join(in net.Conn) {
	defer b.drop(in)
	b.mu.Lock()
	b.conns[in] = struct{}{}
	first := b.turn
	b.turn++
	b.mu.Unlock()
	var out net.Conn
	for i := range b.to {
		var err error
		if out, err = net.Dial("tcp", b.to[(first+i)%len(b.to)]); err == nil {
			break
		}
	}
	if out == nil {
		return
	}
	defer out.Close()
	go func() {
		io.Copy(out, in)
		out.(*net.TCPConn).CloseWrite()
	}()
	io.Copy(in, out)
}

func (b *balancer) drop(c net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.conns, c)
	c.Close()
}

// Close ends all connections too.
func (b *balancer) Close() error {
	err := b.Listener.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.conns {
		c.Close()
	}
	return err
}
