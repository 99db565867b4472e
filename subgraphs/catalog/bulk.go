package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"time"
	"unicode/utf8"

	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/page"
	"github.com/souk-shop/souk/internal/viewer"
)

// A BulkOperation is a feed on its way into the catalogue.
type BulkOperation struct {
	ID             string
	SellerID       string
	IdempotencyKey string
	InputHash      string
	BlobKey        string
	Format         Format
	OnError        ErrorPolicy
	DryRun         bool

	Status     BulkStatus
	Phase      Phase
	Cursor     int  // the last row of this phase that is dealt with
	Claims     int  // by workers, since it last got on
	Total      *int // rows, nil until they are counted
	Processed  int
	Succeeded  int
	Failed     int
	Failure    *string
	CreatedAt  time.Time
	FinishedAt *time.Time
}

// IsEntity lets other subgraphs refer to bulk operations.
func (BulkOperation) IsEntity() {}

// Key returns the operation's id.
func (b BulkOperation) Key() string { return b.ID }

func (b BulkOperation) shownTo(who viewer.Viewer) bool { return who.Sells(b.SellerID) || who.Staff() }

// BulkStatus says where a bulk operation stands.
type BulkStatus string

// The states of a bulk operation; the last three are final.
const (
	Queued              BulkStatus = "QUEUED"
	Running             BulkStatus = "RUNNING"
	Completed           BulkStatus = "COMPLETED"
	CompletedWithErrors BulkStatus = "COMPLETED_WITH_ERRORS"
	Failed              BulkStatus = "FAILED"
)

// Final tells whether nothing will change any more.
func (s BulkStatus) Final() bool { return s != Queued && s != Running }

// A Phase is a walk through the whole feed.
type Phase string

// The phases of an import, in this order. Only an import that rejects all for one is checked before, and a dry run is
// checked only.
const (
	Counting  Phase = "COUNTING"
	Checking  Phase = "CHECKING"
	Importing Phase = "IMPORTING"
)

// Format is how a feed is written.
type Format string

// The formats of feeds.
const (
	JSONL Format = "JSONL"
	CSV   Format = "CSV"
)

// ErrorPolicy is what to do with a feed that has broken rows.
type ErrorPolicy string

// The policies.
const (
	RejectAll  ErrorPolicy = "REJECT_ALL"
	RejectRows ErrorPolicy = "REJECT_ROWS"
)

// A RowError is a refused row and everything wrong with it.
type RowError struct {
	Row        int
	ExternalID string
	Faults     Faults
}

// A BulkStore keeps bulk operations.
type BulkStore interface {
	// AddBulk adds an operation, or returns the one that its seller added under the same key.
	AddBulk(ctx context.Context, b BulkOperation) (BulkOperation, error)
	// BulkOfKey finds the operation that a seller added under a key; nil when there is none.
	BulkOfKey(ctx context.Context, sellerID, key string) (*BulkOperation, error)
	BulksByID(ctx context.Context, ids []string) ([]BulkOperation, error)
	// ClaimBulk leases the operation that waits longest to the holder, and counts the claim; nil when none waits. One
	// whose lease ran out waits again.
	ClaimBulk(ctx context.Context, holder string, now, until time.Time) (*BulkOperation, error)
	// KeepBulk extends the holder's lease, or shortens it; ErrLeaseLost when it is another's.
	KeepBulk(ctx context.Context, bulkID, holder string, until time.Time) error
	// SaveBulk saves how far the holder got, and its lease; ErrLeaseLost when it is another's.
	SaveBulk(ctx context.Context, b BulkOperation, holder string, until time.Time) error
	// SaveRowErrors saves errors of rows in place of those that the rows had.
	SaveRowErrors(ctx context.Context, bulkID string, rows []RowError) error
	// DropRowErrors forgets the errors of rows behind one.
	DropRowErrors(ctx context.Context, bulkID string, behind int) error
	// RowErrors returns errors of rows behind one, in order.
	RowErrors(ctx context.Context, bulkID string, behind, limit int) ([]RowError, error)
	// FeedsAmong tells which files are feeds of operations that are not finished.
	FeedsAmong(ctx context.Context, blobKeys []string) ([]string, error)
	// BulksEndedBefore finds up to most operations that ended before a time, the oldest first.
	BulksEndedBefore(ctx context.Context, before time.Time, most int) ([]string, error)
	// RemoveRowErrors removes up to most errors of rows, and returns how many there were.
	RemoveRowErrors(ctx context.Context, bulkID string, most int) (int64, error)
	RemoveBulks(ctx context.Context, ids []string) (int64, error)
	// BulkAdded is readable when this process has added an operation since it was last read.
	BulkAdded() <-chan struct{}
}

