package gateway_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/souk-shop/souk/gateway"
	"github.com/souk-shop/souk/gateway/documents"
)

// fetching gives a gateway a count of what reaches the subgraph.
func fetching(t *testing.T, change func(*gateway.Config)) (house, *atomic.Int64) {
	t.Helper()
	var fetches atomic.Int64
	h := open(t, func(c *gateway.Config) {
		if change != nil {
			change(c)
		}
		base := c.Upstream
		c.Upstream = roundTripper(func(r *http.Request) (*http.Response, error) {
			fetches.Add(1)
			return base.RoundTrip(r)
		})
	})
	return h, &fetches
}

func get(query string) string { return "/graphql?query=" + url.QueryEscape(query) }

const (
	mayBeKept = "public, max-age=60, stale-while-revalidate=60"
	mayNotBe  = "private, no-store"
)

// What the schema lets anybody keep is kept, by the gateway too; whatever depends on who asks, or went wrong, is not.
func TestWhatMayBeKept(t *testing.T) {
	h, _ := fetching(t, func(c *gateway.Config) { c.Development = true })
	bearer := "Authorization: Bearer " + h.sign(nil)
	const greeting = `{ greeting(name: "x") }`
	for _, c := range []struct {
		name, method, path, body string
		headers                  []string
		want                     string
	}{
		{"a public field", "GET", get(greeting), "", nil, mayBeKept},
		{"again", "GET", get(greeting), "", nil, mayBeKept},
		{"by its other type", "GET", get(greeting), "", []string{response}, mayBeKept},
		{"with its type's name", "GET", get(`{ __typename greeting(name: "x") }`), "", nil, mayBeKept},
		{"sent by POST", "POST", "/graphql", `{"query":"{ greeting(name: \"x\") }"}`, []string{"Content-Type: application/json"}, mayNotBe},
		{"asked by somebody", "GET", get(greeting), "", []string{bearer}, mayNotBe},
		{"beside a field that may not", "GET", get(`{ greeting(name: "x") asker { account } }`), "", nil, mayNotBe},
		{"a field that may not", "GET", get(`{ asker { account } }`), "", nil, mayNotBe},
		{"with an error", "GET", get(`{ broken }`), "", nil, mayNotBe},
		{"with an error beside", "GET", get(`{ greeting(name: "x") broken }`), "", nil, mayNotBe},
		{"not valid", "GET", get(`{ nonsense }`), "", nil, mayNotBe},
		{"not even a request", "GET", "/graphql", "", nil, mayNotBe},
		{"a mutation", "GET", get(`mutation { pay(amount: 1) }`), "", nil, mayNotBe},
		{"with its plan", "GET", get(greeting) + "&plan", "", nil, mayNotBe},
		{"the schema", "GET", get(`{ __schema { queryType { name } } }`), "", nil, mayNotBe},
		{"from a page elsewhere", "GET", get(greeting), "", []string{"Origin: https://evil.test"}, mayNotBe},
	} {
		res, body := h.send(t, c.method, c.path, c.body, c.headers...)
		if got := res.Header.Get("Cache-Control"); got != c.want || (res.Header.Get("ETag") != "") != (c.want == mayBeKept) {
			t.Errorf("%s: %s, tag %q: %s %s", c.name, got, res.Header.Get("ETag"), res.Status, body)
		}
		if v := res.Header.Get("Vary"); v != "Accept, Authorization" {
			t.Errorf("%s: Vary: %s", c.name, v)
		}
		if res.Header.Get(gateway.TraceHeader) == "" {
			t.Errorf("%s: no trace", c.name)
		}
	}
}

func TestNotModified(t *testing.T) {
	h, fetches := fetching(t, nil)
	path := get(`{ greeting(name: "x") }`)
	res, body := h.send(t, "GET", path, "")
	tag := res.Header.Get("ETag")
	if res.StatusCode != 200 || tag == "" || fetches.Load() != 1 {
		t.Fatalf("%s %s after %d fetches", res.Status, tag, fetches.Load())
	}
	for has, status := range map[string]int{tag: 304, "W/" + tag: 304, `"x", ` + tag: 304, "*": 304, `"x"`: 200, strings.Trim(tag, `"`): 200} {
		res, got := h.send(t, "GET", path, "", "If-None-Match: "+has)
		if res.StatusCode != status || res.Header.Get("ETag") != tag || !strings.HasPrefix(res.Header.Get("Cache-Control"), "public, max-age=") ||
			(status == 304) != (got == "") || status == 200 && got != body {
			t.Errorf("%s: %s %q", has, res.Status, got)
		}
	}
	if res, got := h.send(t, "GET", path, "", "If-None-Match: "+tag, "Authorization: Bearer "+h.sign(nil)); res.StatusCode != 200 || got != body {
		t.Errorf("signed in: %s %s", res.Status, got)
	}
	if n := fetches.Load(); n != 2 { // for who is signed in, nothing is kept
		t.Errorf("%d fetches", n)
	}
}

