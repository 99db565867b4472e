package main

import (
	"net"
	"sync"
	"syscall"
)

// A poll reads many sockets in one goroutine: Go's own way wakes one for each, which costs more than to read what came.
type poll struct{ *epoll }

type epoll struct {
	fd    int
	mu    sync.Mutex
	seats map[int32]*seat
	over  chan struct{}
	ended chan struct{}
}

func newPoll() (poll, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return poll{}, err
	}
	p := poll{&epoll{fd: fd, seats: map[int32]*seat{}, over: make(chan struct{}), ended: make(chan struct{})}}
	go p.read()
	return p, nil
}

// A descriptor is a socket that Go's runtime does not know of.
type descriptor int

func (d descriptor) Read(p []byte) (int, error)  { return syscall.Read(int(d), p) }
func (d descriptor) Write(p []byte) (int, error) { return syscall.Write(int(d), p) }
func (d descriptor) Close() error                { return syscall.Close(int(d)) }

// add takes a connection over, of which some was read already.
func (p poll) add(conn net.Conn, s *seat, read []byte) error {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return err
	}
	fd := -1
	if err1 := raw.Control(func(own uintptr) { fd, err = syscall.Dup(int(own)) }); err1 != nil {
		return err1
	}
	if err != nil {
		return err
	}
	syscall.CloseOnExec(fd)
	s.socket = descriptor(fd)
	conn.Close() // fd is the connection now
	if err := s.feed(read); err != nil {
		return err
	}
	p.mu.Lock()
	p.seats[int32(fd)] = s
	p.mu.Unlock()
	return syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)})
}

func (p poll) read() {
	defer close(p.ended)
	events, buffer := make([]syscall.EpollEvent, 512), make([]byte, 64<<10)
	for {
		select {
		case <-p.over:
			return
		default:
		}
		n, err := syscall.EpollWait(p.fd, events, 50) // ms, to look whether it is over
		if err != nil && err != syscall.EINTR {
			return
		}
		for _, e := range events[:max(n, 0)] {
			p.mu.Lock()
			s := p.seats[e.Fd]
			p.mu.Unlock()
			n, err := s.socket.Read(buffer)
			if err == syscall.EINTR || err == syscall.EAGAIN {
				continue
			}
			if err == nil && n == 0 {
				err = net.ErrClosed
			}
			if err == nil {
				err = s.feed(buffer[:n])
			}
			if err != nil {
				s.of.gone(err)
				syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_DEL, int(e.Fd), nil)
			}
		}
	}
}

// close hangs up on all.
func (p poll) close() {
	close(p.over)
	<-p.ended
	for _, s := range p.seats {
		s.socket.Close()
	}
	syscall.Close(p.fd)
}
