package catalog

import (
	"context"
	"errors"
	"hash/maphash"
	"io"
	"iter"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
)

// Feeds reads feeds row by row, so that none is ever whole in memory.
type Feeds interface {
	// Count returns how many rows a feed has.
	Count(f Format, r io.Reader) (int, error)
	// Items reads products in order. A row that cannot be read is an item with faults; an error ends the feed, and is a
	// fault when the feed itself is to blame.
	Items(f Format, r io.Reader) iter.Seq2[FeedItem, error]
}

// A FeedItem is one product of a feed.
type FeedItem struct {
	Rows       []int  // its rows in the feed, from 1; several when each has a variant
	ExternalID string // if it could be read
	Input      ProductInput
	Faults     Faults // what is wrong with how it is written
	Bytes      int    // how long it is in the feed
}

const (
	lotItems    = 200
	lotBytes    = 4 << 20
	mostRows    = 1_000_000
	lease       = 30 * time.Second
	keepEvery   = lease / 3
	lookEvery   = time.Second
	mostTries   = 5               // without getting on; then the feed is given up
	afterMishap = 2 * time.Second // before somebody tries again
	workers     = 2               // feeds at once in one process: a short one need not wait for a long one
)

// RunImports imports feeds until the context ends. Any number of processes may do so: each operation is one worker's at
// a time, and when that one dies another goes on where it was. What goes wrong is reported and tried again.
func (c *Catalog) RunImports(ctx context.Context, report func(error)) error {
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			tick := time.NewTicker(lookEvery)
			defer tick.Stop()
			for ctx.Err() == nil {
				worked, err := c.ImportNext(ctx)
				if err != nil && ctx.Err() == nil {
					report(err)
				}
				if worked && err == nil {
					continue
				}
				select {
				case <-ctx.Done():
				case <-c.store.BulkAdded():
				case <-tick.C:
				}
			}
		})
	}
	all.Wait()
	return nil
}

// ImportNext takes the operation that waits longest and works on it until it is finished; false when none waits.
func (c *Catalog) ImportNext(ctx context.Context) (worked bool, err error) {
	holder := id.New(id.Event)
	b, err := c.store.ClaimBulk(ctx, holder, c.now(), c.now().Add(lease))
	if err != nil || b == nil {
		return false, err
	}
	job := &job{Catalog: c, BulkOperation: *b, holder: holder}
	if b.Claims > mostTries {
		return true, job.fail(ctx, "the feed could not be read to its end, several times; upload it again")
	}
	return true, job.work(ctx)
}

// A job is a worker with the operation it holds.
type job struct {
	*Catalog
	BulkOperation
	holder    string
	rehearsal *rehearsal // nil when importing for real
}

// work goes through the phases that are left. When it cannot go on it gives the operation back.
func (j *job) work(ctx context.Context) (err error) {
	ctx, end := context.WithCancelCause(ctx)
	var keeping sync.WaitGroup
	keeping.Go(func() { j.keep(ctx, end) })
	defer func() {
		stopped := ctx.Err() != nil
		end(nil)
		keeping.Wait()
		switch lost := errors.Is(context.Cause(ctx), ErrLeaseLost); {
		case err == nil || errors.Is(err, ErrLeaseLost):
			return // nothing to give back
		case lost: // noticed while something else was done, which was given up for it
			err = errors.Join(ErrLeaseLost, err)
			return
		}
		back := j.now()
		if !stopped {
			back = back.Add(afterMishap)
		}
		giving, done := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer done()
		if e := j.store.KeepBulk(giving, j.ID, j.holder, back); e != nil {
			err = errors.Join(err, e)
		}
	}()
	if j.Phase == Counting {
		if err := j.count(ctx); err != nil || j.Status.Final() {
			return err
		}
	}
	if j.Phase == Checking {
		j.rehearsal = newRehearsal(j.store)
		j.Cursor, j.Processed, j.Succeeded, j.Failed = 0, 0, 0, 0 // what was rehearsed is forgotten with the process
		if err := j.walk(ctx); err != nil || j.Status.Final() {
			return err
		}
		if j.DryRun || j.Failed > 0 {
			return j.finish(ctx)
		}
		j.rehearsal = nil
		j.Phase, j.Cursor, j.Succeeded = Importing, 0, 0
		if err := j.save(ctx); err != nil {
			return err
		}
	}
	if err := j.walk(ctx); err != nil || j.Status.Final() {
		return err
	}
	return j.finish(ctx)
}

