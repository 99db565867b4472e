package typesense_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/souk-shop/souk/clients/typesense"
)

func TestOpen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		body   string
		wants  string
	}{
		"well":   {200, `{"ok":true}`, ""},
		"unwell": {200, `{"ok":false}`, "not well"},
		"down":   {503, `{"message":"lagging"}`, "lagging"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(c.status)
			w.Write([]byte(c.body))
		}))
		_, err := typesense.Open(t.Context(), server.URL, "key")
		server.Close()
		if (c.wants == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), c.wants)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, at := range []string{"", "localhost:8108", "ftp://host"} {
		if _, err := typesense.Open(t.Context(), at, "key"); err == nil {
			t.Errorf("%q was opened", at)
		}
	}
	if _, err := typesense.Open(t.Context(), "http://127.0.0.1:1", "key"); err == nil {
		t.Error("nobody listens, and no error")
	}
}
