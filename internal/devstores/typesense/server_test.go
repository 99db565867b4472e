package typesense

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

const testKey = "test-key"

// open starts a server on a folder and closes it with the test.
func open(t testing.TB, dir string) *Server {
	t.Helper()
	s, err := Open(context.Background(), Config{Dir: dir, APIKey: testKey})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// caller sends requests to a server and reads the answers.
type caller struct {
	t   testing.TB
	url string
	key string
}

func calls(t testing.TB, s *Server) caller { return caller{t: t, url: s.URL(), key: testKey} }

// do sends a request and returns the status and the body.
func (c caller) do(method, path, body string) (int, string) {
	c.t.Helper()
	req, err := http.NewRequest(method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("X-Typesense-Api-Key", c.key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// ok sends a request that must succeed and decodes the answer.
func (c caller) ok(method, path, body string) map[string]any {
	c.t.Helper()
	status, answer := c.do(method, path, body)
	if status >= 300 {
		c.t.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
	var v map[string]any
	if err := json.Unmarshal([]byte(answer), &v); err != nil {
		c.t.Fatalf("%s %s: %v in %s", method, path, err, answer)
	}
	return v
}

// load imports documents, all of which must be taken.
func (c caller) load(collection string, lines ...string) {
	c.t.Helper()
	status, answer := c.do("POST", "/collections/"+collection+"/documents/import?action=upsert", strings.Join(lines, "\n"))
	if status != http.StatusOK || strings.Contains(answer, `"success":false`) {
		c.t.Fatalf("import: %d %s", status, answer)
	}
}

// search runs a search given as name, value, name, value…
func (c caller) search(collection string, pairs ...string) answered {
	c.t.Helper()
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	status, body := c.do("GET", "/collections/"+collection+"/documents/search?"+q.Encode(), "")
	var a answered
	if err := json.Unmarshal([]byte(body), &a); err != nil {
		c.t.Fatal(err)
	}
	a.status, a.body = status, body
	return a
}

// answered is the part of a search's answer that tests look at.
type answered struct {
	status  int
	body    string
	Message string
	Found   int
	Hits    []struct {
		Document   map[string]any
		Highlight  map[string]any
		Highlights []map[string]any
		TextMatch  uint64         `json:"text_match"`
		Distance   map[string]int `json:"geo_distance_meters"`
	}
	Groups []struct {
		Key   []any `json:"group_key"`
		Found int
	} `json:"grouped_hits"`
	Facets []struct {
		Field  string `json:"field_name"`
		Counts []struct {
			Value       string
			Highlighted string
			Count       int
		}
		Stats map[string]float64
	} `json:"facet_counts"`
}

// ids joins the hits' ids.
func (a answered) ids() string {
	var out []string
	for _, h := range a.Hits {
		id, _ := h.Document["id"].(string)
		out = append(out, id)
	}
	return strings.Join(out, " ")
}

func TestCloseLeavesNothingRunning(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	s, err := Open(t.Context(), Config{Dir: t.TempDir(), APIKey: testKey})
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	client := http.Client{Transport: transport}
	for range 3 {
		res, err := client.Get(s.URL() + "/health")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
	transport.CloseIdleConnections()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOneServerPerFolder(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	if s, err := Open(t.Context(), Config{Dir: dir, APIKey: testKey}); err == nil {
		s.Close()
		t.Fatal("two servers write the same logs")
	}
}

func TestOpenNeedsFolderAndKey(t *testing.T) {
	for _, cfg := range []Config{{Dir: t.TempDir()}, {APIKey: testKey}} {
		if s, err := Open(t.Context(), cfg); err == nil {
			s.Close()
			t.Errorf("%+v was accepted", cfg)
		}
	}
}
