package supervise_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/souk-shop/souk/internal/supervise"
)

// sleeper is a program that leaves a sign of life and then waits for its end.
func sleeper(t *testing.T) (p supervise.Program, sign string) {
	t.Helper()
	sign = filepath.Join(t.TempDir(), "sign")
	return supervise.Program{Path: "/bin/sh", Args: []string{"-c", `echo $$ >"$0"; exec sleep 600`, sign}}, sign
}

func there(file string) func(context.Context) bool {
	return func(context.Context) bool { _, err := os.Stat(file); return err == nil }
}

func TestWhatIsKilledIsStartedAgain(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	program, sign := sleeper(t)
	k := supervise.Keep("sleeper", program, there(sign))
	defer k.Close()
	if err := k.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	os.Remove(sign)
	if err := k.Kill(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(sign); err != nil {
		t.Errorf("killed, and not started again: %v", err)
	}
	if ends := k.Ends(); len(ends) != 0 {
		t.Errorf("what was killed on purpose counts as an end of its own: %v", ends)
	}
}

func TestWhatEndsByItselfIsReported(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	program, _ := sleeper(t)
	program.Args[1] = `test -e "$0" && exec sleep 600; echo $$ >"$0"; exit 3`
	k := supervise.Keep("sleeper", program, func(ctx context.Context) bool { return false })
	defer k.Close()
	for len(k.Ends()) == 0 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	if ends := k.Ends(); len(ends) != 1 || ends[0].Served || ends[0].Err == nil {
		t.Errorf("%+v", ends)
	}
}

func TestAProgramThatIsNotThere(t *testing.T) {
	k := supervise.Keep("nothing", supervise.Program{Path: "/does/not/exist"}, nil)
	defer k.Close()
	if err := k.Ready(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestAProcessThatDoesNotStopIsKilled(t *testing.T) {
	ready := filepath.Join(t.TempDir(), "ready")
	p, err := supervise.Start(supervise.Program{Path: "/bin/sh", Args: []string{"-c", `trap '' INT; touch "$0"; while :; do sleep 1; done`, ready}})
	if err != nil {
		t.Fatal(err)
	}
	for !there(ready)(t.Context()) {
		time.Sleep(time.Millisecond)
	}
	p.Stop(time.Millisecond)
	if err := syscall.Kill(p.Pid(), 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("it lives: %v", err)
	}
}
