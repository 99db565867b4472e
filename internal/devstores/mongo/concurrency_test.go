package mongo_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// TestEverythingAtOnce writes, reads, indexes and drops from many sides, then holds what is on disk against what the
// running server said last.
func TestEverythingAtOnce(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	db := connect(t, s.URL()).Database("shop")
	products := db.Collection("products")
	index(t, products, D{{Key: "n", Value: 1}, {Key: "_id", Value: 1}})

	const rounds = 60
	var wg sync.WaitGroup
	each := func(workers int, do func(ctx context.Context, worker, round int) error) {
		for w := range workers {
			wg.Go(func() {
				for round := range rounds {
					if err := do(t.Context(), w, round); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	each(4, func(ctx context.Context, w, round int) error {
		var models []driver.WriteModel
		for i := range 5 {
			models = append(models, driver.NewUpdateOneModel().SetFilter(M{"_id": fmt.Sprint(w, "-", (round+i)%20)}).
				SetUpdate(M{"$inc": M{"n": 1}, "$push": M{"log": M{"$each": A{round}, "$slice": -3}}}).SetUpsert(true))
		}
		models = append(models, driver.NewDeleteOneModel().SetFilter(M{"_id": fmt.Sprint(w, "-", round%20)}))
		_, err := products.BulkWrite(ctx, models, options.BulkWrite().SetOrdered(round%2 == 0))
		return err
	})
	each(2, func(ctx context.Context, _, round int) error {
		cursor, err := products.Find(ctx, M{"n": M{"$gte": 1}}, options.Find().SetSort(D{{Key: "n", Value: -1}, {Key: "_id", Value: -1}}).SetBatchSize(7))
		if err != nil {
			return err
		}
		var docs []struct {
			ID string `bson:"_id"`
			N  int32
		}
		if err := cursor.All(ctx, &docs); err != nil {
			return err
		}
		for i := 1; i < len(docs); i++ {
			if docs[i-1].N < docs[i].N || (docs[i-1].N == docs[i].N && docs[i-1].ID <= docs[i].ID) {
				return fmt.Errorf("out of order: %v, %v", docs[i-1], docs[i])
			}
		}
		return nil
	})
	each(1, func(ctx context.Context, _, _ int) error { // the index comes and goes under the readers
		if _, err := products.Indexes().CreateOne(ctx, driver.IndexModel{Keys: D{{Key: "log", Value: 1}}}); err != nil {
			return err
		}
		return products.Indexes().DropOne(ctx, "log_1")
	})
	each(2, func(ctx context.Context, w, round int) error { // one drops the other's collection
		jobs := db.Collection("jobs")
		if w == 0 && round%3 == 0 {
			return jobs.Drop(ctx)
		}
		_, err := jobs.InsertOne(ctx, M{"_id": fmt.Sprint(w, "-", round)})
		return err
	})
	wg.Wait()

	snapshot := func(db *driver.Database) (out []M) {
		t.Helper()
		for _, name := range []string{"products", "jobs"} {
			var docs []M
			if err := must[*driver.Cursor](t)(db.Collection(name).Find(t.Context(), M{})).All(t.Context(), &docs); err != nil {
				t.Fatal(err)
			}
			out = append(out, docs...)
		}
		return out
	}
	before := snapshot(db)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	after := snapshot(connect(t, start(t, dir).URL()).Database("shop"))
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("after a restart (-before +after)\n%s", diff)
	}
}
