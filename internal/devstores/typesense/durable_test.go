package typesense

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

const itemsSchema = `{"name":"items","enable_nested_fields":true,"fields":[
	{"name":"name","type":"string","sort":true},{"name":"n","type":"int32","facet":true},
	{"name":"attributes","type":"object","optional":true,"facet":true}]}`

// childDir tells the test binary, run again by TestKill, to serve a folder until it is killed.
const childDir = "TYPESENSE_TEST_CHILD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		s, err := Open(context.Background(), Config{Dir: dir, APIKey: testKey})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(s.URL())
		select {}
	}
	os.Exit(m.Run())
}

// TestKill sends SIGKILL in the middle of concurrent writes: what was acknowledged is there afterwards.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "http://") {
		t.Fatalf("the child said %q: %v", line, err)
	}
	c := caller{t: t, url: strings.TrimSpace(line), key: testKey}
	c.ok("POST", "/collections", itemsSchema)

	const writers, enough = 8, 300
	var (
		acknowledged sync.Map // id to n
		count        atomic.Int32
		killed       sync.Once
		wg           sync.WaitGroup
	)
	for w := range writers {
		wg.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d", w, i)
				req, _ := http.NewRequest("POST", c.url+"/collections/items/documents",
					strings.NewReader(fmt.Sprintf(`{"id":%q,"name":"item %s","n":%d}`, id, id, i)))
				req.Header.Set("X-Typesense-Api-Key", testKey)
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					return // killed
				}
				res.Body.Close()
				if res.StatusCode != http.StatusCreated {
					t.Errorf("status %d", res.StatusCode)
					return
				}
				acknowledged.Store(id, i)
				if count.Add(1) >= enough {
					killed.Do(func() { child.Process.Kill() })
				}
			}
		})
	}
	wg.Wait()
	child.Wait() // it was killed, so the error is no news

	after := calls(t, open(t, dir))
	acknowledged.Range(func(id, n any) bool {
		status, body := after.do("GET", "/collections/items/documents/"+id.(string), "")
		if status != http.StatusOK || !strings.Contains(body, fmt.Sprintf(`"n":%d,`, n)) {
			t.Errorf("%v was acknowledged; now: %d %s", id, status, body)
		}
		return true
	})
}

// reopened closes a server and opens its folder again.
func reopened(t *testing.T, dir string, s *Server) *Server {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, dir)
}

