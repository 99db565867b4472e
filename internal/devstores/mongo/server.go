package mongo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Config says where the engine keeps its file and where it listens.
type Config struct {
	Dir  string       // holds the data, made if it is not there
	Addr string       // host:port; empty picks a free port on the loopback address
	Log  *slog.Logger // nil logs to slog's default
}

// Server is a running engine.
type Server struct {
	log      *slog.Logger
	listener net.Listener
	store    *store
	cursors  cursors
	lastID   atomic.Int32

	running sync.WaitGroup // the accept loop and the connections

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

// Open loads the data in the folder and serves it until Close. The context bounds the opening alone.
func Open(ctx context.Context, config Config) (*Server, error) {
	if config.Log == nil {
		config.Log = slog.Default()
	}
	if config.Addr == "" {
		config.Addr = "127.0.0.1:0"
	}
	st, err := openStore(ctx, config.Dir, config.Log)
	if err != nil {
		return nil, fmt.Errorf("embedded mongo: %w", err)
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", config.Addr)
	if err != nil {
		return nil, fmt.Errorf("embedded mongo: %w", errors.Join(err, st.close()))
	}
	s := &Server{
		log:      config.Log,
		listener: listener,
		store:    st,
		cursors:  cursors{byID: map[int64]*cursor{}},
		conns:    map[net.Conn]struct{}{},
	}
	s.running.Go(s.accept)
	return s, nil
}

// URL is what the official driver connects to.
func (s *Server) URL() string {
	return "mongodb://" + s.listener.Addr().String() + "/?directConnection=true"
}

// Close ends all connections, waits for the commands they run, and closes the file. It may be called twice.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		s.running.Wait()
		return nil
	}
	s.closed = true
	for conn := range s.conns {
		conn.Close()
	}
	s.mu.Unlock()
	err := s.listener.Close()
	s.running.Wait()
	return errors.Join(err, s.store.close())
}

func (s *Server) accept() {
	for {
		conn, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of files, most likely: clients that leave make room
			s.log.Error("embedded mongo: accept", "error", err)
			time.Sleep(50 * time.Millisecond)
			continue
		}
		if s.track(conn) {
			s.running.Go(func() {
				defer s.forget(conn)
				(&connection{server: s, net: conn}).serve()
			})
		}
	}
}

// track remembers a connection for Close, and refuses it once that has begun.
func (s *Server) track(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		conn.Close()
		return false
	}
	s.conns[conn] = struct{}{}
	return true
}

func (s *Server) forget(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}

func (s *Server) nextID() int32 { return s.lastID.Add(1) }
