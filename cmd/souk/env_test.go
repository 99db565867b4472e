package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
)

// A part that starts in the middle of an outage waits for its end, and does not wait for what will never work.
func TestAPartWaitsForAnEngineThatIsAway(t *testing.T) {
	t.Parallel()
	e := &env{log: slog.New(slog.DiscardHandler)}
	tries := 0
	err := e.await(t.Context(), func() error {
		if tries++; tries < 3 {
			return io.ErrUnexpectedEOF
		}
		return nil
	})
	if err != nil || tries != 3 {
		t.Errorf("%v after %d tries", err, tries)
	}
	wrong, tries := errors.New("wrong password"), 0
	if err := e.await(t.Context(), func() error { tries++; return wrong }); err != wrong || tries != 1 {
		t.Errorf("%v after %d tries", err, tries)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.await(ended, func() error { return io.EOF }); err != io.EOF {
		t.Errorf("when told to stop: %v", err)
	}
}
