package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/internal/quietport"
)

// otherSupergraph is somebody else's: two subgraphs, one type between them.
const otherSupergraph = `
schema @link(url: "https://specs.apollo.dev/link/v1.0") @link(url: "https://specs.apollo.dev/join/v0.3", for: EXECUTION) { query: Query }
directive @join__field(graph: join__Graph, requires: join__FieldSet, provides: join__FieldSet, type: String, external: Boolean, override: String, usedOverridden: Boolean) repeatable on FIELD_DEFINITION | INPUT_FIELD_DEFINITION
directive @join__graph(name: String!, url: String!) on ENUM_VALUE
directive @join__type(graph: join__Graph!, key: join__FieldSet, extension: Boolean! = false, resolvable: Boolean! = true, isInterfaceObject: Boolean! = false) repeatable on OBJECT | INTERFACE | UNION | ENUM | INPUT_OBJECT | SCALAR
directive @link(url: String, as: String, for: link__Purpose, import: [link__Import]) repeatable on SCHEMA
scalar join__FieldSet
scalar link__Import
enum link__Purpose { SECURITY EXECUTION }
enum join__Graph { BOOKS @join__graph(name: "books", url: "$BOOKS") LENDING @join__graph(name: "lending", url: "$LENDING") }
type Query @join__type(graph: BOOKS) @join__type(graph: LENDING) { book: Book @join__field(graph: BOOKS) }
type Book @join__type(graph: BOOKS, key: "isbn") @join__type(graph: LENDING, key: "isbn") { isbn: ID! title: String @join__field(graph: BOOKS) lentTo: String @join__field(graph: LENDING) }
`

// The gateway serves any Federation 2 supergraph, with the subgraphs where the file says they are.
func TestServeAnotherSupergraph(t *testing.T) {
	t.Parallel()
	subgraph := func(answer string) string {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, answer)
		}))
		t.Cleanup(srv.Close)
		return srv.URL
	}
	books := subgraph(`{"data":{"book":{"__typename":"Book","isbn":"1","title":"Nights"}}}`)
	lending := subgraph(`{"data":{"_entities":[{"__typename":"Book","lentTo":"Ann"}]}}`)
	file := filepath.Join(t.TempDir(), "supergraph.graphql")
	if err := os.WriteFile(file, []byte(strings.NewReplacer("$BOOKS", books, "$LENDING", lending).Replace(otherSupergraph)), 0o644); err != nil {
		t.Fatal(err)
	}
	addr := unusedAddress(t)
	serveFor(t, map[string]string{"SOUK_ADDR": addr, "SOUK_PRIVATE_ADDR": "127.0.0.1:0"}, "serve", "gateway", "--supergraph", file)
	got := client{t: t, base: "http://" + addr}.until(`{ book { title lentTo } }`, nil, func(a answer) bool { return a.at("book.lentTo") != nil })
	if b, _ := json.Marshal(got.data); string(b) != `{"book":{"lentTo":"Ann","title":"Nights"}}` {
		t.Errorf("%s", b)
	}
}

func TestServeRefusesWhatIsNotThere(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		env  map[string]string
		want string
	}{
		{[]string{"serve", "bakery"}, nil, `there is no part "bakery"`},
		{[]string{"serve", "orders"}, nil, "SOUK_PASSPORT_KEY is not set"},
		{[]string{"serve", "orders"}, map[string]string{"SOUK_PASSPORT_KEY": "short"}, "SOUK_PASSPORT_KEY has fewer than 32 characters"},
		{[]string{"serve", "orders"}, map[string]string{"SOUK_PASSPORT_KEY": strings.Repeat("k", 32), "SOUK_ADDR": "127.0.0.1:0"}, "SOUK_POSTGRES_URL is not set"},
		{[]string{"serve", "gateway"}, map[string]string{"SOUK_PASSPORT_KEY": strings.Repeat("k", 32), "SOUK_ADDR": "127.0.0.1:0", "SOUK_SUBGRAPH_TIMEOUT": "31s"}, "SOUK_SUBGRAPH_TIMEOUT"},
		{[]string{"serve", "orders"}, map[string]string{"SOUK_PASSPORT_KEY": strings.Repeat("k", 32), "SOUK_ADDR": "127.0.0.1:0", "SOUK_ORDER_EXPIRY": "soon"}, "SOUK_ORDER_EXPIRY"},
		{[]string{"serve", "gateway"}, gatewayWith("SOUK_RETENTION", "719h"), `SOUK_RETENTION: "719h" is not a time from 720h`},
		{[]string{"serve", "gateway"}, gatewayWith("SOUK_RATE_IP", "many"), `SOUK_RATE_IP: "many" is no budget`},
		{[]string{"serve", "gateway"}, gatewayWith("SOUK_RATE_ACCOUNT", "5"), `SOUK_RATE_ACCOUNT: "5" is no budget`},
		{[]string{"serve", "gateway"}, gatewayWith("SOUK_TRUSTED_PROXIES", "all"), `SOUK_TRUSTED_PROXIES: "all" is not a number`},
		{[]string{"serve", "gateway"}, gatewayWith("SOUK_REDIS_URL", "http://redis"), "SOUK_REDIS_URL: the URL of Redis is not one"},
	} {
		err := souk(t.Context(), c.args, func(name string) string { return c.env[name] }, io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("souk %v: %v, want %q", c.args, err, c.want)
		}
	}
}

func gatewayWith(name, value string) map[string]string {
	return map[string]string{"SOUK_PASSPORT_KEY": strings.Repeat("k", 32), "SOUK_ADDR": "127.0.0.1:0", name: value}
}

// What the configuration shows has every setting and no secret.
func TestConfigMasksSecrets(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	env := map[string]string{
		"SOUK_POSTGRES_URL": "postgres://souk:hunter2@db/souk?sslmode=off", "SOUK_TYPESENSE_KEY": "hunter2", "SOUK_PASSPORT_KEY": "hunter2hunter2",
		"SOUK_BLOB_URL": "s3://key:hunter2@host/bucket?secret=hunter2", "SOUK_NATS_URL": "nats://hunter2@host", "SOUK_REDIS_URL": "redis://:hunter2@host", "SOUK_MONGO_URL": "mongodb://a:hunter2@host",
	}
	if err := souk(t.Context(), []string{"config"}, func(name string) string { return env[name] }, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "hunter2") {
		t.Errorf("a secret is shown:\n%s", out.String())
	}
	for _, s := range settings {
		if !strings.Contains(out.String(), s.name) {
			t.Errorf("%s is not shown", s.name)
		}
	}
}

// serveFor runs the program until the test ends.
func serveFor(t *testing.T, env map[string]string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- souk(ctx, args, func(name string) string { return env[name] }, io.Discard, t.Output())
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("souk %v ended with %v", args, err)
		}
	})
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		res, err := http.Get("http://" + env["SOUK_ADDR"] + "/healthz")
		if err == nil {
			res.Body.Close()
			return
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("souk %v: %v", args, err)
		default:
		}
	}
	t.Fatalf("souk %v does not answer", args)
}

// unusedAddress is an address nobody listens at.
func unusedAddress(t *testing.T) string {
	t.Helper()
	at, err := quietport.Address()
	if err != nil {
		t.Fatal(err)
	}
	return at
}
