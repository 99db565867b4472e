// Package mongotest gives each test a MongoDB database of its own, and counts what it is asked.
//
// The server is the embedded one, or the one that SOUK_TEST_MONGO_URL names.
package mongotest

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/oklog/ulid/v2"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	devmongo "github.com/souk-shop/souk/internal/devstores/mongo"
)

// Real is the address of a real MongoDB to test on, "" for none.
var Real = os.Getenv("SOUK_TEST_MONGO_URL")

// New returns a fresh database, which goes when the test ends.
func New(t testing.TB) *Database {
	t.Helper()
	url := Real
	if url == "" {
		url = embedded(t)
	}
	return Open(t, url, "souk_test_"+strings.ToLower(ulid.Make().String()))
}

// Open returns a database on a server, which goes when the test ends.
func Open(t testing.TB, url, name string) *Database {
	t.Helper()
	d := &Database{}
	client, err := mongo.Connect(options.Client().ApplyURI(url).SetMonitor(&event.CommandMonitor{
		Started: func(_ context.Context, e *event.CommandStartedEvent) { d.note(e.Command) },
	}))
	if err != nil {
		t.Fatal(err)
	}
	d.Database = client.Database(name)
	t.Cleanup(func() {
		if err := d.Drop(context.Background()); err != nil {
			t.Error(err)
		}
		if err := client.Disconnect(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return d
}

// A Database counts its commands.
type Database struct {
	*mongo.Database
	mu       sync.Mutex
	commands []bson.Raw
}

func (d *Database) note(command bson.Raw) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.commands = append(d.commands, append(bson.Raw{}, command...))
}

// During returns the commands that do causes.
func (d *Database) During(do func()) []bson.Raw {
	d.mu.Lock()
	before := len(d.commands)
	d.mu.Unlock()
	do()
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.commands[before:])
}

// Name returns what a command is called: find, update.
func Name(command bson.Raw) string {
	elements, err := command.Elements()
	if err != nil || len(elements) == 0 {
		return ""
	}
	return elements[0].Key()
}

var server struct {
	sync.Once
	url string
	err error
}

// embedded starts one server for all tests of a process; it ends with the process.
func embedded(t testing.TB) string {
	t.Helper()
	server.Do(func() {
		var dir string
		if dir, server.err = os.MkdirTemp("", "souk-mongo-"); server.err != nil {
			return
		}
		var s *devmongo.Server
		if s, server.err = devmongo.Open(context.Background(), devmongo.Config{Dir: dir, Log: slog.New(slog.DiscardHandler)}); server.err == nil {
			server.url = s.URL()
			os.RemoveAll(dir) // the open file stays until the process ends
		}
	})
	if server.err != nil {
		t.Fatal(server.err)
	}
	return server.url
}