// keep extends the lease for as long as the work goes on.
func (j *job) keep(ctx context.Context, lost context.CancelCauseFunc) {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := j.store.KeepBulk(ctx, j.ID, j.holder, j.now().Add(lease)); errors.Is(err, ErrLeaseLost) {
				lost(ErrLeaseLost)
			}
		}
	}
}

func (j *job) count(ctx context.Context) error {
	r, err := j.blobs.Open(ctx, j.BlobKey)
	if err != nil {
		return err
	}
	defer r.Close()
	n, err := j.feeds.Count(j.Format, r)
	switch refused, ok := fault.ForUser(err); {
	case ok:
		return j.fail(ctx, refused.Message)
	case err != nil:
		return err
	case n == 0:
		return j.fail(ctx, "the feed has no rows")
	case n > mostRows:
		return j.fail(ctx, "the feed has more than a million rows; split it")
	}
	j.Total = &n
	j.Phase = Importing
	if j.DryRun || j.OnError == RejectAll {
		j.Phase = Checking
	}
	return j.save(ctx)
}

// walk goes through the feed from the cursor on, lot by lot, and saves how far it got after each.
func (j *job) walk(ctx context.Context) error {
	if err := j.store.DropRowErrors(ctx, j.ID, j.Cursor); err != nil {
		return err
	}
	r, err := j.blobs.Open(ctx, j.BlobKey)
	if err != nil {
		return err
	}
	defer r.Close()
	var lot lot
	for item, err := range j.feeds.Items(j.Format, r) {
		if refused, ok := fault.ForUser(err); ok {
			return j.fail(ctx, refused.Message)
		}
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if item.Rows[len(item.Rows)-1] <= j.Cursor {
			continue // done before somebody else took over
		}
		if lot.full(item) {
			if err := j.process(ctx, &lot); err != nil || j.Status.Final() {
				return err
			}
		}
		lot.add(item)
	}
	return j.process(ctx, &lot)
}

// A lot is items that are saved at once; no two are about one product.
type lot struct {
	items []FeedItem
	bytes int
	about map[string]bool
}

func (l *lot) full(next FeedItem) bool {
	return len(l.items) >= lotItems || l.bytes >= lotBytes || l.about[next.about()]
}

func (l *lot) add(item FeedItem) {
	if l.about == nil {
		l.about = map[string]bool{}
	}
	l.items, l.bytes = append(l.items, item), l.bytes+item.Bytes
	if about := item.about(); about != "" {
		l.about[about] = true
	}
}

// about says which product the item is about; "" for one that names none. Naming one product in two ways is seen by
// the store.
func (i FeedItem) about() string {
	switch {
	case len(i.Faults) > 0:
		return ""
	case i.Input.ID != "":
		return i.Input.ID
	case i.Input.ExternalID != "":
		return "external " + i.Input.ExternalID
	}
	return ""
}

// process saves a lot, what was refused of it, and how far the job got, in this order: a worker that dies in between
// leaves a lot that is saved again, to the same effect.
func (j *job) process(ctx context.Context, l *lot) error {
	if len(l.items) == 0 {
		return nil
	}
	var good []int
	var inputs []ProductInput
	for i, item := range l.items {
		if len(item.Faults) == 0 {
			good, inputs = append(good, i), append(inputs, item.Input)
		}
	}
	saved, err := j.saveAll(ctx, j.SellerID, inputs, j.rehearsal)
	if errors.Is(err, errTooMany) {
		return j.fail(ctx, "the feed has more SKUs than can be checked at once; split it")
	}
	if err != nil {
		return err
	}
	for n, i := range good {
		if err := l.items[i].Faults.AddErr(saved[n].Err); err != nil {
			return err
		}
	}
	var refused []RowError
	for _, item := range l.items {
		rows := len(item.Rows)
		if !j.importsChecked() {
			j.Processed += rows
		}
		if len(item.Faults) == 0 {
			if j.Phase == Importing || j.DryRun {
				j.Succeeded += rows
			}
			continue
		}
		j.Failed += rows
		refused = append(refused, item.refused()...)
	}
	if err := j.store.SaveRowErrors(ctx, j.ID, refused); err != nil {
		return err
	}
	last := l.items[len(l.items)-1].Rows
	j.Cursor = last[len(last)-1]
	*l = lot{}
	return j.save(ctx)
}

