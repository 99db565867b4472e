package typesense

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Config says where a server keeps its data and where it listens.
type Config struct {
	Dir    string // made when it does not exist
	Addr   string // "" is 127.0.0.1:0, a free port
	APIKey string // may do everything
	Log    *slog.Logger
}

// Server is a running search engine.
type Server struct {
	apiKey  string
	log     *slog.Logger
	catalog *catalog
	lock    *os.File
	ln      net.Listener
	http    *http.Server
	served  chan error
	closing sync.Once
	closed  error
}

// Open brings the data back and listens; when it returns, the server answers. Cancelling ctx stops the opening, not
// the server: that is Close's work.
func Open(ctx context.Context, cfg Config) (_ *Server, err error) {
	if cfg.Dir == "" || cfg.APIKey == "" {
		return nil, errors.New("typesense: a folder and an API key are needed")
	}
	s := &Server{apiKey: cfg.APIKey, log: cfg.Log, served: make(chan error, 1)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("typesense: %w", err)
	}
	if s.lock, err = lockDir(cfg.Dir); err != nil {
		return nil, fmt.Errorf("typesense: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("typesense: %w", errors.Join(err, s.lock.Close()))
		}
	}()
	if s.catalog, err = openCatalog(cfg.Dir, s.log); err != nil {
		return nil, err
	}
	addr := cfg.Addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	if s.ln, err = (&net.ListenConfig{}).Listen(ctx, "tcp", addr); err != nil {
		return nil, errors.Join(err, s.catalog.close())
	}
	s.http = &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	go func() { s.served <- s.http.Serve(s.ln) }()
	return s, nil
}

// URL is where the server listens.
func (s *Server) URL() string { return "http://" + s.ln.Addr().String() }

// closeTimeout is how long requests under way may take to finish.
const closeTimeout = 5 * time.Second

// Close lets the requests under way finish, writes what is left and frees the folder. It may be called again.
func (s *Server) Close() error {
	s.closing.Do(func() { s.closed = s.close() })
	return s.closed
}

func (s *Server) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	if served := <-s.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return errors.Join(err, s.catalog.close(), s.lock.Close())
}

// lockDir keeps a second process from writing the same logs.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s is in use by another process", dir), f.Close())
	}
	return f, nil
}
