package supervise

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	look  = 20 * time.Millisecond  // between two looks at whether a process serves
	pause = 100 * time.Millisecond // before a process is started again
)

// A Keeper keeps one program running: whenever it ends, it is started again.
type Keeper struct {
	Name    string
	program Program
	serves  func(context.Context) bool
	cancel  context.CancelFunc
	gone    chan struct{}

	mu      sync.Mutex
	changed chan struct{} // closed when what follows has changed
	current *Process
	serving bool
	doomed  *Process // what was killed on purpose
	ends    []End
	failed  error // why nothing can be started
}

// An End is a process that ended without being asked to.
type End struct {
	At     time.Time
	Served bool // it had been good for something
	Err    error
}

// Keep starts a program and keeps it running until Close. Serves tells whether it is good for something yet.
func Keep(name string, p Program, serves func(context.Context) bool) *Keeper {
	ctx, cancel := context.WithCancel(context.Background())
	k := &Keeper{Name: name, program: p, serves: serves, cancel: cancel, gone: make(chan struct{}), changed: make(chan struct{})}
	go k.run(ctx)
	return k
}

func (k *Keeper) run(ctx context.Context) {
	defer close(k.gone)
	for ctx.Err() == nil {
		p, err := Start(k.program)
		k.note(func() { k.current, k.serving, k.failed = p, false, err })
		if err != nil {
			return
		}
		go k.watch(ctx, p)
		select {
		case <-p.Done():
		case <-ctx.Done():
			p.Stop(20 * time.Second)
			return
		}
		k.note(func() {
			if k.doomed != p {
				k.ends = append(k.ends, End{time.Now(), k.serving, p.Err()})
			}
			k.serving = false
		})
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// watch notes when the process begins to serve.
func (k *Keeper) watch(ctx context.Context, p *Process) {
	for !k.serves(ctx) {
		select {
		case <-p.Done():
			return
		case <-ctx.Done():
			return
		case <-time.After(look):
		}
	}
	k.note(func() { k.serving = k.current == p })
}

func (k *Keeper) note(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
	close(k.changed)
	k.changed = make(chan struct{})
}

// Kill kills the process that runs now, and returns when another serves.
func (k *Keeper) Kill(ctx context.Context) error {
	k.mu.Lock()
	p := k.current
	k.doomed, k.serving = p, false
	k.mu.Unlock()
	if p == nil {
		return fmt.Errorf("%s does not run", k.Name)
	}
	p.Kill()
	return k.await(ctx, func() bool { return k.serving && k.current != p })
}

// Ready returns when the program serves.
func (k *Keeper) Ready(ctx context.Context) error {
	return k.await(ctx, func() bool { return k.serving })
}

func (k *Keeper) await(ctx context.Context, holds func() bool) error {
	for {
		k.mu.Lock()
		done, failed, changed := holds(), k.failed, k.changed
		k.mu.Unlock()
		switch {
		case done:
			return nil
		case failed != nil:
			return fmt.Errorf("%s: %w", k.Name, failed)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%s does not serve: %w", k.Name, context.Cause(ctx))
		}
	}
}

// Ends lists the processes that ended without being asked to.
func (k *Keeper) Ends() []End {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]End(nil), k.ends...)
}

// Close ends the program for good.
func (k *Keeper) Close() {
	k.cancel()
	<-k.gone
}
