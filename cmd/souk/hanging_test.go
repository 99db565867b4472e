package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// A mute is a part of the shop that can fall silent: it takes requests then, and never answers.
type mute struct {
	*httptest.Server
	silent atomic.Bool
	asked  atomic.Int32 // GraphQL requests that reached it
}

func newMute(t *testing.T, part string) *mute {
	t.Helper()
	at, err := url.Parse(part)
	if err != nil {
		t.Fatal(err)
	}
	m, behind := new(mute), httputil.NewSingleHostReverseProxy(at)
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/graphql" {
			m.asked.Add(1)
			if m.silent.Load() {
				io.Copy(io.Discard, r.Body) // or nobody sees that the caller hangs up
				<-r.Context().Done()
				return
			}
		}
		behind.ServeHTTP(w, r)
	}))
	t.Cleanup(m.Close)
	return m
}

// hangingPart looks at pages while reviews takes requests and answers none. The first who ask wait for it until the deadline, those who come
// later do not, and lose nothing but what reviews knows; when it answers again, pages are whole again.
func hangingPart(t *testing.T, s *testShop) {
	env := s.anotherGateway(nil)
	reviews := newMute(t, env["SOUK_REVIEWS_URL"])
	env["SOUK_REVIEWS_URL"], env["SOUK_SUBGRAPH_TIMEOUT"] = reviews.URL, "2s"
	serveFor(t, env, "serve", "gateway")
	guest := client{t: t, base: "http://" + env["SOUK_ADDR"]}

	var lamps []product // one each, for those who ask the same at the same time share an answer
	for i := range 10 {
		lamps = append(lamps, s.sell(fmt.Sprintf("Patient Lamp %d", i), "13.00", 1, 1))
	}
	whole := func() {
		t.Helper()
		for _, lamp := range lamps {
			if got := guest.do(productPage, vars{"slug": lamp.slug}); got.at("product.rating.count") == nil {
				t.Errorf("no rating: %v", got.data)
			}
		}
	}
	lacks := func(lamp product) error {
		status, body, err := guest.send(productPage, vars{"slug": lamp.slug})
		if err != nil {
			return err
		}
		var a answer
		if err := json.Unmarshal(body, &struct {
			Data   *map[string]any
			Errors *[]any
		}{&a.data, &a.errors}); err != nil {
			return err
		}
		if status != http.StatusOK || a.at("product.rating") != nil || text(a.at("product.variants.nodes.0.price.amount")) != "13.00" || a.at("product.variants.nodes.0.stock") == nil ||
			!strings.HasPrefix(a.code(0), "SUBGRAPH_UNAVAILABLE product") || text(walk(a.errors[0], "extensions.subgraph")) != "reviews" {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	}
	whole()

	reviews.silent.Store(true)
	before := reviews.asked.Load()
	var together sync.WaitGroup
	for _, lamp := range lamps {
		together.Go(func() {
			if err := lacks(lamp); err != nil {
				t.Error(err)
			}
		})
	}
	together.Wait()
	if n := reviews.asked.Load() - before; n != int32(len(lamps)) {
		t.Errorf("reviews was asked %d times for %d pages", n, len(lamps))
	}
	const pages = 40
	waited := 0
	for i := range pages {
		before := reviews.asked.Load()
		if err := lacks(lamps[i%len(lamps)]); err != nil {
			t.Fatal(err)
		}
		if reviews.asked.Load() > before { // one now and then finds out whether it is back
			waited++
		}
	}
	if waited > pages/2 {
		t.Errorf("%d of %d pages waited for a part that is known to hang", waited, pages)
	}

	reviews.silent.Store(false)
	guest.until(productPage, vars{"slug": lamps[0].slug}, func(a answer) bool { return a.at("product.rating.count") != nil })
	whole()
}
