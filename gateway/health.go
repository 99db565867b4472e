package gateway

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	healthWait = 2 * time.Second // for a part to answer
	healthKept = time.Second     // so that those who ask us do not become a load on the parts
)

// health knows whether every part answers.
type health struct {
	urls   map[string]string
	client *http.Client
	flight singleflight.Group

	mu       sync.Mutex
	draining bool
	asked    time.Time
	parts    map[string]string // name → "ok" or what is wrong
}

func newHealth(urls map[string]string) *health {
	return &health{urls: urls, client: &http.Client{Timeout: healthWait}}
}

// drain makes us not ready for good: balancers look elsewhere while we finish.
func (h *health) drain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.draining = true
}

// check asks every part, or remembers what they said a moment ago.
func (h *health) check() (ready bool, parts map[string]string) {
	h.mu.Lock()
	fresh := !h.asked.IsZero() && time.Since(h.asked) < healthKept
	h.mu.Unlock()
	if !fresh {
		h.flight.Do("", func() (any, error) {
			answers := h.ask()
			h.mu.Lock()
			defer h.mu.Unlock()
			h.parts, h.asked = answers, time.Now()
			return nil, nil
		})
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	parts = maps.Clone(h.parts)
	ready = !h.draining
	for _, state := range parts {
		ready = ready && state == "ok"
	}
	return ready, parts
}

func (h *health) ask() map[string]string {
	ctx, cancel := context.WithTimeout(context.Background(), healthWait)
	defer cancel()
	var (
		all     sync.WaitGroup
		mu      sync.Mutex
		answers = make(map[string]string, len(h.urls))
	)
	for name, url := range h.urls {
		all.Go(func() {
			state := h.askOne(ctx, url)
			mu.Lock()
			defer mu.Unlock()
			answers[name] = state
		})
	}
	all.Wait()
	return answers
}

func (h *health) askOne(ctx context.Context, url string) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err.Error()
	}
	res, err := h.client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	io.Copy(io.Discard, io.LimitReader(res.Body, 4<<10)) // so that the connection can be used again
	if res.StatusCode != http.StatusOK {
		return res.Status
	}
	return "ok"
}

// alive answers as long as the process does.
func alive(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") }

// brief says whether we are ready, and nothing about what is behind us.
func (h *health) brief(w http.ResponseWriter, _ *http.Request) {
	ready, _ := h.check()
	w.Header().Set("Cache-Control", "no-store")
	if !ready {
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, "not ready\n")
		return
	}
	io.WriteString(w, "ready\n")
}

// detailed says which part is not.
func (h *health) detailed(w http.ResponseWriter, _ *http.Request) {
	ready, parts := h.check()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	json.NewEncoder(w).Encode(struct {
		Ready bool              `json:"ready"`
		Parts map[string]string `json:"parts"`
	}{ready, parts})
}
