package graph_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/souk-shop/souk/subgraphs/catalog"
	"github.com/souk-shop/souk/subgraphs/catalog/feed"
)

// dying is a store of a process that is killed after some writes, or by a SKU: from then on nothing it does has an effect.
type dying struct {
	catalog.Store
	left  atomic.Int32
	fatal string
}

var errKilled = errors.New("killed")

func (d *dying) WriteProducts(ctx context.Context, changes []catalog.Change) ([]error, error) {
	for _, c := range changes {
		if c.After.Variants[0].SKU == d.fatal {
			d.left.Store(0)
		}
	}
	if d.left.Add(-1) < 0 {
		return nil, errKilled
	}
	errs, err := d.Store.WriteProducts(ctx, changes)
	if d.left.Load() == 0 {
		return nil, errKilled // the lot is in, and nobody hears of it
	}
	return errs, err
}

func (d *dying) ProductsBySKU(ctx context.Context, skus []string) ([]catalog.Product, error) {
	if slices.Contains(skus, d.fatal) {
		d.left.Store(0)
		return nil, errKilled
	}
	return d.Store.ProductsBySKU(ctx, skus)
}

func (d *dying) KeepBulk(ctx context.Context, bulkID, holder string, until time.Time) error {
	if d.left.Load() <= 0 {
		return errKilled
	}
	return d.Store.KeepBulk(ctx, bulkID, holder, until)
}

func TestKilledWorker(t *testing.T) {
	for _, policy := range []string{"REJECT_ROWS", "REJECT_ALL"} {
		t.Run(policy, func(t *testing.T) {
			s := setup(t)
			var rows []string
			const total = 1000
			failed := 0
			for i := range total {
				title := "T"
				if policy == "REJECT_ROWS" && i%100 == 50 {
					title, failed = "", failed+1
				}
				externalID := fmt.Sprint("p", i)
				more := []any{"title", title}
				if i%2 == 0 {
					more = append(more, "externalId", nil) // known by its SKU alone
				}
				rows = append(rows, row(externalID, fmt.Sprint("SKU", i), more...))
			}
			bulkID := s.bulk(s.ann, "application/jsonl", strings.Join(rows, "\n"), "onError", policy)
			for range 2 { // killed twice
				killed := &dying{Store: s.store}
				killed.left.Store(2)
				c := catalog.New(killed, s.blobs, sellers{}, feed.Reader{}, s.clock)
				if _, err := c.ImportNext(t.Context()); !errors.Is(err, errKilled) {
					t.Fatal(err)
				}
				if worked, err := s.catalog.ImportNext(t.Context()); worked || err != nil {
					t.Fatalf("somebody else went on at once: %v, %v", worked, err)
				}
				s.clock.Advance(time.Minute)
			}
			s.imported()
			status := "COMPLETED"
			if failed > 0 {
				status = "COMPLETED_WITH_ERRORS"
			}
			summary, _ := s.operation(bulkID)
			if want := fmt.Sprintf("%s total %d processed %[2]d succeeded %d failed %d failure <nil>", status, total, total-failed, failed); summary != want {
				t.Errorf("got  %s\nwant %s", summary, want)
			}
			var skus []string
			for i := range total {
				skus = append(skus, fmt.Sprint("SKU", i))
			}
			found, err := s.store.ProductsBySKU(t.Context(), skus)
			if err != nil || len(found) != total-failed {
				t.Errorf("%d of %d products are in, %v", len(found), total-failed, err)
			}
			for _, p := range found {
				if p.Version != 1 {
					t.Fatalf("%s was changed by being imported twice: version %d", p.Variants[0].SKU, p.Version)
				}
			}
		})
	}
}