func openOnce(t *testing.T, dir string) *Server {
	t.Helper()
	s, err := Open(t.Context(), Config{Dir: dir, APIKey: testKey})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEverythingComesBack(t *testing.T) {
	dir := t.TempDir()
	s := openOnce(t, dir)
	c := calls(t, s)
	c.ok("POST", "/collections", itemsSchema)
	c.load("items", `{"id":"a","name":"Apple","n":1,"attributes":{"color":"red"}}`, `{"id":"b","name":"Banana","n":2}`, `{"id":"c","name":"Cherry","n":3}`)
	c.ok("DELETE", "/collections/items/documents/b", "")
	c.ok("PATCH", "/collections/items/documents/c", `{"n":30}`)
	c.ok("PATCH", "/collections/items", `{"fields":[{"name":"extra","type":"string","optional":true}]}`)
	c.ok("PUT", "/aliases/things", `{"collection_name":"items"}`)
	key := c.ok("POST", "/keys", `{"description":"d","actions":["documents:search"],"collections":["items"]}`)["value"].(string)
	c.ok("PUT", "/presets/p", `{"value":{"query_by":"name"}}`)
	schemaBefore := c.ok("GET", "/collections/items", "")

	after := calls(t, reopened(t, dir, s))
	if got := after.search("things", "q", "*", "sort_by", "n:asc").ids(); got != "a c" {
		t.Errorf("documents: %q", got)
	}
	if got := after.search("things", "q", "red", "query_by", "attributes.color", "preset", "p").ids(); got != "a" {
		t.Errorf("a field learned from a document: %q", got)
	}
	if a, b := fmt.Sprint(schemaBefore), fmt.Sprint(after.ok("GET", "/collections/items", "")); a != b {
		t.Errorf("the schema was %s and is %s", a, b)
	}
	after.key = key
	if got := after.search("items", "q", "cherry", "query_by", "name", "filter_by", "n:=30").ids(); got != "c" {
		t.Errorf("with a stored key: %q", got)
	}
}

func TestDroppedCollectionsStayDropped(t *testing.T) {
	dir := t.TempDir()
	s := openOnce(t, dir)
	c := calls(t, s)
	c.ok("POST", "/collections", itemsSchema)
	c.ok("DELETE", "/collections/items", "")
	after := calls(t, reopened(t, dir, s))
	if status, _ := after.do("GET", "/collections/items", ""); status != http.StatusNotFound {
		t.Errorf("status %d", status)
	}
	if logs, _ := filepath.Glob(filepath.Join(dir, "*.log")); len(logs) > 0 {
		t.Errorf("left behind: %v", logs)
	}
}

// TestTornTail cuts the log anywhere: what is whole before the cut comes back, and writing goes on.
func TestTornTail(t *testing.T) {
	dir := t.TempDir()
	s := openOnce(t, dir)
	c := calls(t, s)
	c.ok("POST", "/collections", itemsSchema)
	c.load("items", `{"id":"a","name":"Apple","n":1}`)
	logs, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(logs) != 1 {
		t.Fatal(logs, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	s = openOnce(t, dir)
	calls(t, s).load("items", `{"id":"b","name":"Banana","n":2}`)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	longer, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	for end := len(whole); end < len(longer); end++ {
		torn := append([]byte{}, longer[:end]...)
		if end%2 == 0 && end > len(whole)+8 {
			torn[end-1] ^= 0x40 // damaged rather than short
		}
		if err := os.WriteFile(logs[0], torn, 0o600); err != nil {
			t.Fatal(err)
		}
		s := openOnce(t, dir)
		c := calls(t, s)
		if got := c.search("items", "q", "*").ids(); got != "a" {
			t.Fatalf("cut at %d: %q", end, got)
		}
		c.load("items", `{"id":"c","name":"Cherry","n":3}`)
		s = reopened(t, dir, s)
		if got := calls(t, s).search("items", "q", "*", "sort_by", "n:asc").ids(); got != "a c" {
			t.Fatalf("cut at %d, then written: %q", end, got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCompaction overwrites one document until the log must have been shortened.
func TestCompaction(t *testing.T) {
	dir := t.TempDir()
	s := openOnce(t, dir)
	c := calls(t, s)
	c.ok("POST", "/collections", itemsSchema)
	c.load("items", `{"id":"keep","name":"Keep","n":1}`)
	padding := strings.Repeat("x", 64<<10)
	written := 0
	for i := 0; written < maxLogLoss+4<<20; i++ {
		var lines []string
		for range 16 {
			lines = append(lines, fmt.Sprintf(`{"id":"big","name":"big %d","n":%d,"padding":%q}`, i, i, padding))
			written += len(padding)
		}
		c.load("items", lines...)
	}
	col, _ := s.catalog.now.Load().collection("items")
	if n := col.log.length(); n >= int64(written) {
		t.Errorf("%d bytes written, and the log holds %d", written, n)
	}
	after := calls(t, reopened(t, dir, s))
	if got := after.search("items", "q", "*", "sort_by", "n:asc", "include_fields", "id").ids(); got != "keep big" {
		t.Errorf("after compaction: %q", got)
	}
}

// TestWritesAgainstModel compares random writes, with reopening in between, to a map.
func TestWritesAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "model")
		if err != nil {
			rt.Fatal(err)
		}
		sch, refusal := newSchema([]byte(itemsSchema), 0)
		if refusal != nil {
			rt.Fatal(refusal)
		}
		path := filepath.Join(dir, "x.log")
		col, err := createCollection(path, sch)
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { col.log.close() }()
		model := map[string]int{}
		id := rapid.SampledFrom([]string{"a", "b", "c", "d"})
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(rt *rapid.T) {
				i, n := id.Draw(rt, "id"), rapid.IntRange(0, 9).Draw(rt, "n")
				doc, _ := readObject(fmt.Appendf(nil, `{"id":%q,"name":"name %d","n":%d}`, i, n, n))
				w, refusal := col.put(actUpsert, doc, rejectDirty)
				if refusal == nil {
					refusal = col.commit(w.ticket)
				}
				if refusal != nil {
					rt.Fatal(refusal)
				}
				model[i] = n
			},
			"remove": func(rt *rapid.T) {
				i := id.Draw(rt, "id")
				if _, _, refusal := col.remove(i); refusal != nil {
					rt.Fatal(refusal)
				}
				delete(model, i)
			},
			"reopen": func(rt *rapid.T) {
				if err := col.log.close(); err != nil {
					rt.Fatal(err)
				}
				if col, err = openCollection(path, nil); err != nil {
					rt.Fatal(err)
				}
			},
			"": func(rt *rapid.T) {
				for n := range 10 {
					want := 0
					for _, has := range model {
						if has == n {
							want++
						}
					}
					p := params{"q": fmt.Sprint(n), "query_by": "name", "filter_by": fmt.Sprintf("n:=%d", n), "facet_by": "n", "num_typos": "0"}
					f, refusal := col.search(p, &manifest{}, false)
					if refusal != nil {
						rt.Fatal(refusal)
					}
					if f.count != want {
						rt.Fatalf("%d documents with %d, not %d", f.count, n, want)
					}
					if want > 0 && f.facets[0].Counts[0].Count != want {
						rt.Fatalf("facet counts %v, not %d", f.facets[0].Counts, want)
					}
				}
			},
		})
	})
}
