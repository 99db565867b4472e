// Package redistest runs a real Redis for a test, on a socket of its own and in memory alone.
package redistest

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Patience is for a Redis that is there, on a machine that may be busy with other tests.
const Patience = 20 * time.Second

// A Server is a Redis that can be started, killed and started again at one URL.
type Server struct {
	URL     string
	folder  string
	process *exec.Cmd
}

// New returns a server that is yet to be started; it skips the test where Redis is not installed.
func New(t testing.TB) *Server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not installed: apt-get install redis-server")
	}
	folder, err := os.MkdirTemp("", "redis") // t.TempDir may be too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{folder: folder, URL: "unix://" + filepath.Join(folder, "socket")}
	t.Cleanup(func() { s.Kill(); os.RemoveAll(folder) })
	return s
}

// Start runs the server and waits for its word that it is ready.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	s.process = exec.Command("redis-server", "--port", "0", "--unixsocket", filepath.Join(s.folder, "socket"),
		"--save", "", "--appendonly", "no", "--dir", s.folder, "--daemonize", "no")
	out, err := s.process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewReader(out)
	for {
		line, err := said.ReadString('\n')
		if strings.Contains(strings.ToLower(line), "ready to accept connections") {
			go io.Copy(io.Discard, said) // ends with the process
			return
		}
		if err != nil {
			t.Fatalf("redis-server does not start: %v", err)
		}
	}
}

// Kill ends the server without a goodbye; what it had in memory is gone.
func (s *Server) Kill() {
	if s.process != nil {
		s.process.Process.Kill()
		s.process.Wait()
		s.process = nil
	}
}
