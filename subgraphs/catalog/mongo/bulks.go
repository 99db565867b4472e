package mongo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/subgraphs/catalog"
)

type uploadDoc struct {
	ID        string    `bson:"_id"`
	SellerID  string    `bson:"sellerId"`
	Filename  string    `bson:"filename"`
	MimeType  string    `bson:"mimeType"`
	Bytes     int64     `bson:"bytes"`
	Key       string    `bson:"key"`
	CreatedAt time.Time `bson:"createdAt"`
}

// AddUpload adds an upload.
func (s *Store) AddUpload(ctx context.Context, u catalog.Upload) error {
	_, err := s.uploads.InsertOne(ctx, uploadDoc(u))
	return err
}

// UploadsByID finds uploads by id.
func (s *Store) UploadsByID(ctx context.Context, ids []string) ([]catalog.Upload, error) {
	return find(ctx, s.uploads, in("_id", ids), func(d uploadDoc) catalog.Upload {
		d.CreatedAt = d.CreatedAt.UTC()
		return catalog.Upload(d)
	})
}

// bulkDoc is an operation with its lease.
type bulkDoc struct {
	ID             string              `bson:"_id"`
	SellerID       string              `bson:"sellerId"`
	IdempotencyKey string              `bson:"idempotencyKey"`
	InputHash      string              `bson:"inputHash"`
	BlobKey        string              `bson:"blobKey"`
	Format         catalog.Format      `bson:"format"`
	OnError        catalog.ErrorPolicy `bson:"onError"`
	DryRun         bool                `bson:"dryRun"`
	Progress       progressDoc         `bson:",inline"`
	CreatedAt      time.Time           `bson:"createdAt"`
	Holder         string              `bson:"holder"`
	LeaseUntil     time.Time           `bson:"leaseUntil"`
}

type progressDoc struct {
	Status     catalog.BulkStatus `bson:"status"`
	Phase      catalog.Phase      `bson:"phase"`
	Cursor     int                `bson:"cursor"`
	Claims     int                `bson:"claims"`
	Total      *int               `bson:"total"`
	Processed  int                `bson:"processed"`
	Succeeded  int                `bson:"succeeded"`
	Failed     int                `bson:"failed"`
	Failure    *string            `bson:"failure"`
	FinishedAt *time.Time         `bson:"finishedAt"`
}

func progress(b catalog.BulkOperation) progressDoc {
	return progressDoc{b.Status, b.Phase, b.Cursor, b.Claims, b.Total, b.Processed, b.Succeeded, b.Failed, b.Failure, b.FinishedAt}
}

func bulk(d bulkDoc) catalog.BulkOperation {
	p := d.Progress
	b := catalog.BulkOperation{
		ID: d.ID, SellerID: d.SellerID, IdempotencyKey: d.IdempotencyKey, InputHash: d.InputHash,
		BlobKey: d.BlobKey, Format: d.Format, OnError: d.OnError, DryRun: d.DryRun,
		Status: p.Status, Phase: p.Phase, Cursor: p.Cursor, Claims: p.Claims, Total: p.Total, Processed: p.Processed,
		Succeeded: p.Succeeded, Failed: p.Failed, Failure: p.Failure, CreatedAt: d.CreatedAt.UTC(),
	}
	if p.FinishedAt != nil {
		at := p.FinishedAt.UTC()
		b.FinishedAt = &at
	}
	return b
}

// AddBulk adds an operation, or returns the one that is there under the same key.
func (s *Store) AddBulk(ctx context.Context, b catalog.BulkOperation) (catalog.BulkOperation, error) {
	_, err := s.bulks.InsertOne(ctx, bulkDoc{
		ID: b.ID, SellerID: b.SellerID, IdempotencyKey: b.IdempotencyKey, InputHash: b.InputHash,
		BlobKey: b.BlobKey, Format: b.Format, OnError: b.OnError, DryRun: b.DryRun, Progress: progress(b), CreatedAt: b.CreatedAt,
	})
	if duplicateOf(err) == indexKey {
		there, err := s.BulkOfKey(ctx, b.SellerID, b.IdempotencyKey)
		if err != nil || there == nil {
			return catalog.BulkOperation{}, errors.Join(err, errGone)
		}
		return *there, nil
	}
	ring(s.added)
	return b, err
}

var errGone = errors.New("the operation under this key was forgotten this moment")

