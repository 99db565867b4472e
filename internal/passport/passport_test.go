package passport_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/souk-shop/souk/internal/passport"
	"github.com/souk-shop/souk/internal/viewer"
)

func TestGuard(t *testing.T) {
	key := passport.Key("a key of the shop")
	srv := httptest.NewServer(key.Guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		io.WriteString(w, viewer.From(r.Context()).AccountID+" "+string(body))
	})))
	defer srv.Close()
	send := func(rt http.RoundTripper, v viewer.Viewer, change func(*http.Request)) (int, string) {
		t.Helper()
		req, _ := http.NewRequestWithContext(viewer.With(t.Context(), v), "POST", srv.URL, strings.NewReader("{a}"))
		if change != nil {
			change(req)
		}
		res, err := rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(b)
	}
	ann := viewer.Viewer{AccountID: "acc_ann", Scopes: []string{"staff"}}

	if code, body := send(key.Sign(http.DefaultTransport), ann, nil); code != 200 || body != "acc_ann {a}" {
		t.Errorf("signed: %d %s", code, body)
	}
	if code, _ := send(http.DefaultTransport, ann, nil); code != 401 {
		t.Errorf("unsigned: %d", code)
	}
	if code, _ := send(passport.Key("another key").Sign(http.DefaultTransport), ann, nil); code != 401 {
		t.Errorf("foreign key: %d", code)
	}
	other, err := key.Issue(ann, []byte("{b}"))
	if err != nil {
		t.Fatal(err)
	}
	if code, _ := send(http.DefaultTransport, ann, func(r *http.Request) { r.Header.Set(passport.Header, other) }); code != 401 {
		t.Errorf("made for another body: %d", code)
	}
}