// importsChecked tells whether all rows were looked at once already.
func (j *job) importsChecked() bool { return j.Phase == Importing && j.OnError == RejectAll }

// refused spreads an item's faults over its rows. A row without a fault of its own is refused with the others.
func (i FeedItem) refused() []RowError {
	out := make([]RowError, len(i.Rows))
	for n, row := range i.Rows {
		out[n] = RowError{Row: row, ExternalID: i.ExternalID}
	}
	for _, f := range i.Faults {
		n := 0
		if len(i.Rows) > 1 && len(f.Field) > 1 && f.Field[0] == "variants" {
			if v, err := strconv.Atoi(f.Field[1]); err == nil && v < len(out) {
				n = v
			}
		}
		out[n].Faults = append(out[n].Faults, f)
	}
	for n := range out {
		if len(out[n].Faults) == 0 {
			out[n].Faults = Faults{invalid("another row of this product was refused")}
		}
	}
	return out
}

func (j *job) save(ctx context.Context) error {
	if j.Phase != Checking { // which begins anew with each claim, and so gets on for ever
		j.Claims = 0
	}
	return j.store.SaveBulk(ctx, j.BulkOperation, j.holder, j.now().Add(lease))
}

func (j *job) fail(ctx context.Context, why string) error {
	j.Failure = &why
	return j.finish(ctx)
}

// finish ends the operation.
func (j *job) finish(ctx context.Context) error {
	now := j.now()
	j.FinishedAt = &now
	switch {
	case j.Failure != nil || j.Succeeded == 0:
		j.Status = Failed
	case j.Failed > 0:
		j.Status = CompletedWithErrors
	default:
		j.Status = Completed
	}
	if j.DryRun && j.OnError == RejectAll && j.Failed > 0 {
		j.Status = Failed
	}
	return j.save(ctx)
}

// A rehearsal answers writes without making them, as if those it answered before had been made. SKUs are the only
// thing that products quarrel about; it remembers their hashes, some 40 bytes each.
type rehearsal struct {
	store  ProductStore
	seed   maphash.Seed
	claims map[uint64]uint64 // SKU → whose it would be
}

const (
	nobody     = 1         // has a SKU that was given up in the rehearsal
	mostClaims = 2_000_000 // SKUs remembered, some 80 MB
)

var errTooMany = errors.New("too many SKUs to remember")

func newRehearsal(s ProductStore) *rehearsal {
	return &rehearsal{store: s, seed: maphash.MakeSeed(), claims: map[uint64]uint64{}}
}

// write refuses what the store would refuse.
func (r *rehearsal) write(ctx context.Context, changes []Change) ([]error, error) {
	var skus []string
	for _, c := range changes {
		for _, v := range c.After.Variants {
			skus = append(skus, v.SKU)
		}
	}
	found, err := r.store.ProductsBySKU(ctx, slices.Compact(slices.Sorted(slices.Values(skus))))
	if err != nil {
		return nil, err
	}
	owners := map[string]uint64{}
	for _, p := range found {
		for _, v := range p.Variants {
			owners[v.SKU] = r.whose(p)
		}
	}
	if len(r.claims)+len(skus) > mostClaims {
		return nil, errTooMany
	}
	errs := make([]error, len(changes))
	for i, c := range changes {
		errs[i] = r.claim(c.After, owners)
	}
	return errs, nil
}

func (r *rehearsal) claim(p Product, owners map[string]uint64) error {
	whose := r.whose(p)
	for _, v := range p.Variants {
		owner, taken := r.claims[r.hash(v.SKU)]
		if !taken {
			owner, taken = owners[v.SKU], owners[v.SKU] != 0
		}
		if taken && owner != whose && owner != nobody {
			return &TakenSKU{v.SKU}
		}
	}
	for _, v := range p.Variants {
		r.claims[r.hash(v.SKU)] = whose
	}
	for _, v := range p.Retired {
		if h := r.hash(v.SKU); owners[v.SKU] == whose && r.claims[h] == 0 {
			r.claims[h] = nobody
		}
	}
	return nil
}

// whose is the product as the feed names it: one that is new has another id each time it is rehearsed.
func (r *rehearsal) whose(p Product) uint64 {
	if p.ExternalID != "" {
		return r.hash(p.SellerID + "\x00" + p.ExternalID)
	}
	return r.hash(p.ID)
}

func (r *rehearsal) hash(s string) uint64 { return max(2, maphash.String(r.seed, s)) }