// BulkOfKey finds the operation that a seller added under a key.
func (s *Store) BulkOfKey(ctx context.Context, sellerID, key string) (*catalog.BulkOperation, error) {
	found, err := find(ctx, s.bulks, bson.D{{Key: "sellerId", Value: sellerID}, {Key: "idempotencyKey", Value: key}}, bulk)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// BulkAdded rings after AddBulk.
func (s *Store) BulkAdded() <-chan struct{} { return s.added }

// BulksByID finds operations by id.
func (s *Store) BulksByID(ctx context.Context, ids []string) ([]catalog.BulkOperation, error) {
	return find(ctx, s.bulks, in("_id", ids), bulk)
}

// ClaimBulk leases the operation that waits longest.
func (s *Store) ClaimBulk(ctx context.Context, holder string, now, until time.Time) (*catalog.BulkOperation, error) {
	var d bulkDoc
	err := s.bulks.FindOneAndUpdate(ctx,
		append(in("status", []catalog.BulkStatus{catalog.Queued, catalog.Running}),
			bson.E{Key: "leaseUntil", Value: bson.D{{Key: "$lte", Value: now}}}),
		bson.D{
			{Key: "$set", Value: bson.D{{Key: "status", Value: catalog.Running}, {Key: "holder", Value: holder}, {Key: "leaseUntil", Value: until}}},
			{Key: "$inc", Value: bson.D{{Key: "claims", Value: 1}}},
		},
		options.FindOneAndUpdate().SetSort(bson.D{{Key: "_id", Value: 1}}).SetReturnDocument(options.After),
	).Decode(&d)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("claim a bulk operation: %w", err)
	}
	b := bulk(d)
	return &b, nil
}

// KeepBulk moves the end of the holder's lease.
func (s *Store) KeepBulk(ctx context.Context, bulkID, holder string, until time.Time) error {
	return s.updateHeld(ctx, bulkID, holder, bson.D{{Key: "leaseUntil", Value: until}})
}

// SaveBulk saves the holder's progress.
func (s *Store) SaveBulk(ctx context.Context, b catalog.BulkOperation, holder string, until time.Time) error {
	return s.updateHeld(ctx, b.ID, holder, struct {
		Progress   progressDoc `bson:",inline"`
		LeaseUntil time.Time   `bson:"leaseUntil"`
	}{progress(b), until})
}

func (s *Store) updateHeld(ctx context.Context, bulkID, holder string, set any) error {
	result, err := s.bulks.UpdateOne(ctx, bson.D{{Key: "_id", Value: bulkID}, {Key: "holder", Value: holder}}, bson.D{{Key: "$set", Value: set}})
	if err != nil {
		return fmt.Errorf("save bulk operation: %w", err)
	}
	if result.MatchedCount == 0 {
		return catalog.ErrLeaseLost
	}
	return nil
}

type rowErrorDoc struct {
	BulkID     string     `bson:"bulkId"`
	Row        int        `bson:"row"`
	ExternalID string     `bson:"externalId,omitempty"`
	Faults     []faultDoc `bson:"faults"`
}

type faultDoc struct {
	Kind    fault.Kind `bson:"kind"`
	Code    string     `bson:"code"`
	Message string     `bson:"message"`
	Field   []string   `bson:"field,omitempty"`
}

// SaveRowErrors saves errors of rows in place of those that the rows had.
func (s *Store) SaveRowErrors(ctx context.Context, bulkID string, rows []catalog.RowError) error {
	if len(rows) == 0 {
		return nil
	}
	models := make([]mongo.WriteModel, len(rows))
	for i, r := range rows {
		models[i] = mongo.NewReplaceOneModel().SetUpsert(true).
			SetFilter(bson.D{{Key: "bulkId", Value: bulkID}, {Key: "row", Value: r.Row}}).
			SetReplacement(rowErrorDoc{bulkID, r.Row, r.ExternalID, each(r.Faults, func(f *fault.Error) faultDoc { return faultDoc(*f) })})
	}
	_, err := s.rowErrors.BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
	return err
}

// DropRowErrors forgets the errors of rows behind one.
func (s *Store) DropRowErrors(ctx context.Context, bulkID string, behind int) error {
	_, err := s.rowErrors.DeleteMany(ctx, rowsBehind(bulkID, behind))
	return err
}

// RowErrors finds the errors of rows behind one, in order.
func (s *Store) RowErrors(ctx context.Context, bulkID string, behind, limit int) ([]catalog.RowError, error) {
	return find(ctx, s.rowErrors, rowsBehind(bulkID, behind), func(d rowErrorDoc) catalog.RowError {
		return catalog.RowError{Row: d.Row, ExternalID: d.ExternalID, Faults: each(d.Faults, func(f faultDoc) *fault.Error {
			e := fault.Error(f)
			return &e
		})}
	}, options.Find().SetSort(bson.D{{Key: "row", Value: 1}}).SetLimit(int64(limit)))
}

func rowsBehind(bulkID string, row int) bson.D {
	return bson.D{{Key: "bulkId", Value: bulkID}, {Key: "row", Value: bson.D{{Key: "$gt", Value: row}}}}
}
