package forfeit

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// What is said of wrong proofs arrives beside the answer, each by itself, and is taken once; elsewhere it goes nowhere.
func TestSaidIsHeard(t *testing.T) {
	s := httptest.NewServer(Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range len(r.URL.Path) - 1 {
			Say(r.Context(), "CHALLENGE_FAILED")
		}
		io.WriteString(w, "{}")
	})))
	defer s.Close()
	ctx, heard := Listen(t.Context())
	for path, want := range map[string]int{"/": 0, "/x": 1, "/xx": 2} {
		res, err := http.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		Hear(ctx, res.Header)
		Hear(context.Background(), res.Header)
		if n := heard.Take(); n != want || heard.Take() != 0 {
			t.Errorf("%s: %d", path, n)
		}
	}
	Say(context.Background(), "CHALLENGE_FAILED")
}
