package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

const (
	longestStart  = 3 * time.Minute
	longestStop   = 30 * time.Second
	longestUnrest = 30 * time.Second
)

// A childShop is souk dev as a process of its own.
type childShop struct {
	base    string        // where its gateway is
	private string        // host:port of what only operators see
	ready   time.Duration // from the start of the process to its ready line
	cmd     *exec.Cmd
	stop    context.CancelFunc
	ended   chan error
}

// startChild runs souk dev on a data folder until it is ready. It ends with stopAndWait, or when ctx does.
func startChild(ctx context.Context, data string, args ...string) (*childShop, error) {
	return startChildWith(ctx, data, nil, args...)
}

// startChildWith is startChild with settings of its own, NAME=value.
func startChildWith(ctx context.Context, data string, settings []string, args ...string) (*childShop, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	private, err := freeAddress()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(data), 0o755); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(filepath.Dir(data), "souk.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own
	ctx, stop := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, self, append([]string{"dev", "--addr", "127.0.0.1:0", "--data", data}, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = longestStop
	cmd.Env = append(withoutSettings(os.Environ()), "SOUK_PRIVATE_ADDR="+private)
	cmd.Env = append(cmd.Env, settings...)
	cmd.Stderr = log
	says, words := io.Pipe()
	cmd.Stdout = words
	s := &childShop{private: private, cmd: cmd, stop: stop, ended: make(chan error, 1)}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		stop()
		return nil, err
	}
	go func() {
		err := cmd.Wait()
		words.Close()
		s.ended <- err
	}()
	ready := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(says)
		for lines.Scan() {
			if base, ok := readyAt(lines.Text()); ok {
				ready <- base
				break
			}
		}
		io.Copy(io.Discard, says)
	}()
	select {
	case s.base = <-ready:
		s.ready = time.Since(began)
		return s, nil
	case err := <-s.ended:
		stop()
		return nil, fmt.Errorf("the shop ended before it was ready: %v\n%s", err, lastLines(log.Name(), 20))
	case <-time.After(longestStart):
		s.stopAndWait()
		return nil, fmt.Errorf("the shop was not ready after %s\n%s", longestStart, lastLines(log.Name(), 20))
	}
}

// stopAndWait ends the shop as Ctrl-C does, and what does not heed it by force.
func (s *childShop) stopAndWait() {
	s.stop()
	<-s.ended
	s.ended <- nil // for who asks again
}

// settle waits until the shop has done what it still had to do, and returns how long that took: less than a twentieth of a core
// is rest. It gives up after a while.
func (s *childShop) settle(ctx context.Context) time.Duration {
	const look = 400 * time.Millisecond
	began, before := time.Now(), cpuOf(s.cmd.Process.Pid)
	for time.Since(began) < longestUnrest {
		select {
		case <-ctx.Done():
			return time.Since(began)
		case <-time.After(look):
		}
		now := cpuOf(s.cmd.Process.Pid)
		if now.own-before.own+now.children-before.children <= look/20 {
			return max(0, time.Since(began)-look)
		}
		before = now
	}
	return time.Since(began)
}

var readyLine = regexp.MustCompile(`^souk is ready: .*\b(http://[^/\s]+)/graphql`)

func readyAt(line string) (base string, ok bool) {
	found := readyLine.FindStringSubmatch(line)
	if found == nil {
		return "", false
	}
	return found[1], true
}

// withoutSettings leaves out what would make the shop another than souk dev is by default.
func withoutSettings(environment []string) []string {
	var kept []string
	for _, v := range environment {
		if !strings.HasPrefix(v, "SOUK_") && !strings.HasPrefix(v, "OTEL_") {
			kept = append(kept, v)
		}
	}
	return kept
}

// importFeed brings a feed into the shop as the demo's seller would.
func importFeed(ctx context.Context, base, feed, mapping string, progress io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, "import", "products", feed, "--mapping", mapping,
		"--url", base+"/graphql", "--email", "seller@souk.test", "--password", benchPassword)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = longestStop
	cmd.Env = withoutSettings(os.Environ())
	cmd.Stdout, cmd.Stderr = progress, progress
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("import of %s: %w", feed, err)
	}
	return nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func lastLines(file string, n int) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
