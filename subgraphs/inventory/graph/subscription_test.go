package graph_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
)

// What a subscription leaves behind would be leaked once for every buyer who closes a page.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/souk-shop/souk/internal/devstores/postgres.(*Server).start.func1")) // of pgtest, until the end
}

// subscribe returns the events of a subscription over SSE, as the gateway reads them.
func (s *shop) subscribe(ctx context.Context, at string, variants ...string) (<-chan string, error) {
	body, _ := json.Marshal(map[string]any{
		"query":     `subscription ($v: [ID!]!) { stockChanged(variantIds: $v) { variantId state available seq asOf } }`,
		"variables": map[string]any{"v": variants},
	})
	req, err := http.NewRequestWithContext(ctx, "POST", at, strings.NewReader(string(body)))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	out := make(chan string, 10)
	go func() {
		defer close(out)
		defer res.Body.Close()
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				out <- data
			}
		}
	}()
	return out, nil
}

func TestSubscription(t *testing.T) {
	s := setup(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.handler.ServeHTTP(w, r.WithContext(viewer.With(r.Context(), guest)))
	}))
	t.Cleanup(server.Close)
	v := s.stocked(3, s.w1)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	got, err := s.subscribe(ctx, server.URL, v)
	if err != nil {
		t.Fatal(err)
	}
	s.equal("now", `{"data":{"stockChanged":{"variantId":"`+v+`","state":"LOW","available":3,"seq":1,"asOf":"2026-11-21T10:00:00Z"}}}`, json.RawMessage(<-got))
	s.inv.Told(events.StockChanged{At: events.At{At: s.clock.Now().Add(time.Second)}, VariantID: v, Available: 0, Seq: 2})
	s.equal("then", `{"data":{"stockChanged":{"variantId":"`+v+`","state":"OUT_OF_STOCK","available":0,"seq":2,"asOf":"2026-11-21T10:00:01Z"}}}`, json.RawMessage(<-got))
	stop()
	for range got { // until the server has hung up
	}
	for s.inv.Watched() { // who hung up is told no more
		time.Sleep(time.Millisecond)
	}
}

func TestSubscriptionRefusesWhatIsNoVariant(t *testing.T) {
	s := setup(t)
	server := httptest.NewServer(s.handler)
	t.Cleanup(server.Close)
	for name, ids := range map[string][]string{"none": {}, "malformed": {id.New(id.Variant), "var_1"}} {
		got, err := s.subscribe(t.Context(), server.URL, ids...)
		if err != nil {
			t.Fatal(err)
		}
		first := <-got
		if !strings.Contains(first, `"code":"INVALID`) {
			t.Errorf("%s: %s", name, first)
		}
	}
}
