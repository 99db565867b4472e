// Package nats runs a NATS server with JetStream inside this process, for development and tests.
package nats

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Config says where the streams are kept and where to listen.
type Config struct {
	Dir  string       // holds the streams; made when absent
	Addr string       // "" for a free port of this machine alone
	Log  *slog.Logger // nil to say nothing
}

// A Server is a running NATS.
type Server struct {
	nats  *server.Server
	token string
}

// Start returns a server that takes connections and whose streams are as they were left.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	host, portText, err := net.SplitHostPort(cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("NATS address: %w", err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, fmt.Errorf("NATS address: %w", err)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	s := &Server{}
	if s.token, err = tokenOf(cfg.Dir); err != nil {
		return nil, fmt.Errorf("NATS token: %w", err)
	}
	s.nats, err = server.NewServer(&server.Options{
		ServerName: "souk-dev",
		Host:       host, Port: port,
		Authorization: s.token,
		JetStream:     true, StoreDir: cfg.Dir,
		// What was acknowledged survives this process; a power cut may take the last second. Production syncs always.
		SyncInterval: time.Second,
		NoSigs:       true, NoLog: cfg.Log == nil,
	})
	if err != nil {
		return nil, fmt.Errorf("NATS: %w", err)
	}
	if cfg.Log != nil {
		s.nats.SetLoggerV2(logger{cfg.Log}, false, false, false)
	}
	s.nats.Start()
	patience := 30 * time.Second
	if until, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(until))
	}
	if !s.nats.ReadyForConnections(patience) {
		s.Stop()
		return nil, errors.New("NATS does not take connections: is its address in use?")
	}
	if !s.nats.JetStreamEnabled() {
		s.Stop()
		return nil, fmt.Errorf("NATS cannot keep streams in %s", cfg.Dir)
	}
	return s, nil
}

// tokenOf returns what clients show, for other users of this machine can reach the port. It stays the same from start to
// start, so that clients in other processes find back.
func tokenOf(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "token")
	text, err := os.ReadFile(path)
	if err == nil && len(text) > 0 {
		return string(text), nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	token := rand.Text()
	return token, os.WriteFile(path, []byte(token), 0o600)
}

// URL returns the address for clients.
func (s *Server) URL() string {
	at := url.URL{Scheme: "nats", User: url.User(s.token), Host: s.nats.Addr().String()}
	return at.String()
}

// InProcess is an option for clients in this process that leaves out the socket.
func (s *Server) InProcess() nats.Option { return nats.InProcessServer(s.nats) }

// Stop ends the server once its streams are on disk.
func (s *Server) Stop() error {
	s.nats.Shutdown()
	s.nats.WaitForShutdown()
	return nil
}

// A logger passes on what is worth knowing of a development server: its warnings and errors.
type logger struct{ log *slog.Logger }

func (l logger) Noticef(string, ...any) {}
func (l logger) Debugf(string, ...any)  {}
func (l logger) Tracef(string, ...any)  {}

func (l logger) Warnf(format string, args ...any) {
	l.log.Warn("nats: " + fmt.Sprintf(format, args...))
}
func (l logger) Errorf(format string, args ...any) {
	l.log.Error("nats: " + fmt.Sprintf(format, args...))
}
func (l logger) Fatalf(format string, args ...any) {
	l.log.Error("nats: " + fmt.Sprintf(format, args...))
}
