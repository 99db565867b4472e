package typesense

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// exchange is one recorded request to a real Typesense 30 and what it answered.
type exchange struct {
	Name     string          `json:"name"`
	Method   string          `json:"method"`
	Path     string          `json:"path"`
	Body     string          `json:"body"`
	Status   int             `json:"status"`
	Response json.RawMessage `json:"response"`
	Text     string          `json:"text"`
}

// deviation is a recorded exchange that this engine answers otherwise on purpose.
type deviation struct {
	Name   string `yaml:"name"`
	Scores bool   `yaml:"scores"` // only the text_match numbers differ; hits, order and everything else agree
	Reason string `yaml:"reason"`
}

// TestGolden replays the recording in order. Every exchange agrees, or deviations.yml says why not; what deviations.yml
// lists must not agree, so that the list stays true.
func TestGolden(t *testing.T) {
	s := open(t, t.TempDir())
	listed := map[string]deviation{}
	var deviations []deviation
	readYAML(t, "testdata/deviations.yml", &deviations)
	for _, d := range deviations {
		listed[d.Name] = d
	}
	agreeing, exact := 0, 0
	exchanges := recording(t)
	for _, ex := range exchanges {
		exactly, diff := replay(t, s, ex)
		d, expected := listed[ex.Name]
		delete(listed, ex.Name)
		if diff == "" {
			agreeing++
		}
		if exactly {
			exact++
		}
		switch {
		case exactly && expected, diff == "" && expected && !d.Scores:
			t.Errorf("%s agrees, but deviations.yml says: %s", ex.Name, d.Reason)
		case diff != "" && (!expected || d.Scores):
			t.Errorf("%s: %s %s (-recorded +answered)\n%s", ex.Name, ex.Method, ex.Path, diff)
		case diff == "" && !exactly && !expected:
			t.Errorf("%s: %s %s: the text_match differs", ex.Name, ex.Method, ex.Path)
		}
	}
	for name := range listed {
		t.Errorf("deviations.yml lists %q, which was not recorded", name)
	}
	t.Logf("%d of %d recorded exchanges agree, %d of them to the last digit of text_match", agreeing, len(exchanges), exact)
}

func recording(t *testing.T) []exchange {
	t.Helper()
	f, err := os.Open("testdata/golden.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []exchange
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var ex exchange
		if err := json.Unmarshal(lines.Bytes(), &ex); err != nil {
			t.Fatal(err)
		}
		out = append(out, ex)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

// keyOf is the API key an exchange was recorded with; the recording tells it by the name alone.
func keyOf(name string) string {
	switch {
	case strings.HasPrefix(name, "auth/search-key"):
		return "searchonlykey0001"
	case strings.HasPrefix(name, "auth/wrong-key"):
		return "wrong"
	}
	return testKey
}

// replay sends an exchange and returns how the answer differs from the recorded one, and whether even the scores agree.
func replay(t *testing.T, s *Server, ex exchange) (exactly bool, diff string) {
	t.Helper()
	req, err := http.NewRequest(ex.Method, s.URL()+strings.ReplaceAll(ex.Path, " ", "%20"), strings.NewReader(ex.Body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Typesense-Api-Key", keyOf(ex.Name))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != ex.Status {
		return false, cmp.Diff(ex.Status, res.StatusCode) + string(got)
	}
	if ex.Response == nil {
		diff = cmp.Diff(jsonLines(t, []byte(ex.Text)), jsonLines(t, got))
		return diff == "", diff
	}
	want, answered := decode(t, ex.Response), decode(t, got)
	forget(want, noise)
	forget(answered, noise)
	exactly = cmp.Equal(want, answered, cmp.Comparer(closeEnough))
	forget(want, scores)
	forget(answered, scores)
	return exactly, cmp.Diff(want, answered, cmp.Comparer(closeEnough))
}

func jsonLines(t *testing.T, b []byte) (out []any) {
	for _, l := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		out = append(out, decode(t, []byte(l)))
	}
	return out
}

func decode(t *testing.T, b []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	return v
}

// closeEnough compares numbers as the recorder could write them, which is with 53 bits.
func closeEnough(a, b float64) bool {
	d := a - b
	return d == 0 || d*d < 1e-24*a*a
}

// noise differs between two runs of the same server; scores are numbers that may differ as long as the order agrees.
func noise(v map[string]any) {
	delete(v, "created_at")
	delete(v, "search_time_ms")
	if rp, ok := v["request_params"].(map[string]any); ok && rp["q"] == "*" {
		delete(rp, "first_q") // a real server answers "*" or nothing, as it happens
	}
	if _, isKey := v["actions"]; isKey {
		delete(v, "id") // counts up from wherever the server's keys were
	}
}

func scores(v map[string]any) {
	delete(v, "text_match")
	delete(v, "text_match_info")
}

// forget removes members from every object of an answer.
func forget(v any, remove func(map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		remove(v)
		for _, e := range v {
			forget(e, remove)
		}
	case []any:
		for _, e := range v {
			forget(e, remove)
		}
	}
}

// TestRecordingIsWhole guards against a recording that was cut off.
func TestRecordingIsWhole(t *testing.T) {
	names := regexp.MustCompile(`^[a-z_]+(/.+)?$`)
	exchanges := recording(t)
	if len(exchanges) != 123 {
		t.Errorf("%d exchanges, not 123", len(exchanges))
	}
	seen := []string{}
	for _, ex := range exchanges {
		if !names.MatchString(ex.Name) || slices.Contains(seen, ex.Name) || reflect.ValueOf(ex.Status).IsZero() {
			t.Errorf("odd exchange %q", ex.Name)
		}
		seen = append(seen, ex.Name)
	}
}
