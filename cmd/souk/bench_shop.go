package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/souk-shop/souk/internal/quietport"
	"github.com/souk-shop/souk/internal/supervise"
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
	process *supervise.Process
	release func() bool
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
	private, err := quietport.Address()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(data), 0o755); err != nil {
		return nil, err
	}
	log := filepath.Join(filepath.Dir(data), "souk.log")
	says, words := io.Pipe()
	began := time.Now()
	p, err := supervise.Start(supervise.Program{
		Path: self, Args: append([]string{"dev", "--addr", "127.0.0.1:0", "--data", data}, args...),
		Env: slices.Concat(withoutSettings(os.Environ()), []string{"SOUK_PRIVATE_ADDR=" + private}, settings), Log: log, Stdout: words,
	})
	if err != nil {
		return nil, err
	}
	s := &childShop{private: private, process: p}
	s.release = context.AfterFunc(ctx, func() { p.Stop(longestStop) })
	go func() {
		<-p.Done()
		words.Close()
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
	case <-p.Done():
		s.stopAndWait()
		return nil, fmt.Errorf("the shop ended before it was ready: %v\n%s", p.Err(), lastLines(log, 20))
	case <-time.After(longestStart):
		s.stopAndWait()
		return nil, fmt.Errorf("the shop was not ready after %s\n%s", longestStart, lastLines(log, 20))
	}
}

// stopAndWait ends the shop as Ctrl-C does, and what does not heed it by force.
func (s *childShop) stopAndWait() {
	s.release()
	s.process.Stop(longestStop)
}

// settle waits until the shop has done what it still had to do, and returns how long that took: less than a twentieth of a core
// is rest. It gives up after a while.
func (s *childShop) settle(ctx context.Context) time.Duration {
	const look = 400 * time.Millisecond
	began, before := time.Now(), cpuOf(s.process.Pid())
	for time.Since(began) < longestUnrest {
		select {
		case <-ctx.Done():
			return time.Since(began)
		case <-time.After(look):
		}
		now := cpuOf(s.process.Pid())
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

func lastLines(file string, n int) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
