package mongo_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/souk-shop/souk/internal/devstores/mongo"
)

const childDir = "SOUK_TEST_MONGO_CHILD_DIR"

// child turns the test binary into a server that runs until it is killed.
func child() bool {
	dir := os.Getenv(childDir)
	if dir == "" {
		return false
	}
	s, err := mongo.Open(context.Background(), mongo.Config{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(s.URL())
	select {}
}

// TestAcknowledgedSurvivesSIGKILL kills a server in the middle of many writers and looks for what it had acknowledged.
func TestAcknowledgedSurvivesSIGKILL(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out := must[interface{ Read([]byte) (int, error) }](t)(cmd.StdoutPipe())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	client := must[*driver.Client](t)(driver.Connect(options.Client().ApplyURI(strings.TrimSpace(url))))
	products := client.Database("shop").Collection("products")
	must[string](t)(products.Indexes().CreateOne(t.Context(), driver.IndexModel{
		Keys: bson.D{{Key: "sku", Value: 1}}, Options: options.Index().SetUnique(true),
	}))

	const writers, killAfter = 8, 400
	var (
		mu           sync.Mutex
		acknowledged = map[string]int32{}
		enough       = make(chan struct{})
		once         sync.Once
		wg           sync.WaitGroup
	)
	for w := range writers {
		wg.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("p-%d-%d", w, i/2)
				_, err := products.UpdateOne(t.Context(), bson.D{{Key: "_id", Value: id}},
					bson.D{{Key: "$set", Value: bson.D{{Key: "sku", Value: id}, {Key: "pad", Value: strings.Repeat("x", 1000)}}},
						{Key: "$inc", Value: bson.D{{Key: "version", Value: 1}}}}, options.UpdateOne().SetUpsert(true))
				if err != nil {
					return // killed
				}
				mu.Lock()
				acknowledged[id]++
				if len(acknowledged) >= killAfter {
					once.Do(func() { close(enough) })
				}
				mu.Unlock()
			}
		})
	}
	<-enough
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed, and says so
	wg.Wait()
	if err := client.Disconnect(context.Background()); err != nil {
		t.Log(err)
	}

	products = connect(t, start(t, dir).URL()).Database("shop").Collection("products")
	var stored []struct {
		ID      string `bson:"_id"`
		Version int32  `bson:"version"`
	}
	if err := must[*driver.Cursor](t)(products.Find(t.Context(), bson.D{})).All(t.Context(), &stored); err != nil {
		t.Fatal(err)
	}
	versions := map[string]int32{}
	for _, p := range stored {
		versions[p.ID] = p.Version
	}
	for id, version := range acknowledged {
		// One more than acknowledged is right: the answer to the last write may have been lost.
		if versions[id] < version || versions[id] > version+1 {
			t.Errorf("%s: version %d on disk, %d acknowledged", id, versions[id], version)
		}
	}
	_, err = products.InsertOne(t.Context(), bson.D{{Key: "_id", Value: "other"}, {Key: "sku", Value: "p-0-0"}})
	if !driver.IsDuplicateKeyError(err) {
		t.Errorf("the unique index did not survive: %v", err)
	}
}

func TestAFileThatIsNoneIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mongo.db"), bytes.Repeat([]byte("not a database"), 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := mongo.Open(t.Context(), mongo.Config{Dir: dir}); err == nil {
		t.Error("opened")
	}
}
