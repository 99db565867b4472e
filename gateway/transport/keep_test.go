package transport_test

import (
	"net/http"
	"strings"
	"testing"
)

// What an executor lets anybody keep is offered to caches by an answer to a GET alone, and not when the request says who asks: the
// next who asks may be somebody else.
func TestOnlyAGetThatSaysNotWhoAsksMayBeKept(t *testing.T) {
	h := open(t, nil)
	for name, c := range map[string]struct {
		method, header, value string
		want                  bool
	}{
		"a guest's GET":       {"GET", "Accept", "application/json", true},
		"somebody's GET":      {"GET", "Authorization", "Bearer ann", false},
		"a guest's POST":      {"POST", "Content-Type", "application/json", false},
		"with a tag it knows": {"GET", "If-None-Match", `"another"`, true},
	} {
		url, body := h.url+"?query={kept}", ""
		if c.method == "POST" {
			url, body = h.url, `{"query":"{kept}"}`
		}
		req, err := http.NewRequestWithContext(t.Context(), c.method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(c.header, c.value)
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		want := map[bool]string{true: "public, max-age=60, stale-while-revalidate=60", false: "private, no-store"}[c.want]
		if got := res.Header.Get("Cache-Control"); res.StatusCode != 200 || got != want || (res.Header.Get("ETag") != "") != c.want {
			t.Errorf("%s: %s, %s, tag %q", name, res.Status, got, res.Header.Get("ETag"))
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}
