package graph_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/reviews"
	"github.com/souk-shop/souk/subgraphs/reviews/graph"
	"github.com/souk-shop/souk/subgraphs/reviews/postgres"
)

// counting is a store that counts what it is asked.
type counting struct {
	reviews.Store
	ratings atomic.Int32
}

func (c *counting) RatingsOf(ctx context.Context, ids []string) ([]reviews.Rating, error) {
	c.ratings.Add(1)
	return c.Store.RatingsOf(ctx, ids)
}

type shop struct {
	t     *testing.T
	pool  *pgxpool.Pool
	store *counting
	clock *clock.Held
	serve func(viewer.Viewer, string, map[string]any) map[string]any
}

func setup(t *testing.T) *shop {
	t.Parallel()
	s := &shop{t: t, pool: pgtest.New(t, postgres.Migrations), clock: clock.Hold(time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC))}
	s.open(s.pool)
	return s
}

// open serves the graph from a pool.
func (s *shop) open(pool *pgxpool.Pool) {
	t := s.t
	s.store = &counting{Store: postgres.NewStore(pool)}
	h := graph.Handler(reviews.New(s.store, s.clock), slog.New(slog.NewTextHandler(t.Output(), nil)))
	s.serve = func(who viewer.Viewer, query string, vars map[string]any) map[string]any {
		t.Helper()
		body, _ := json.Marshal(map[string]any{"query": query, "variables": vars})
		req := httptest.NewRequestWithContext(viewer.With(t.Context(), who), "POST", "/graphql", strings.NewReader(string(body)))
		req.Header.Set("Content-Type", "application/json")
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		var answer map[string]any
		if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%v: %s", err, rec.Body)
		}
		return answer
	}
}

// received notes a delivery, as the consumer of order events does.
func (s *shop) received(account, product string) {
	s.t.Helper()
	if err := pgx.BeginFunc(s.t.Context(), s.pool, func(tx pgx.Tx) error {
		return postgres.Receive(s.t.Context(), tx, account, []string{product}, s.clock.Now())
	}); err != nil {
		s.t.Fatal(err)
	}
}

func account() viewer.Viewer { return viewer.Viewer{AccountID: id.New(id.Account)} }

const save = `mutation ($input: ReviewSaveInput!) { reviewSave(input: $input) {
	review { rating title body author { id } product { id } verifiedPurchase } userErrors { code field } } }`

func input(product string, rating int, title string) map[string]any {
	return map[string]any{"input": map[string]any{"productId": product, "rating": rating, "title": title}}
}

const page = `query ($p: ID!, $first: Int, $after: String, $sort: ReviewSort, $stars: Int) {
	_entities(representations: [{__typename: "Product", id: $p}]) { ... on Product {
		rating { average count histogram }
		reviews(first: $first, after: $after, sort: $sort, rating: $stars) { totalCount nodes { title } pageInfo { hasNextPage endCursor } }
	} } }`

func at(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}

func show(v any) string { b, _ := json.Marshal(v); return string(b) }

func TestReviewAfterDeliveryOnly(t *testing.T) {
	s := setup(t)
	ann, product := account(), id.New(id.Product)

	if got := show(s.serve(viewer.Viewer{}, save, input(product, 5, "Fine"))); !strings.Contains(got, `"code":"UNAUTHENTICATED"`) {
		t.Errorf("a guest: %s", got)
	}
	if got := show(at(s.serve(ann, save, input(product, 5, "Fine")), "data", "reviewSave")); got != `{"review":null,"userErrors":[{"code":"NOT_PURCHASED","field":["input","productId"]}]}` {
		t.Errorf("before delivery: %s", got)
	}
	s.received(ann.AccountID, product)
	want := fmt.Sprintf(`{"review":{"author":{"id":%q},"body":null,"product":{"id":%q},"rating":4,"title":"Fine","verifiedPurchase":true},"userErrors":[]}`, ann.AccountID, product)
	if got := show(at(s.serve(ann, save, input(product, 4, "Fine")), "data", "reviewSave")); got != want {
		t.Errorf("after delivery: %s", got)
	}
	s.serve(ann, save, input(product, 2, "On reflection"))
	got := show(at(s.serve(viewer.Viewer{}, page, map[string]any{"p": product}), "data", "_entities", 0))
	if !strings.Contains(got, `"rating":{"average":2,"count":1,"histogram":[0,1,0,0,0]}`) || !strings.Contains(got, `"nodes":[{"title":"On reflection"}]`) {
		t.Errorf("a second review of the same account must replace its first: %s", got)
	}
}

