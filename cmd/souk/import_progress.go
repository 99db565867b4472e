package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows how far something got: bars on a terminal, a line now and then elsewhere.
type progress struct {
	w        io.Writer
	terminal bool
}

func newProgress(w io.Writer) *progress {
	file, ok := w.(*os.File)
	return &progress{w, ok && term.IsTerminal(int(file.Fd()))}
}

const sayEvery = 5 * time.Second

// A stage is one step of the way. It is safe for concurrent use.
type stage struct {
	*progress
	what  string
	bar   *progressbar.ProgressBar // nil elsewhere than on a terminal
	total int

	mu   sync.Mutex
	at   int
	said time.Time
}

// start begins a stage of so many steps; 0 when nobody knows how many.
func (p *progress) start(what string, total int) *stage {
	s := &stage{progress: p, what: what, total: total, said: time.Now()}
	if p.terminal {
		most := total
		if most == 0 {
			most = -1 // a spinner
		}
		s.bar = progressbar.NewOptions(most, progressbar.OptionSetWriter(p.w), progressbar.OptionSetDescription(what+" "),
			progressbar.OptionShowCount(), progressbar.OptionThrottle(65*time.Millisecond), progressbar.OptionSetWidth(30))
	}
	return s
}

// set says how far the stage got; it never goes back.
func (s *stage) set(at int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at <= s.at {
		return
	}
	s.at = at
	switch {
	case s.bar != nil:
		s.bar.Set(at)
	case time.Since(s.said) > sayEvery:
		s.say()
	}
}

// done ends the stage.
func (s *stage) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = max(s.at, s.total)
	if s.bar != nil {
		s.bar.Set(s.at)
		s.bar.Finish()
		fmt.Fprintln(s.w)
		return
	}
	s.say()
}

func (s *stage) say() {
	s.said = time.Now()
	if s.total == 0 {
		fmt.Fprintf(s.w, "%s: %d\n", s.what, s.at)
		return
	}
	fmt.Fprintf(s.w, "%s: %d of %d\n", s.what, s.at, s.total)
}