// A feed that kills whoever reads it is given up in the end, whether or not it is looked at from its beginning each time.
func TestHopelessFeed(t *testing.T) {
	for _, policy := range []string{"REJECT_ROWS", "REJECT_ALL"} {
		t.Run(policy, func(t *testing.T) {
			s := setup(t)
			var rows []string
			for i := range 300 {
				rows = append(rows, row(fmt.Sprint("p", i), fmt.Sprint("SKU", i)))
			}
			bulkID := s.bulk(s.ann, "application/jsonl", strings.Join(rows, "\n"), "onError", policy)
			for range 12 {
				killed := &dying{Store: s.store, fatal: "SKU250"}
				killed.left.Store(1000)
				if _, err := catalog.New(killed, s.blobs, sellers{}, feed.Reader{}, s.clock).ImportNext(t.Context()); err != nil && !errors.Is(err, errKilled) {
					t.Fatal(err)
				}
				s.clock.Advance(time.Minute)
			}
			summary, _ := s.operation(bulkID)
			if !strings.HasPrefix(summary, "FAILED total 300 processed 200 ") || !strings.HasSuffix(summary, "several times; upload it again") {
				t.Error(summary)
			}
		})
	}
}

// stuck is a file that stops in the middle, until whoever reads it is stopped.
type stuck struct {
	*blobs
	reached chan struct{}
	opened  atomic.Int32
}

type stuckReader struct {
	io.Reader
	ctx     context.Context
	reached chan struct{}
}

func (r stuckReader) Close() error { return nil }

func (r stuckReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err == io.EOF {
		close(r.reached)
		<-r.ctx.Done()
		err = r.ctx.Err()
	}
	return n, err
}

func (b *stuck) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	whole, err := b.blobs.Open(ctx, key)
	if b.opened.Add(1) == 1 || err != nil { // to count
		return whole, err
	}
	return stuckReader{io.LimitReader(whole, 100<<10), ctx, b.reached}, nil
}

// A worker that is told to stop gives its operation back, and another goes on at once.
func TestStoppedWorker(t *testing.T) {
	s := setup(t)
	const total = 1000
	var rows []string
	for i := range total {
		rows = append(rows, row(fmt.Sprint("p", i), fmt.Sprint("SKU", i)))
	}
	bulkID := s.bulk(s.ann, "application/jsonl", strings.Join(rows, "\n"))
	files := &stuck{blobs: s.blobs, reached: make(chan struct{})}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		c := catalog.New(s.store, files, sellers{}, feed.Reader{}, s.clock)
		ended <- c.RunImports(ctx, func(err error) { t.Errorf("stopping is no mishap: %v", err) })
	}()
	<-files.reached
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if summary, _ := s.operation(bulkID); !strings.HasPrefix(summary, "RUNNING total 1000 processed ") || strings.Contains(summary, "processed 0 ") {
		t.Errorf("stopped at %s", summary)
	}
	s.imported()
	s.wantOperation(bulkID, "COMPLETED total 1000 processed 1000 succeeded 1000 failed 0 failure <nil>")
}

// slow is a store of a worker that sleeps so long before a write that another takes its operation over.
type slow struct {
	catalog.Store
	meanwhile func()
}

func (w *slow) WriteProducts(ctx context.Context, changes []catalog.Change) ([]error, error) {
	if w.meanwhile != nil {
		w.meanwhile()
		w.meanwhile = nil
	}
	return w.Store.WriteProducts(ctx, changes)
}

func TestWorkerThatWakesTooLate(t *testing.T) {
	s := setup(t)
	var rows []string
	for i := range 500 {
		rows = append(rows, row(fmt.Sprint("p", i), fmt.Sprint("SKU", i)))
	}
	rows[3] = "broken"
	bulkID := s.bulk(s.ann, "application/jsonl", strings.Join(rows, "\n"))
	late := catalog.New(&slow{s.store, func() {
		s.clock.Advance(time.Minute)
		s.imported()
	}}, s.blobs, sellers{}, feed.Reader{}, s.clock)
	if _, err := late.ImportNext(t.Context()); !errors.Is(err, catalog.ErrLeaseLost) {
		t.Errorf("%v", err)
	}
	s.wantOperation(bulkID, "COMPLETED_WITH_ERRORS total 500 processed 500 succeeded 499 failed 1 failure <nil>", "4 <nil> | INVALID <nil>")
}
