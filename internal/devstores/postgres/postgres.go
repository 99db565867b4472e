// Package postgres runs a private PostgreSQL server for development and tests, from binaries found on the machine.
//
// The server is a real one, reached over a unix socket. It lives no longer than the process that started it, however
// that ends, and what it acknowledged is there at the next start.
package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const usualPort = 5432

// Config says where the server keeps its data and what it may forget.
type Config struct {
	Dir       string   // holds the cluster, its socket and its log; made when absent
	Search    []string // folders to look for the binaries in, before PATH
	Databases []string // made when absent
	Volatile  bool     // trade durability for speed: for tests alone
	Port      int      // listen on 127.0.0.1 too, to whoever is on this machine; 0 for the socket alone
}

// A Server is a running PostgreSQL.
type Server struct {
	socket  string // directory of the socket
	port    string // names the socket's file, also when nothing listens on the network
	ownSock bool   // the directory is ours to remove
	cmd     *exec.Cmd
	lock    *os.File
	stop    sync.Once
	done    chan struct{} // closed when the server has gone
	exit    error         // why, once done
}

// Start returns a server that answers queries. The context bounds the start, not the server's life.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, err
	}
	bin, err := findBinaries(ctx, cfg.Search, madeBy(dir))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("data folder of PostgreSQL: %w", err)
	}
	lock, err := acquire(ctx, dir)
	if err != nil {
		return nil, err
	}
	s := &Server{lock: lock, done: make(chan struct{}), port: strconv.Itoa(cmp.Or(cfg.Port, usualPort))}
	if err := s.start(ctx, bin, dir, cfg); err != nil {
		s.release()
		return nil, err
	}
	if err := s.ready(ctx, dir, cfg.Databases); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, bin, dir string, cfg Config) error {
	cluster := filepath.Join(dir, clusterName)
	who, err := unprivileged(cluster, bin)
	if err != nil {
		return err
	}
	if err := s.placeSocket(dir, who); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(cluster, "PG_VERSION")); errors.Is(err, os.ErrNotExist) {
		if err := initialise(ctx, bin, cluster, who, cfg.Volatile); err != nil {
			return err
		}
	}
	// The lock is ours and every process of an earlier server is gone: a pid in this file belongs to somebody else by now.
	if err := os.Remove(filepath.Join(cluster, "postmaster.pid")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	log, err := openLog(dir)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(bin, "postgres"), s.arguments(cluster, cfg)...)
	cmd.SysProcAttr = who.attributes()
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{s.lock} // keeps the folder locked for as long as any of the server's processes lives
	started := make(chan error, 1)
	go func() {
		// The kernel tells the child that its parent died when the parent's *thread* does, so this one is kept.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		s.exit = cmd.Wait()
		close(s.done)
	}()
	if err := <-started; err != nil {
		return who.explain(fmt.Errorf("start PostgreSQL: %w", err))
	}
	s.cmd = cmd
	return nil
}

func (s *Server) arguments(cluster string, cfg Config) []string {
	args := []string{"-D", cluster}
	set := func(name, value string) { args = append(args, "-c", name+"="+value) }
	set("unix_socket_directories", s.socket)
	set("unix_socket_permissions", "0700")
	set("listen_addresses", "")
	if cfg.Port != 0 {
		set("listen_addresses", "127.0.0.1")
	}
	set("port", s.port)
	set("max_connections", "200")
	set("shared_buffers", "64MB")
	set("max_wal_size", "256MB")
	set("jit", "off")                // costs 50 MB a connection, and more time than it saves on small tables
	set("autovacuum_naptime", "10s") // tables that were empty a moment ago are to be known as what they are
	set("log_min_messages", "warning")
	set("log_checkpoints", "off")
	set("log_timezone", "UTC")
	set("timezone", "UTC")
	if cfg.Volatile {
		set("fsync", "off")
		set("synchronous_commit", "off")
		set("full_page_writes", "off")
		set("autovacuum_naptime", "1h")
	}
	return args
}

