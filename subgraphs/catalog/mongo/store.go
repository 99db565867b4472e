// Package mongo keeps the catalogue in MongoDB. Whatever must hold together is one document, so a stand-alone server will do.
package mongo

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/souk-shop/souk/subgraphs/catalog"
)

// A Store is the catalogue's collections.
type Store struct {
	products, categories, uploads, bulks, rowErrors *mongo.Collection

	changed, added chan struct{} // rung after a write, for the background work of this process
}

var _ catalog.Store = (*Store)(nil)

// NewStore returns the store in a database, with the indexes that its promises rest on.
func NewStore(ctx context.Context, db *mongo.Database) (*Store, error) {
	s := &Store{
		products: db.Collection("products"), categories: db.Collection("categories"), uploads: db.Collection("uploads"),
		bulks: db.Collection("bulk_operations"), rowErrors: db.Collection("bulk_row_errors"),
		changed: make(chan struct{}, 1), added: make(chan struct{}, 1),
	}
	for _, ix := range []struct {
		of   *mongo.Collection
		name string
		keys bson.D
		more *options.IndexOptionsBuilder
	}{
		{s.products, indexSlug, keys("slug"), options.Index().SetUnique(true)},
		{s.products, indexSKU, keys("variants.sku"), options.Index().SetUnique(true)},
		{s.products, indexVariant, keys("variantIds"), options.Index().SetUnique(true)},
		{s.products, indexExternalID, keys("sellerId", "externalId"), options.Index().SetUnique(true).
			SetPartialFilterExpression(bson.D{{Key: "externalId", Value: bson.D{{Key: "$exists", Value: true}}}})},
		{s.products, "category", keys("categoryPath", "status"), options.Index()},
		{s.products, "untold", keys("untold.event"), options.Index().SetSparse(true)},
		{s.products, "uploads", keys("attached.uploadId"), options.Index().SetSparse(true)},
		{s.categories, indexSlug, keys("slug"), options.Index().SetUnique(true)},
		{s.categories, indexName, keys("parentId", "nameKey"), options.Index().SetUnique(true)},
		{s.uploads, "age", keys("createdAt"), options.Index()},
		{s.bulks, "age", keys("finishedAt"), options.Index()},
		{s.bulks, indexKey, keys("sellerId", "idempotencyKey"), options.Index().SetUnique(true)},
		{s.bulks, "waiting", keys("status", "leaseUntil"), options.Index()},
		{s.rowErrors, "row", keys("bulkId", "row"), options.Index().SetUnique(true)},
	} {
		if _, err := ix.of.Indexes().CreateOne(ctx, mongo.IndexModel{Keys: ix.keys, Options: ix.more.SetName(ix.name)}); err != nil {
			return nil, fmt.Errorf("index %s of %s: %w", ix.name, ix.of.Name(), err)
		}
	}
	return s, nil
}

// Names of the indexes that decide races.
const (
	indexSlug       = "slug"
	indexSKU        = "sku"
	indexVariant    = "variant"
	indexExternalID = "external_id"
	indexName       = "name"
	indexKey        = "idempotency_key"
)

func keys(paths ...string) bson.D {
	d := make(bson.D, len(paths))
	for i, p := range paths {
		d[i] = bson.E{Key: p, Value: 1}
	}
	return d
}

func in[T any](path string, values []T) bson.D {
	if values == nil {
		values = []T{} // nil would be null, which is no list
	}
	return bson.D{{Key: path, Value: bson.D{{Key: "$in", Value: values}}}}
}

// find reads all documents that a filter selects.
func find[Doc, Noun any](ctx context.Context, c *mongo.Collection, filter any, noun func(Doc) Noun, opts ...options.Lister[options.FindOptions]) ([]Noun, error) {
	cursor, err := c.Find(ctx, filter, opts...)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", c.Name(), err)
	}
	var docs []Doc
	if err := cursor.All(ctx, &docs); err != nil {
		return nil, fmt.Errorf("find %s: %w", c.Name(), err)
	}
	return each(docs, noun), nil
}

func each[From, To any](rows []From, convert func(From) To) []To {
	if len(rows) == 0 {
		return nil
	}
	out := make([]To, len(rows))
	for i, r := range rows {
		out[i] = convert(r)
	}
	return out
}

// ring wakes whoever waits for a bell; one that rang already rings once.
func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}