func TestRefusalsNameTheField(t *testing.T) {
	s := setup(t)
	ann := account()
	for field, in := range map[string]map[string]any{
		"productId": input("prod_1", 5, ""),
		"rating":    input(id.New(id.Product), 6, ""),
		"title":     input(id.New(id.Product), 5, strings.Repeat("x", 121)),
	} {
		want := fmt.Sprintf(`[{"code":"INVALID","field":["input",%q]}]`, field)
		if got := show(at(s.serve(ann, save, in), "data", "reviewSave", "userErrors")); got != want {
			t.Errorf("%s: %s", field, got)
		}
	}
	if got := show(s.serve(ann, page, map[string]any{"p": id.New(id.Product), "first": 0})); !strings.Contains(got, `"INVALID_FIRST"`) {
		t.Error(got)
	}
	if got := show(s.serve(ann, page, map[string]any{"p": id.New(id.Product), "after": "nonsense"})); !strings.Contains(got, `"INVALID_CURSOR"`) {
		t.Error(got)
	}
}

func TestPagesShowEveryReviewOnce(t *testing.T) {
	s := setup(t)
	product := id.New(id.Product)
	for i := range 7 {
		who := account()
		s.received(who.AccountID, product)
		s.clock.Advance(time.Duration(i%2) * time.Second) // some share a moment
		s.serve(who, save, input(product, 1+i%3, fmt.Sprint(i)))
	}
	for _, sort := range []string{"NEWEST", "RATING_DESC", "RATING_ASC"} {
		seen, after := map[string]bool{}, any(nil)
		for range 4 {
			reviews := at(s.serve(viewer.Viewer{}, page, map[string]any{"p": product, "first": 2, "after": after, "sort": sort}), "data", "_entities", 0, "reviews")
			for _, n := range at(reviews, "nodes").([]any) {
				seen[at(n, "title").(string)] = true
			}
			if at(reviews, "totalCount") != 7.0 {
				t.Errorf("%s: totalCount %v", sort, at(reviews, "totalCount"))
			}
			after = at(reviews, "pageInfo", "endCursor")
		}
		if len(seen) != 7 {
			t.Errorf("%s: saw %d of 7", sort, len(seen))
		}
	}
	if got := show(at(s.serve(viewer.Viewer{}, page, map[string]any{"p": product, "stars": 1}), "data", "_entities", 0, "reviews", "totalCount")); got != "3" {
		t.Errorf("one star: %s", got)
	}
}

// What is counted is what is listed, even when there is another review after every single question; and it is counted for who asks.
func TestReviewsAreCountedAsTheyAreListed(t *testing.T) {
	s := setup(t)
	product, store := id.New(id.Product), s.store
	author, ann := account(), account()
	another := func() {
		who, of := account(), product
		for _, r := range []reviews.Review{{AuthorID: who.AccountID, ProductID: of}, {AuthorID: author.AccountID, ProductID: id.New(id.Product)}} {
			s.received(r.AuthorID, r.ProductID)
			r.ID, r.Rating, r.CreatedAt, r.UpdatedAt = id.New(id.Review), 4, s.clock.Now(), s.clock.Now()
			if _, err := store.Save(t.Context(), r); err != nil {
				t.Error(err)
			}
		}
	}
	another()
	counts := 0
	s.open(pgtest.Watched(t, s.pool, func(sql string) {
		if strings.Contains(sql, "FROM reviews") {
			another()
		}
		if strings.Contains(sql, "count(") || strings.Contains(sql, "FROM ratings") {
			counts++
		}
	}))
	for of, c := range map[string]struct {
		key, args string
		some      bool
	}{
		"of a product":              {product, "first: 250", true},
		"of a product, of 4 stars":  {product, "first: 250, rating: 4", true},
		"of a product, of one star": {product, "first: 250, rating: 1", false},
		"of a product without any":  {id.New(id.Product), "first: 250", false},
		"of an author":              {author.AccountID, "first: 250", true},
		"of an author without any":  {ann.AccountID, "first: 250", false},
	} {
		kind := "Product"
		if strings.Contains(of, "author") {
			kind = "Account"
		}
		query := func(fields string) string {
			return `query ($k: ID!) { _entities(representations: [{__typename: "` + kind + `", id: $k}]) { ... on ` + kind + ` { reviews(` + c.args + `) { ` + fields + ` } } } }`
		}
		answer := s.serve(ann, query("nodes { id } totalCount"), map[string]any{"k": c.key})
		nodes, _ := at(answer, "data", "_entities", 0, "reviews", "nodes").([]any)
		if total := at(answer, "data", "_entities", 0, "reviews", "totalCount"); total != float64(len(nodes)) || len(nodes) == 0 && c.some {
			t.Errorf("%s: %d are listed and %v counted: %s", of, len(nodes), total, show(answer))
		}
		counts = 0
		if answer := s.serve(ann, query("nodes { id }"), map[string]any{"k": c.key}); counts > 0 || at(answer, "errors") != nil {
			t.Errorf("%s: counted %d times though nobody asked: %s", of, counts, show(answer))
		}
	}
}

