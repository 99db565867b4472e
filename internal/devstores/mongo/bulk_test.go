package mongo_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

func TestBulkWriteReportsEachRefusal(t *testing.T) {
	for _, ordered := range []bool{true, false} {
		t.Run(fmt.Sprintf("ordered %v", ordered), func(t *testing.T) {
			c := setup(t)
			index(t, c, D{{Key: "sku", Value: 1}}, options.Index().SetUnique(true))
			insert(t, c, M{"_id": "taken", "sku": "A"})
			result, err := c.BulkWrite(t.Context(), []driver.WriteModel{
				driver.NewInsertOneModel().SetDocument(M{"_id": 1, "sku": "B"}),
				driver.NewInsertOneModel().SetDocument(M{"_id": 2, "sku": "A"}),
				driver.NewUpdateOneModel().SetFilter(M{"_id": 3}).SetUpdate(M{"$set": M{"sku": "C"}}).SetUpsert(true),
				driver.NewUpdateOneModel().SetFilter(M{"_id": 3}).SetUpdate(M{"$set": M{"sku": "B"}}),
				driver.NewReplaceOneModel().SetFilter(M{"_id": "taken"}).SetReplacement(M{"sku": "D"}),
				driver.NewDeleteOneModel().SetFilter(M{"_id": 3}),
			}, options.BulkWrite().SetOrdered(ordered))
			var refused driver.BulkWriteException
			if !errors.As(err, &refused) {
				t.Fatalf("got %v", err)
			}
			if ordered {
				if len(refused.WriteErrors) != 1 || refused.WriteErrors[0].Index != 1 || result.InsertedCount != 1 || result.UpsertedCount != 0 {
					t.Errorf("errors %+v, result %+v", refused.WriteErrors, result)
				}
				return
			}
			at := map[int]bool{}
			for _, e := range refused.WriteErrors {
				at[e.Index] = e.Code == 11000
			}
			if diff := cmp.Diff(map[int]bool{1: true, 3: true}, at); diff != "" {
				t.Errorf("refused (-want +got)\n%s", diff)
			}
			if result.InsertedCount != 1 || result.UpsertedCount != 1 || result.ModifiedCount != 1 || result.DeletedCount != 1 {
				t.Errorf("%+v", result)
			}
		})
	}
}