// ErrLeaseLost says that another worker goes on with an operation.
var ErrLeaseLost = errors.New("another worker has the operation")

// Sellers knows what a seller may do.
type Sellers interface {
	Professional(ctx context.Context, sellerID string) (bool, error)
}

// A BulkInput asks for a bulk import.
type BulkInput struct {
	UploadID       string
	Format         Format
	OnError        ErrorPolicy
	DryRun         bool
	IdempotencyKey string
}

func (in BulkInput) hash() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n%t", in.UploadID, in.Format, in.OnError, in.DryRun))
	return hex.EncodeToString(sum[:])
}

// Import asks for a feed to be imported in the background. The same key asks once, however often it is sent.
func (c *Catalog) Import(ctx context.Context, who viewer.Viewer, in BulkInput) (BulkOperation, error) {
	sellerID, err := seller(who)
	if err != nil {
		return BulkOperation{}, err
	}
	if n := utf8.RuneCountInString(in.IdempotencyKey); n < 1 || n > 128 {
		return BulkOperation{}, invalid("an idempotency key has 1 to 128 characters").At("input", "idempotencyKey")
	}
	professional, err := c.sellers.Professional(ctx, sellerID)
	if err != nil {
		return BulkOperation{}, err
	}
	if !professional {
		return BulkOperation{}, ErrNotProfessional
	}
	// The key is remembered for longer than the feed is kept.
	if had, err := c.store.BulkOfKey(ctx, sellerID, in.IdempotencyKey); err != nil || had != nil {
		return in.same(had, err)
	}
	u, err := c.finished(ctx, sellerID, in.UploadID, feeds, "input", "stagedUploadId")
	if err != nil {
		return BulkOperation{}, err
	}
	b, err := c.store.AddBulk(ctx, BulkOperation{
		ID: id.New(id.BulkOperation), SellerID: sellerID, IdempotencyKey: in.IdempotencyKey, InputHash: in.hash(),
		BlobKey: u.Key, Format: in.Format, OnError: in.OnError, DryRun: in.DryRun,
		Status: Queued, Phase: Counting, CreatedAt: c.now(),
	})
	return in.same(&b, err)
}

// same returns the operation under the input's key, if it is the one that is asked for.
func (in BulkInput) same(b *BulkOperation, err error) (BulkOperation, error) {
	if err != nil {
		return BulkOperation{}, err
	}
	if b.InputHash != in.hash() {
		return BulkOperation{}, ErrKeyReused
	}
	return *b, nil
}

// Bulks returns those operations that the viewer may see.
func (c *Catalog) Bulks(ctx context.Context, who viewer.Viewer, ids []string) ([]BulkOperation, error) {
	found, err := c.store.BulksByID(ctx, ids)
	var shown []BulkOperation
	for _, b := range found {
		if b.shownTo(who) {
			shown = append(shown, b)
		}
	}
	return shown, err
}

// Bulk returns an operation, or nil when the viewer may not see it.
func (c *Catalog) Bulk(ctx context.Context, who viewer.Viewer, bulkID string) (*BulkOperation, error) {
	if err := id.Check(id.BulkOperation, bulkID, "id"); err != nil {
		return nil, err
	}
	found, err := c.Bulks(ctx, who, []string{bulkID})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

const watchEvery = 250 * time.Millisecond

// WatchBulk sends an operation as it is, then whenever it got on, until it is finished or the context ends.
func (c *Catalog) WatchBulk(ctx context.Context, who viewer.Viewer, bulkID string) (<-chan *BulkOperation, error) {
	b, err := c.Bulk(ctx, who, bulkID)
	if err != nil {
		return nil, err
	}
	if b == nil {
		return nil, ErrNotFound.Says("you have no bulk operation with this id").At("id")
	}
	out := make(chan *BulkOperation, 1)
	out <- b
	go func() {
		defer close(out)
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for last := b; !last.Status.Final(); {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			found, err := c.store.BulksByID(ctx, []string{bulkID})
			if err != nil || len(found) == 0 || reflect.DeepEqual(found[0], *last) {
				continue // what cannot be read now is read the next time
			}
			last = &found[0]
			select {
			case <-ctx.Done():
				return
			case out <- last:
			}
		}
	}()
	return out, nil
}

// RowErrors returns a page of an operation's refused rows.
func (c *Catalog) RowErrors(ctx context.Context, bulkID string, first int, after *string) ([]RowError, page.Info, error) {
	behind := 0
	if err := page.Decode(after, &behind); err != nil {
		return nil, page.Info{}, err
	}
	rows, err := c.store.RowErrors(ctx, bulkID, behind, first+1)
	if err != nil {
		return nil, page.Info{}, err
	}
	rows, info := page.Cut(rows, first, after, func(r RowError) string { return page.Encode(r.Row) })
	return rows, info, nil
}
