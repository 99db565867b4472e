package mongo

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"go.etcd.io/bbolt"
)

// journal makes changes durable. Changes made while the disk is busy are committed together, in the order they were
// recorded, so many writers share one fsync.
type journal struct {
	db   *bbolt.DB
	log  *slog.Logger
	wake chan struct{} // holds one token while changes wait
	stop context.CancelFunc
	done chan struct{}

	mu      sync.Mutex
	waiting *commit
	failed  error // a failed commit leaves memory ahead of the disk; nothing is accepted after it
}

// change is one step of a commit.
type change func(*bbolt.Tx) error

// commit is a group of changes that become durable together.
type commit struct {
	changes []change
	done    chan struct{}
	err     error // valid once done is closed
}

// wait returns when the changes, and all recorded before them, are on disk.
func (c *commit) wait() error {
	if c == nil {
		return nil
	}
	<-c.done
	if c.err != nil {
		return stopped(c.err)
	}
	return nil
}

func stopped(err error) error {
	return errorf(codeInternalError, "the store stopped after a failed write to disk: %v", err)
}

func newJournal(db *bbolt.DB, log *slog.Logger) *journal {
	ctx, stop := context.WithCancel(context.Background())
	j := &journal{db: db, log: log, wake: make(chan struct{}, 1), stop: stop, done: make(chan struct{}), waiting: newCommit()}
	go j.run(ctx)
	return j
}

func newCommit() *commit { return &commit{done: make(chan struct{})} }

// record queues a change. Callers hold the lock that guards what they changed, so the disk sees changes to one
// collection in the order that memory did.
func (j *journal) record(c change) *commit {
	j.mu.Lock()
	group := j.waiting
	group.changes = append(group.changes, c)
	j.mu.Unlock()
	select {
	case j.wake <- struct{}{}:
	default:
	}
	return group
}

// failure is why the journal no longer accepts changes.
func (j *journal) failure() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed != nil {
		return stopped(j.failed)
	}
	return nil
}

func (j *journal) run(ctx context.Context) {
	defer close(j.done)
	for {
		select {
		case <-j.wake:
			j.flush()
		case <-ctx.Done():
			j.flush()
			return
		}
	}
}

func (j *journal) flush() {
	j.mu.Lock()
	group, failed := j.waiting, j.failed
	if len(group.changes) == 0 {
		j.mu.Unlock()
		return
	}
	j.waiting = newCommit()
	j.mu.Unlock()

	if group.err = failed; failed == nil {
		group.err = j.db.Update(func(tx *bbolt.Tx) error {
			for _, change := range group.changes {
				if err := change(tx); err != nil {
					return err
				}
			}
			return nil
		})
		if group.err != nil {
			j.log.Error("embedded mongo: commit failed", "error", group.err)
			j.mu.Lock()
			j.failed = group.err
			j.mu.Unlock()
		}
	}
	close(group.done)
}

// close commits what waits and closes the file.
func (j *journal) close() error {
	j.stop()
	<-j.done
	return errors.Join(j.failed, j.db.Close())
}
