package mongo_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

func TestDatabasesAndCollections(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	client := connect(t, s.URL())
	shop := client.Database("shop")
	insert(t, shop.Collection("products"), M{"_id": 1})
	if err := shop.CreateCollection(t.Context(), "empty"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, shop.CreateCollection(t.Context(), "empty"), 48)
	wantCode(t, shop.CreateCollection(t.Context(), "a$b"), 73)
	insert(t, client.Database("other").Collection("products"), M{"_id": 1})

	check := func(client *driver.Client, databases, collections string) {
		t.Helper()
		if got := join(must[[]string](t)(client.ListDatabaseNames(t.Context(), M{}))); got != databases {
			t.Errorf("databases %q", got)
		}
		if got := join(must[[]string](t)(client.Database("shop").ListCollectionNames(t.Context(), M{}))); got != collections {
			t.Errorf("collections %q", got)
		}
	}
	check(client, "other shop", "empty products")
	if got := must[[]string](t)(shop.ListCollectionNames(t.Context(), M{"name": "empty"})); len(got) != 1 {
		t.Errorf("filtered: %v", got)
	}
	if err := shop.Collection("empty").Drop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := shop.Collection("never").Drop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := client.Database("other").Drop(t.Context()); err != nil {
		t.Error(err)
	}
	check(client, "shop", "products")
	insert(t, shop.Collection("empty"), M{"_id": "again"})

	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	client = connect(t, start(t, dir).URL())
	check(client, "shop", "empty products")
	if got := join(list(t, client.Database("shop").Collection("empty"), M{})); got != "again" {
		t.Errorf("after a restart: %q", got)
	}
}

func TestMissingNamespaces(t *testing.T) {
	c := setup(t)
	if got := list(t, c, M{}); len(got) != 0 {
		t.Error(got)
	}
	if r := must[*driver.UpdateResult](t)(c.UpdateOne(t.Context(), M{}, M{"$set": M{"a": 1}})); r.MatchedCount != 0 {
		t.Errorf("%+v", r)
	}
	if r := must[*driver.DeleteResult](t)(c.DeleteMany(t.Context(), M{})); r.DeletedCount != 0 {
		t.Errorf("%+v", r)
	}
	if names := must[[]string](t)(c.Database().ListCollectionNames(t.Context(), M{})); len(names) != 0 {
		t.Errorf("asking made %v", names)
	}
	wantCode(t, c.Database().RunCommand(t.Context(), D{{Key: "listIndexes", Value: "products"}}).Err(), 26)
	wantCode(t, c.Database().RunCommand(t.Context(), D{{Key: "dropIndexes", Value: "products"}, {Key: "index", Value: "*"}}).Err(), 26)
}

func TestServerCommands(t *testing.T) {
	c := setup(t)
	if err := c.Database().Client().Ping(t.Context(), nil); err != nil {
		t.Error(err)
	}
	var info struct{ Version string }
	if err := c.Database().RunCommand(t.Context(), D{{Key: "buildInfo", Value: 1}}).Decode(&info); err != nil || info.Version == "" {
		t.Errorf("%+v, %v", info, err)
	}
	session := must[*driver.Session](t)(c.Database().Client().StartSession())
	if _, err := c.InsertOne(driver.NewSessionContext(t.Context(), session), M{"_id": 1}); err != nil {
		t.Errorf("in a session: %v", err)
	}
	session.EndSession(t.Context())
}

func TestWhatIsLackingSaysSo(t *testing.T) {
	c := setup(t)
	insert(t, c, M{"_id": 1})
	db := c.Database()
	run := func(command D) error { return db.RunCommand(t.Context(), command).Err() }
	find := func(opts *options.FindOptionsBuilder) error {
		_, err := c.Find(t.Context(), M{}, opts)
		return err
	}
	for name, err := range map[string]error{
		"transaction": func() error {
			session := must[*driver.Session](t)(db.Client().StartSession())
			defer session.EndSession(t.Context())
			if err := session.StartTransaction(); err != nil {
				return err
			}
			_, err := c.InsertOne(driver.NewSessionContext(t.Context(), session), M{"_id": 2})
			return err
		}(),
		"change stream": func() error {
			_, err := c.Watch(t.Context(), driver.Pipeline{})
			return err
		}(),
		"collation":         find(options.Find().SetCollation(&options.Collation{Locale: "en"})),
		"tailable":          find(options.Find().SetCursorType(options.Tailable)),
		"let":               find(options.Find().SetLet(M{"a": 1})),
		"validator":         db.CreateCollection(t.Context(), "v", options.CreateCollection().SetValidator(M{"a": 1})),
		"capped":            db.CreateCollection(t.Context(), "v", options.CreateCollection().SetCapped(true).SetSizeInBytes(5)),
		"renameCollection":  run(D{{Key: "renameCollection", Value: "shop.a"}, {Key: "to", Value: "shop.b"}}),
		"mapReduce":         run(D{{Key: "mapReduce", Value: "a"}}),
		"saslStart":         run(D{{Key: "saslStart", Value: 1}}),
		"explain of count":  run(D{{Key: "explain", Value: D{{Key: "count", Value: "a"}}}}),
		"pipeline update":   run(D{{Key: "findAndModify", Value: "a"}, {Key: "update", Value: A{D{{Key: "$set", Value: M{"a": 1}}}}}}),
		"pipeline stage":    run(D{{Key: "aggregate", Value: "a"}, {Key: "pipeline", Value: A{D{{Key: "$merge", Value: "b"}}}}, {Key: "cursor", Value: M{}}}),
		"statement option":  run(D{{Key: "delete", Value: "a"}, {Key: "deletes", Value: A{M{"q": M{}, "limit": 1, "collation": M{"locale": "en"}}}}}),
		"positional fields": find(options.Find().SetProjection(M{"a.$": 1})),
	} {
		var refused driver.ServerError
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), "not supported by the embedded store") {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantCode(t, run(D{{Key: "frobnicate", Value: 1}}), 59)
	if diff := cmp.Diff([]string{"1"}, list(t, c, M{})); diff != "" {
		t.Errorf("something was written (-want +got)\n%s", diff)
	}
}