// A kept answer goes to guests with the same words and the same locale, and to nobody else.
func TestKeptForWhom(t *testing.T) {
	h, fetches := fetching(t, nil)
	for i, c := range []struct {
		query   string
		header  string
		fetches int64
	}{
		{`{ greeting(name: "x") }`, "X: y", 1},
		{`{ greeting(name: "x") }`, "X: y", 1},
		{`query Other { greeting(name: "x") }`, "X: y", 2},
		{`{ greeting(name: "y") }`, "X: y", 3},
		{`query @inContext(country: IN) { greeting(name: "x") }`, "X: y", 4},
		{`query @inContext(country: US) { greeting(name: "x") }`, "X: y", 5},
		{`query @inContext(country: IN) { greeting(name: "x") }`, "X: y", 5},
		{`{ greeting(name: "x") }`, "Authorization: Bearer " + h.sign(nil), 6},
		{`{ greeting(name: "x") }`, "Authorization: Bearer " + h.sign(nil), 7},
		{`{ greeting(name: "x") }`, "X: y", 7},
	} {
		before := fetches.Load()
		res, body := h.send(t, "GET", get(c.query), "", c.header)
		if res.StatusCode != 200 || body != `{"data":{"greeting":"hello"}}` || fetches.Load() != c.fetches {
			t.Errorf("%d: %s %s, %d fetches", i, res.Status, body, fetches.Load())
		}
		if line := h.lines.next(t); line["fetches"] != float64(fetches.Load()-before) {
			t.Errorf("%d: the log tells of %v fetches", i, line["fetches"])
		}
	}
}

func persisted(text string) string {
	sum := sha256.Sum256([]byte(text))
	return fmt.Sprintf(`{"persistedQuery":{"version":1,"sha256Hash":"%s"}}`, hex.EncodeToString(sum[:]))
}

// A client names a document by its hash, teaches the gateway its text once, and asks by GET from then on.
func TestDocumentsByHash(t *testing.T) {
	h, _ := fetching(t, nil)
	const text = `query Hello($n: String!) { greeting(name: $n) }`
	byHash := "/graphql?variables=" + url.QueryEscape(`{"n":"x"}`) + "&extensions=" + url.QueryEscape(persisted(text))
	if res, body := h.send(t, "GET", byHash, ""); !strings.Contains(body, `"PERSISTED_QUERY_NOT_FOUND"`) || !strings.Contains(body, `"PersistedQueryNotFound"`) || res.Header.Get("Cache-Control") != mayNotBe {
		t.Errorf("unknown: %s %s", res.Status, body)
	}
	if _, body := h.send(t, "GET", byHash+"&query="+url.QueryEscape("{ asker { account } }"), ""); !strings.Contains(body, documents.CodeMismatch) {
		t.Errorf("another text: %s", body)
	}
	const invalid = `{ nonsense }`
	h.ask(t, `{"query":`+quoted(invalid)+`,"extensions":`+persisted(invalid)+`}`)
	if _, body := h.ask(t, `{"extensions":`+persisted(invalid)+`}`); !strings.Contains(body, documents.CodeNotFound) {
		t.Errorf("nonsense was learned: %s", body)
	}
	if res, body := h.ask(t, `{"query":`+quoted(text)+`,"variables":{"n":"x"},"extensions":`+persisted(text)+`}`); res.StatusCode != 200 {
		t.Fatalf("%s %s", res.Status, body)
	}
	res, body := h.send(t, "GET", byHash, "")
	if body != `{"data":{"greeting":"hello"}}` || res.Header.Get("Cache-Control") != mayBeKept {
		t.Errorf("%s %s %s", res.Status, res.Header.Get("Cache-Control"), body)
	}
}

// With trusted documents alone, no other is answered, however small.
func TestTrustedDocumentsOnly(t *testing.T) {
	h, fetches := fetching(t, func(c *gateway.Config) {
		var err error
		c.Documents, err = documents.New(map[string]string{"hello": `{ greeting(name: "x") }`}, true)
		if err != nil {
			t.Fatal(err)
		}
	})
	if res, body := h.send(t, "GET", "/graphql?documentId=hello", ""); body != `{"data":{"greeting":"hello"}}` || res.Header.Get("Cache-Control") != mayBeKept {
		t.Errorf("%s %s", res.Status, body)
	}
	before := fetches.Load()
	for _, body := range []string{
		`{"query":"{ asker { account } }"}`, `{"query":"{ __typename }"}`, `{"query":"{ greeting(name: \"y\") }"}`,
		`{"query":"{ asker { account } }","documentId":"hello"}`, `{"query":"{ asker { account } }","extensions":` + persisted("{ asker { account } }") + `}`,
	} {
		if res, answer := h.ask(t, body, response); res.StatusCode != 400 || !strings.Contains(answer, documents.CodeNotTrusted) {
			t.Errorf("%s: %s %s", body, res.Status, answer)
		}
	}
	if n := fetches.Load(); n != before {
		t.Errorf("%d fetches", n-before)
	}
}

// A gateway has planned the trusted documents before it answers anybody, and says which of them it will refuse.
func TestS119TrustedDocumentsArePlannedBeforehand(t *testing.T) {
	h := open(t, func(c *gateway.Config) {
		var err error
		c.Documents, err = documents.New(map[string]string{"hello": `query ($n: String!) { greeting(name: $n) }`, "asker": `{ asker { account } }`, "old": `{ gone }`}, false)
		if err != nil {
			t.Fatal(err)
		}
	})
	if line := h.lines.next(t); line["document"] != "old" || line["level"] != "WARN" {
		t.Errorf("%v", line)
	}
	const planned = "souk_gateway_planning_seconds_count 2\n"
	if m := h.metrics(t); !strings.Contains(m, planned) {
		t.Error("they are not planned")
	}
	h.send(t, "GET", "/graphql?documentId=hello&variables="+url.QueryEscape(`{"n":"x"}`), "")
	h.ask(t, `{"documentId":"asker"}`)
	if m := h.metrics(t); !strings.Contains(m, planned) {
		t.Error("a caller waited for a plan")
	}
}
