package mongo_test

import (
	"context"
	"testing"

	"go.mongodb.org/mongo-driver/v2/event"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// spied is a collection whose commands are counted by name.
func spied(t *testing.T) (*driver.Collection, map[string]int) {
	t.Helper()
	seen := map[string]int{}
	monitor := &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) { seen[e.CommandName]++ }}
	client, err := driver.Connect(options.Client().ApplyURI(start(t, t.TempDir()).URL()).SetMonitor(monitor))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Disconnect(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return client.Database("shop").Collection("products"), seen
}

func TestCursorsCrossBatches(t *testing.T) {
	c, seen := spied(t)
	docs := make([]any, 250)
	for i := range docs {
		docs[i] = M{"_id": i, "n": i}
	}
	insert(t, c, docs...)
	for _, test := range []struct {
		name string
		opts *options.FindOptionsBuilder
		n    int
		more int // getMore commands
	}{
		{"by default", options.Find(), 250, 1},
		{"in batches", options.Find().SetBatchSize(100), 250, 2},
		{"one batch is enough", options.Find().SetBatchSize(250), 250, 0},
		{"limit within a batch", options.Find().SetLimit(20), 20, 0},
		{"limit across batches", options.Find().SetLimit(150).SetBatchSize(100), 150, 1},
		{"negative limit", options.Find().SetLimit(-20), 20, 0},
		{"skip", options.Find().SetSkip(240), 10, 0},
		{"skip beyond", options.Find().SetSkip(1000), 0, 0},
		{"skip and limit", options.Find().SetSkip(245).SetLimit(10), 5, 0},
	} {
		clear(seen)
		if got := list(t, c, M{}, test.opts); len(got) != test.n {
			t.Errorf("%s: %d documents", test.name, len(got))
		}
		if seen["getMore"] != test.more {
			t.Errorf("%s: %d getMore", test.name, seen["getMore"])
		}
	}
}

func TestACursorKeepsTheMomentItWasOpened(t *testing.T) {
	c := setup(t)
	insert(t, c, M{"_id": 1}, M{"_id": 2}, M{"_id": 3})
	cursor := must[*driver.Cursor](t)(c.Find(t.Context(), M{}, options.Find().SetBatchSize(1).SetProjection(M{"_id": 1})))
	must[*driver.DeleteResult](t)(c.DeleteMany(t.Context(), M{}))
	var docs []M
	if err := cursor.All(t.Context(), &docs); err != nil || len(docs) != 3 {
		t.Errorf("%v, %v", docs, err)
	}
}

func TestClosedAndForeignCursors(t *testing.T) {
	c, seen := spied(t)
	insert(t, c, M{"_id": 1}, M{"_id": 2}, M{"_id": 3})
	db := c.Database()
	var answer struct {
		Cursor struct {
			ID         int64
			FirstBatch []M
		}
	}
	find := D{{Key: "find", Value: "products"}, {Key: "batchSize", Value: 0}}
	if err := db.RunCommand(t.Context(), find).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	id := answer.Cursor.ID
	if id == 0 || len(answer.Cursor.FirstBatch) != 0 {
		t.Fatalf("%+v", answer)
	}
	getMore := func(collection string) error {
		return db.RunCommand(t.Context(), D{{Key: "getMore", Value: id}, {Key: "collection", Value: collection}}).Err()
	}
	wantCode(t, getMore("other"), 13)
	var killed struct{ CursorsKilled, CursorsNotFound []int64 }
	kill := D{{Key: "killCursors", Value: "products"}, {Key: "cursors", Value: A{id, id + 1}}}
	if err := db.RunCommand(t.Context(), kill).Decode(&killed); err != nil {
		t.Fatal(err)
	}
	if len(killed.CursorsKilled) != 1 || len(killed.CursorsNotFound) != 1 {
		t.Errorf("%+v", killed)
	}
	wantCode(t, getMore("products"), 43)

	clear(seen)
	cursor := must[*driver.Cursor](t)(c.Find(t.Context(), M{}, options.Find().SetBatchSize(1)))
	if err := cursor.Close(t.Context()); err != nil || seen["killCursors"] != 1 {
		t.Errorf("close: %v, %v", err, seen)
	}
}
