package mongo_test

import (
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

func TestInsertFindUpdateDelete(t *testing.T) {
	c := setup(t)
	insert(t, c, M{"_id": "a", "price": 10}, M{"_id": "b", "price": 20}, M{"_id": "c", "price": 30})

	updated := must[*driver.UpdateResult](t)(c.UpdateMany(t.Context(), M{"price": M{"$gte": 20}}, M{"$inc": M{"price": 5}}))
	if updated.MatchedCount != 2 || updated.ModifiedCount != 2 {
		t.Errorf("update: %+v", updated)
	}
	var b struct{ Price int }
	if err := c.FindOne(t.Context(), M{"_id": "b"}).Decode(&b); err != nil || b.Price != 25 {
		t.Errorf("b costs %d, %v", b.Price, err)
	}
	deleted := must[*driver.DeleteResult](t)(c.DeleteMany(t.Context(), M{"price": M{"$lt": 26}}))
	if deleted.DeletedCount != 2 {
		t.Errorf("deleted %d", deleted.DeletedCount)
	}
	if n := must[int64](t)(c.CountDocuments(t.Context(), M{})); n != 1 {
		t.Errorf("%d documents left", n)
	}
	if err := c.FindOne(t.Context(), M{"_id": "a"}).Err(); err != driver.ErrNoDocuments {
		t.Errorf("a is still there: %v", err)
	}
}

func TestUpsertAnswersTheNewID(t *testing.T) {
	c := setup(t)
	result := must[*driver.UpdateResult](t)(c.UpdateOne(t.Context(), M{"sku": "x"},
		M{"$set": M{"name": "X"}, "$setOnInsert": M{"made": true}}, options.UpdateOne().SetUpsert(true)))
	if _, ok := result.UpsertedID.(bson.ObjectID); !ok || result.UpsertedCount != 1 {
		t.Fatalf("%+v", result)
	}
	var got bson.M
	if err := c.FindOne(t.Context(), M{"sku": "x"}).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got["name"] != "X" || got["made"] != true {
		t.Errorf("got %v", got)
	}
	again := must[*driver.UpdateResult](t)(c.ReplaceOne(t.Context(), M{"_id": "new"}, M{"name": "Y"}, options.Replace().SetUpsert(true)))
	if again.UpsertedID != "new" {
		t.Errorf("%+v", again)
	}
}
