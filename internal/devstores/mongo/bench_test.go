package mongo_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

const benchProducts = 10_000

// product is about 2 KB, shaped like a catalogue's.
func product(i int) bson.M {
	variants := bson.A{}
	for v := range 3 {
		variants = append(variants, bson.M{
			"sku": fmt.Sprintf("SKU-%06d-%d", i, v), "price": bson.M{"amount": int64(1000 + i%977), "currency": "INR"},
			"options": bson.M{"colour": "black", "storage": fmt.Sprintf("%d GB", 64<<v)},
		})
	}
	return bson.M{
		"_id": fmt.Sprintf("prd_%06d", i), "slug": fmt.Sprintf("product-%06d", i), "title": fmt.Sprintf("Product %d", i),
		"category": fmt.Sprintf("category-%d", i%20), "status": "active", "version": int32(1),
		"description": strings.Repeat("Lorem ipsum dolor sit amet. ", 40), "tags": bson.A{"a", "b", fmt.Sprint(i % 50)},
		"attributes": bson.M{"brand": fmt.Sprint("brand-", i%37), "weight": 100 + i%500, "waterproof": i%2 == 0},
		"variants":   variants,
	}
}

func catalogue(b *testing.B) *driver.Collection {
	c := setup(b)
	must[[]string](b)(c.Indexes().CreateMany(b.Context(), []driver.IndexModel{
		{Keys: bson.D{{Key: "slug", Value: 1}}, Options: options.Index().SetUnique(true)},
		{Keys: bson.D{{Key: "variants.sku", Value: 1}}, Options: options.Index().SetUnique(true)},
		{Keys: bson.D{{Key: "category", Value: 1}, {Key: "_id", Value: 1}}},
	}))
	upsertAll(b, c)
	return c
}

func upsertAll(b *testing.B, c *driver.Collection) {
	models := make([]driver.WriteModel, benchProducts)
	for i := range models {
		p := product(i)
		models[i] = driver.NewReplaceOneModel().SetFilter(bson.M{"_id": p["_id"]}).SetReplacement(p).SetUpsert(true)
	}
	for chunk := range slices.Chunk(models, 500) {
		must[*driver.BulkWriteResult](b)(c.BulkWrite(b.Context(), chunk, options.BulkWrite().SetOrdered(false)))
	}
}

// BenchmarkIn100 reads 100 of 10,000 products by id, which a page of the shop does once.
func BenchmarkIn100(b *testing.B) {
	c := catalogue(b)
	took := make([]time.Duration, 0, 4096)
	for b.Loop() {
		ids := make(bson.A, 100)
		for i := range ids {
			ids[i] = fmt.Sprintf("prd_%06d", rand.IntN(benchProducts))
		}
		begun := time.Now()
		var found []bson.Raw
		if err := must[*driver.Cursor](b)(c.Find(b.Context(), bson.M{"_id": bson.M{"$in": ids}})).All(b.Context(), &found); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begun))
		if len(found) < 90 {
			b.Fatalf("found %d", len(found))
		}
	}
	reportPercentiles(b, took)
}

// BenchmarkFindByID reads one product.
func BenchmarkFindByID(b *testing.B) {
	c := catalogue(b)
	took := make([]time.Duration, 0, 4096)
	for b.Loop() {
		begun := time.Now()
		if err := c.FindOne(b.Context(), bson.M{"_id": fmt.Sprintf("prd_%06d", rand.IntN(benchProducts))}).Err(); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begun))
	}
	reportPercentiles(b, took)
}

// BenchmarkUnindexed reads all 10,000 products to find one by a field without an index.
func BenchmarkUnindexed(b *testing.B) {
	c := catalogue(b)
	for b.Loop() {
		if err := c.FindOne(b.Context(), bson.M{"title": "Product 9999"}).Err(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBulkUpsert replaces all 10,000 products, 500 a request, as an import does.
func BenchmarkBulkUpsert(b *testing.B) {
	c := catalogue(b)
	for b.Loop() {
		upsertAll(b, c)
	}
	b.ReportMetric(float64(b.N*benchProducts)/b.Elapsed().Seconds(), "products/s")
}

// BenchmarkSave changes one product at a time, from 32 callers; each waits for the disk, and they share its syncs.
func BenchmarkSave(b *testing.B) {
	c := catalogue(b)
	b.SetParallelism(16)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			id := fmt.Sprintf("prd_%06d", rand.IntN(benchProducts))
			if _, err := c.UpdateOne(b.Context(), bson.M{"_id": id}, bson.M{"$inc": bson.M{"version": 1}}); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "saves/s")
}

func reportPercentiles(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}