// One read, or a few when the machine is too busy to gather all in one window; never one a product.
func TestRatingsOfAResultsPageAreFewReads(t *testing.T) {
	s := setup(t)
	var reps []map[string]any
	for range 24 {
		reps = append(reps, map[string]any{"__typename": "Product", "id": id.New(id.Product)})
	}
	got := s.serve(viewer.Viewer{}, `query ($r: [_Any!]!) { _entities(representations: $r) { ... on Product { rating { count } } } }`, map[string]any{"r": reps})
	if n := s.store.ratings.Load(); n < 1 || n > 8 {
		t.Errorf("%d reads for 24 products", n)
	}
	if len(at(got, "data", "_entities").([]any)) != 24 {
		t.Error(show(got))
	}
}

// A store that is away is told as such: a client may try again, and learns nothing of the store.
func TestTheStoreIsAway(t *testing.T) {
	t.Parallel()
	pool, err := pgxpool.New(t.Context(), "host=127.0.0.1 port=1 user=souk sslmode=disable") // nobody listens there
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	h := graph.Handler(reviews.New(postgres.NewStore(pool), clock.System), slog.New(slog.DiscardHandler))
	req := httptest.NewRequestWithContext(t.Context(), "POST", "/graphql", strings.NewReader(`{"query":"{ _entities(representations: [{__typename: \"Product\", id: \"prod_1\"}]) { ... on Product { rating { count } } } }"}`))
	req.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	if got := rec.Body.String(); !strings.Contains(got, `"code":"STORE_UNAVAILABLE"`) || strings.Contains(got, "connection") {
		t.Error(got)
	}
}

// failing is a store that fails as nobody foresaw.
type failing struct {
	reviews.Store
	fail func() error
}

func (f failing) RatingsOf(context.Context, []string) ([]reviews.Rating, error) { return nil, f.fail() }

// What nobody named is told as an internal error and nothing else; the words of the store are for the log.
func TestWhatGoesWrongInsideIsNotTold(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func() error{
		"an error": func() error { return errors.New(`column "secret" does not exist`) },
		"a panic":  func() error { panic("a secret") },
	} {
		var log bytes.Buffer
		h := graph.Handler(reviews.New(failing{fail: fail}, clock.System), slog.New(slog.NewTextHandler(&log, nil)))
		req := httptest.NewRequestWithContext(t.Context(), "POST", "/graphql", strings.NewReader(`{"query":"{ _entities(representations: [{__typename: \"Product\", id: \"prod_1\"}]) { ... on Product { rating { count } } } }"}`))
		req.Header.Set("Content-Type", "application/json")
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		if got := rec.Body.String(); !strings.Contains(got, `"message":"internal error"`) || !strings.Contains(got, `"code":"INTERNAL"`) || strings.Contains(got, "secret") {
			t.Errorf("%s: %s", name, got)
		}
		if !strings.Contains(log.String(), "secret") {
			t.Errorf("%s: the log says %q", name, log.String())
		}
	}
}
