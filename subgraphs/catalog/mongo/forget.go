package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/souk-shop/souk/subgraphs/catalog"
)

// UploadsBefore finds uploads from before a time, the oldest first.
func (s *Store) UploadsBefore(ctx context.Context, before time.Time, most int) ([]catalog.Upload, error) {
	return find(ctx, s.uploads, earlier("createdAt", before), func(d uploadDoc) catalog.Upload {
		d.CreatedAt = d.CreatedAt.UTC()
		return catalog.Upload(d)
	}, first(most, "createdAt"))
}

// PicturesAmong tells which uploads are pictures of a product.
func (s *Store) PicturesAmong(ctx context.Context, uploadIDs []string) ([]string, error) {
	products, err := find(ctx, s.products, in("attached.uploadId", uploadIDs), func(d productDoc) []mediaDoc { return d.Attached },
		options.Find().SetProjection(bson.D{{Key: "attached", Value: 1}}))
	var shown []string
	for _, attached := range products {
		for _, m := range attached {
			shown = append(shown, m.UploadID)
		}
	}
	return shown, err
}

// RemoveUploads removes uploads and returns how many there were.
func (s *Store) RemoveUploads(ctx context.Context, ids []string) (int64, error) {
	return remove(ctx, s.uploads, in("_id", ids))
}

// FeedsAmong tells which files are feeds of imports that are not finished.
func (s *Store) FeedsAmong(ctx context.Context, blobKeys []string) ([]string, error) {
	return find(ctx, s.bulks, append(in("status", []catalog.BulkStatus{catalog.Queued, catalog.Running}), in("blobKey", blobKeys)...),
		func(d bulkDoc) string { return d.BlobKey })
}

// BulksEndedBefore finds operations that ended before a time, the oldest first.
func (s *Store) BulksEndedBefore(ctx context.Context, before time.Time, most int) ([]string, error) {
	return find(ctx, s.bulks, earlier("finishedAt", before), func(d bulkDoc) string { return d.ID }, first(most, "finishedAt"))
}

// RemoveRowErrors removes the errors of an operation's first rows, and returns how many these were.
func (s *Store) RemoveRowErrors(ctx context.Context, bulkID string, most int) (int64, error) {
	rows, err := find(ctx, s.rowErrors, rowsBehind(bulkID, 0), func(d rowErrorDoc) int { return d.Row },
		first(most, "row").SetProjection(bson.D{{Key: "row", Value: 1}}))
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	return remove(ctx, s.rowErrors, bson.D{{Key: "bulkId", Value: bulkID}, {Key: "row", Value: bson.D{{Key: "$lte", Value: rows[len(rows)-1]}}}})
}

// RemoveBulks removes operations and returns how many there were.
func (s *Store) RemoveBulks(ctx context.Context, ids []string) (int64, error) {
	return remove(ctx, s.bulks, in("_id", ids))
}

func earlier(path string, than time.Time) bson.D {
	return bson.D{{Key: path, Value: bson.D{{Key: "$lt", Value: than}}}}
}

func first(most int, by string) *options.FindOptionsBuilder {
	return options.Find().SetSort(bson.D{{Key: by, Value: 1}}).SetLimit(int64(most))
}

func remove(ctx context.Context, from *mongo.Collection, filter bson.D) (int64, error) {
	result, err := from.DeleteMany(ctx, filter)
	if err != nil {
		return 0, err
	}
	return result.DeletedCount, nil
}