// ready waits until the server takes queries, then makes the databases.
func (s *Server) ready(ctx context.Context, dir string, databases []string) error {
	for {
		conn, err := pgx.Connect(ctx, s.URL("postgres"))
		if err == nil {
			defer conn.Close(context.WithoutCancel(ctx))
			return create(ctx, conn, databases)
		}
		select {
		case <-s.done:
			return fmt.Errorf("PostgreSQL stopped while starting (%w): %s", s.exit, lastLines(filepath.Join(dir, logName)))
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL did not answer: %w", errors.Join(ctx.Err(), err))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func create(ctx context.Context, conn *pgx.Conn, databases []string) error {
	for _, name := range databases {
		_, err := conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
		var refused *pgconn.PgError
		if errors.As(err, &refused) && refused.Code == "42P04" { // duplicate_database
			continue
		}
		if err != nil {
			return fmt.Errorf("create database %s: %w", name, err)
		}
	}
	return nil
}

// URL returns the address of a database, in the form that names a production server too.
func (s *Server) URL(db string) string {
	at := url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/" + db}
	at.RawQuery = url.Values{"host": {s.socket}, "port": {s.port}, "sslmode": {"disable"}}.Encode()
	return at.String()
}

// Pid is the process that started all others of the server.
func (s *Server) Pid() int { return s.cmd.Process.Pid }

// Kill ends the server without telling it: nothing is flushed, nobody is waited for. What it acknowledged is there at the next start.
func (s *Server) Kill() {
	s.stop.Do(func() {
		s.cmd.Process.Kill()
		<-s.done
		s.release()
	})
	<-s.done
}

// Done is closed when the server has gone, asked or not.
func (s *Server) Done() <-chan struct{} { return s.done }

// Stop ends the server: connections are cut, transactions in flight roll back, the rest is on disk.
func (s *Server) Stop() error {
	s.stop.Do(func() {
		for _, step := range []struct {
			signal syscall.Signal
			wait   time.Duration
		}{{syscall.SIGINT, 10 * time.Second}, {syscall.SIGQUIT, 5 * time.Second}} {
			s.cmd.Process.Signal(step.signal) // fails only when it has gone, which the next line sees
			select {
			case <-s.done:
				s.release()
				return
			case <-time.After(step.wait):
			}
		}
		s.cmd.Process.Kill()
		<-s.done
		s.release()
	})
	<-s.done
	if s.exit != nil {
		return fmt.Errorf("PostgreSQL: %w", s.exit)
	}
	return nil
}

func (s *Server) release() {
	if s.ownSock {
		os.RemoveAll(s.socket)
	}
	s.lock.Truncate(0) // from here on whoever comes next waits for the last of the server's processes instead of giving up
	s.lock.Close()
}

// placeSocket finds a folder whose path fits in a socket's address, 107 bytes at most.
func (s *Server) placeSocket(dir string, who account) error {
	s.socket = filepath.Join(dir, "socket")
	if len(s.socket)+len("/.s.PGSQL."+s.port+".lock") <= 107 {
		// Nothing but a dead server's leftovers can be in there, and PostgreSQL would ask whose pid they name.
		if err := os.RemoveAll(s.socket); err != nil {
			return err
		}
		if err := os.Mkdir(s.socket, 0o700); err != nil {
			return err
		}
		return who.own(s.socket)
	}
	var err error
	if s.socket, err = os.MkdirTemp("", "souk-pg-"); err != nil {
		return err
	}
	s.ownSock = true
	return who.own(s.socket)
}

const logName = "postgres.log"

// openLog begins a new log and keeps the one before it.
func openLog(dir string) (*os.File, error) {
	path := filepath.Join(dir, logName)
	if err := os.Rename(path, path+".1"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
}

func lastLines(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	text, _ := io.ReadAll(io.LimitReader(f, 1<<20))
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], " / ")
}
