package mongo_test

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.uber.org/goleak"

	"github.com/souk-shop/souk/internal/devstores/mongo"
)

// Short names: the tests are mostly documents.
type (
	M = bson.M
	D = bson.D
	A = bson.A
)

func TestMain(m *testing.M) {
	if child() {
		return
	}
	if checks := flag.Lookup("rapid.checks"); checks != nil { // a flag on the command line still counts
		if err := checks.Value.Set("300"); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

// start runs an engine on the folder until the test ends.
func start(t testing.TB, dir string) *mongo.Server {
	t.Helper()
	s, err := mongo.Open(t.Context(), mongo.Config{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func connect(t testing.TB, url string) *driver.Client {
	t.Helper()
	client, err := driver.Connect(options.Client().ApplyURI(url))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Disconnect(context.Background()); err != nil {
			t.Errorf("disconnect: %v", err)
		}
	})
	return client
}

// setup is an empty collection in an engine of its own.
func setup(t testing.TB) *driver.Collection {
	t.Helper()
	return connect(t, start(t, t.TempDir()).URL()).Database("shop").Collection("products")
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func insert(t testing.TB, c *driver.Collection, docs ...any) {
	t.Helper()
	must[*driver.InsertManyResult](t)(c.InsertMany(t.Context(), docs))
}

// wantCode fails unless the server refused with this code.
func wantCode(t testing.TB, err error, code int) {
	t.Helper()
	var refused driver.ServerError
	if !errors.As(err, &refused) || !refused.HasErrorCode(code) {
		t.Fatalf("got error %v, want code %d", err, code)
	}
}

func words(s string) []string { return strings.Fields(s) }

func join(words []string) string { return strings.Join(words, " ") }
