package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"sync"
	"time"
)

// An operation is what an account asked for once, and what it heard.
type operation struct {
	Account  string    `json:"account"`
	Kind     string    `json:"kind"` // book or pay
	Key      string    `json:"key,omitempty"`
	Asked    time.Time `json:"asked"`
	Answered time.Time `json:"answered"`
	Outcome  string    `json:"outcome"` // NO_ANSWER and HTTP_5XX: it may or may not have been carried out
	Booking  string    `json:"booking,omitempty"`
}

// A witness is told of every operation, by many at once.
type witness interface{ saw(operation) }

// A history passes on what was seen to all who want to know: a file, or whoever judges the run. Without any it costs nothing.
type history struct {
	to   []witness
	file *historyFile
}

// openHistory returns a history that is kept in a file, unless the name is empty.
func openHistory(file string) (*history, error) {
	h := &history{}
	if file == "" {
		return h, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	h.file = &historyFile{f: f, w: w, e: json.NewEncoder(w)}
	h.to = append(h.to, h.file)
	return h, nil
}

func (h *history) saw(o operation) {
	for _, w := range h.to {
		w.saw(o)
	}
}

// close may be called again.
func (h *history) close() error {
	if h.file == nil {
		return nil
	}
	f := h.file
	h.file, h.to = nil, nil
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(f.err, f.w.Flush(), f.f.Close())
}

type historyFile struct {
	mu  sync.Mutex
	f   *os.File
	w   *bufio.Writer
	e   *json.Encoder
	err error // the first
}

func (f *historyFile) saw(o operation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.e.Encode(o); f.err == nil {
		f.err = err
	}
}