func TestDuplicateKeyNamesTheKey(t *testing.T) {
	c := setup(t)
	index(t, c, D{{Key: "seller", Value: 1}, {Key: "variants.sku", Value: 1}}, options.Index().SetUnique(true))
	insert(t, c, M{"_id": 1, "seller": "s", "variants": A{M{"sku": "a"}, M{"sku": "b"}}})
	_, err := c.InsertOne(t.Context(), M{"_id": 2, "seller": "s", "variants": A{M{"sku": "c"}, M{"sku": "b"}}})
	var refused driver.WriteException
	if !errors.As(err, &refused) || len(refused.WriteErrors) != 1 {
		t.Fatalf("got %v", err)
	}
	e := refused.WriteErrors[0]
	var raw struct {
		KeyPattern D
		KeyValue   D
	}
	if err := bson.Unmarshal(e.Raw, &raw); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(D{{Key: "seller", Value: "s"}, {Key: "variants.sku", Value: "b"}}, raw.KeyValue); diff != "" {
		t.Errorf("keyValue (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(D{{Key: "seller", Value: int32(1)}, {Key: "variants.sku", Value: int32(1)}}, raw.KeyPattern); diff != "" {
		t.Errorf("keyPattern (-want +got)\n%s", diff)
	}
	if !strings.Contains(e.Message, "E11000 duplicate key error collection: shop.products index: seller_1_variants.sku_1") {
		t.Error(e.Message)
	}
	insert(t, c, M{"_id": 3, "seller": "other", "variants": A{M{"sku": "b"}}})
}

// TestRacesForOneKey lets 50 writers want the same thing at once: one gets it.
func TestRacesForOneKey(t *testing.T) {
	c := setup(t)
	index(t, c, D{{Key: "sku", Value: 1}}, options.Index().SetUnique(true))
	race := func(t *testing.T, try func(i int) (won bool, err error)) {
		t.Helper()
		var wg sync.WaitGroup
		var won atomic.Int32
		begin := make(chan struct{})
		for i := range 50 {
			wg.Go(func() {
				<-begin
				ok, err := try(i)
				if err != nil && !driver.IsDuplicateKeyError(err) {
					t.Error(err)
				}
				if ok && err == nil {
					won.Add(1)
				}
			})
		}
		close(begin)
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("%d won", won.Load())
		}
	}
	t.Run("insert", func(t *testing.T) {
		race(t, func(i int) (bool, error) {
			_, err := c.InsertOne(t.Context(), M{"_id": fmt.Sprint("insert-", i), "sku": "insert"})
			return true, err
		})
	})
	t.Run("upsert", func(t *testing.T) {
		race(t, func(i int) (bool, error) {
			r, err := c.UpdateOne(t.Context(), M{"sku": "upsert"}, M{"$set": M{"by": i}}, options.UpdateOne().SetUpsert(true))
			return err == nil && r.UpsertedCount == 1, err
		})
	})
	t.Run("save if version", func(t *testing.T) {
		insert(t, c, M{"_id": "v", "sku": "v", "version": 1})
		race(t, func(int) (bool, error) {
			r, err := c.UpdateOne(t.Context(), M{"_id": "v", "version": 1}, M{"$inc": M{"version": 1}})
			return err == nil && r.ModifiedCount == 1, err
		})
	})
	t.Run("increments are not lost", func(t *testing.T) {
		insert(t, c, M{"_id": "n", "sku": "n", "n": 0})
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if _, err := c.UpdateOne(t.Context(), M{"_id": "n"}, M{"$inc": M{"n": 1}}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := get(t, c, "n")["n"]; n != int32(50) {
			t.Errorf("n is %v", n)
		}
	})
}

func TestDocumentSizes(t *testing.T) {
	c := setup(t)
	big := strings.Repeat("x", 15<<20)
	insert(t, c, M{"_id": 1, "a": big}, M{"_id": 2, "a": big}, M{"_id": 3, "a": big}) // more than one message
	if got := join(list(t, c, M{})); got != "1 2 3" {                                 // and more than one batch
		t.Errorf("got %s", got)
	}
	_, err := c.UpdateOne(t.Context(), M{"_id": 1}, M{"$set": M{"b": big[:2<<20]}})
	wantCode(t, err, 17419)
	// The driver itself refuses to send more than 16 MB; a command that hides it in an array gets the server's refusal.
	err = c.Database().RunCommand(t.Context(), D{{Key: "insert", Value: "products"},
		{Key: "documents", Value: A{M{"_id": 5, "a": big, "b": big[:2<<20]}}}}).Err()
	if err == nil {
		t.Error("17 MB were stored")
	}
	if n := must[int64](t)(c.CountDocuments(t.Context(), M{"_id": 5})); n != 0 {
		t.Error("17 MB are there")
	}
}

func TestInsertRefusals(t *testing.T) {
	c := setup(t)
	for _, test := range []struct {
		doc  any
		code int
	}{
		{M{"_id": A{1}}, 53},
		{M{"_id": bson.Regex{Pattern: "x"}}, 53},
		{D{{Key: "_id", Value: 1}, {Key: "$set", Value: 1}}, 52},
		{M{"_id": 1, "a": bson.MaxKey{}}, 238},
		{M{"_id": 1, "a": nested(250)}, 15},
	} {
		_, err := c.InsertOne(t.Context(), test.doc)
		wantCode(t, err, test.code)
	}
	insert(t, c, M{"_id": 1, "a": nested(150), "usb.c": true, "b": A{A{1, 2}, A{}}})
	if got := get(t, c, 1); got["usb.c"] != true {
		t.Errorf("%v", got)
	}
}

func nested(depth int) any {
	var v any = 1
	for range depth {
		v = M{"a": v}
	}
	return v
}
