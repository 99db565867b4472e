package graph_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/catalog"
	"github.com/souk-shop/souk/subgraphs/catalog/feed"
	"github.com/souk-shop/souk/subgraphs/catalog/graph"
	"github.com/souk-shop/souk/subgraphs/catalog/mongo"
	"github.com/souk-shop/souk/subgraphs/catalog/mongo/mongotest"
)

// blobs keeps files in memory.
type blobs struct {
	mu    sync.Mutex
	files map[string][]byte
}

func (b *blobs) SignUpload(_ context.Context, key, mimeType string, _ int64, _ time.Duration) (string, map[string]string, error) {
	return "https://blobs.test/" + key, map[string]string{"Content-Type": mimeType}, nil
}

func (b *blobs) put(key string, file []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.files[key] = file
}

func (b *blobs) Size(_ context.Context, key string) (int64, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	file, there := b.files[key]
	return int64(len(file)), there, nil
}

func (b *blobs) Open(_ context.Context, key string) (io.ReadCloser, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return io.NopCloser(bytes.NewReader(b.files[key])), nil
}

func (b *blobs) Delete(_ context.Context, key string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.files, key)
	return nil
}

func (b *blobs) PublicURL(key string) string { return "https://cdn.test/" + key }

// sellers knows who is professional.
type sellers map[string]bool

func (s sellers) Professional(_ context.Context, sellerID string) (bool, error) {
	return s[sellerID], nil
}

type shop struct {
	t               *testing.T
	db              *mongotest.Database
	store           *mongo.Store
	catalog         *catalog.Catalog
	blobs           *blobs
	clock           *clock.Held
	ann, bob, staff viewer.Viewer // ann is a professional seller, bob an individual one
	handler         http.Handler
	serve           func(viewer.Viewer, string, map[string]any) map[string]any
}

func setup(t *testing.T) *shop {
	t.Parallel()
	s := &shop{t: t, db: mongotest.New(t), blobs: &blobs{files: map[string][]byte{}}, clock: clock.Hold(time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC))}
	sells := func() viewer.Viewer {
		return viewer.Viewer{AccountID: id.New(id.Account), SellerID: id.New(id.Seller), Scopes: []string{viewer.ScopeSeller}}
	}
	s.ann, s.bob, s.staff = sells(), sells(), viewer.Viewer{AccountID: id.New(id.Account), Scopes: []string{viewer.ScopeStaff}}
	var err error
	if s.store, err = mongo.NewStore(t.Context(), s.db.Database); err != nil {
		t.Fatal(err)
	}
	s.catalog = catalog.New(s.store, s.blobs, sellers{s.ann.SellerID: true}, feed.Reader{}, s.clock)
	s.handler = graph.Handler(s.catalog, slog.New(slog.NewTextHandler(t.Output(), nil)))
	s.serve = func(who viewer.Viewer, query string, vars map[string]any) map[string]any {
		t.Helper()
		body, _ := json.Marshal(map[string]any{"query": query, "variables": vars})
		req := httptest.NewRequestWithContext(viewer.With(t.Context(), who), "POST", "/graphql", bytes.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		rec := httptest.NewRecorder()
		s.handler.ServeHTTP(rec, req)
		var answer map[string]any
		if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%v: %s", err, rec.Body)
		}
		return answer
	}
	s.ensure("Shirts")
	return s
}

func (s *shop) ensure(path ...string) {
	s.t.Helper()
	if _, err := s.catalog.EnsureCategory(s.t.Context(), path); err != nil {
		s.t.Fatal(err)
	}
}

// want compares data with JSON.
func want(t *testing.T, answer map[string]any, data string) {
	t.Helper()
	var wanted any
	if err := json.Unmarshal([]byte(data), &wanted); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wanted, answer["data"]); diff != "" || answer["errors"] != nil {
		t.Errorf("(-want +got):\n%s\nerrors: %v", diff, answer["errors"])
	}
}

// wantError compares the code of the only error.
func wantError(t *testing.T, answer map[string]any, code string) {
	t.Helper()
	errs, _ := answer["errors"].([]any)
	if len(errs) != 1 || dig(errs[0], "extensions", "code") != code {
		t.Errorf("want %s, got %v, data %v", code, errs, answer["data"])
	}
}

func dig(v any, path ...any) any {
	for _, step := range path {
		switch s := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[s]
		case int:
			l, _ := v.([]any)
			if s >= len(l) {
				return nil
			}
			v = l[s]
		}
	}
	return v
}

type obj = map[string]any

func usd(amount string) obj { return obj{"amount": amount, "currencyCode": "USD"} }

func variant(sku, amount string, options ...string) obj {
	var chosen []obj
	for i := 0; i < len(options); i += 2 {
		chosen = append(chosen, obj{"name": options[i], "value": options[i+1]})
	}
	return obj{"sku": sku, "price": usd(amount), "options": chosen, "weightGrams": 200}
}

func shirt(variants ...obj) obj {
	return obj{
		"externalId": "shirt-1", "title": "Linen  Shirt", "description": "Light.", "categorySlug": "shirts", "brand": "Acme",
		"attributes": []obj{{"key": "fabric", "value": "Linen"}, {"key": "fabric_weight", "value": "180", "unit": "g/m²"}},
		"imageUrls":  []string{"https://img.test/front.png", "https://img.test/back.png"},
		"variants":   variants,
	}
}

func with(o obj, pairs ...any) obj {
	out := obj{}
	for k, v := range o {
		out[k] = v
	}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i].(string)] = pairs[i+1]
	}
	return out
}

const save = `mutation ($input: ProductSaveInput!) { productSave(input: $input) {
	product { id slug version title variants { nodes { id sku } } } userErrors { code field } } }`

func (s *shop) save(who viewer.Viewer, input obj) (product obj, errs []any) {
	s.t.Helper()
	answer := s.serve(who, save, obj{"input": input})
	if answer["errors"] != nil {
		s.t.Fatalf("%v", answer["errors"])
	}
	product, _ = dig(answer, "data", "productSave", "product").(obj)
	errs, _ = dig(answer, "data", "productSave", "userErrors").([]any)
	return product, errs
}

// saved wants a save to succeed, and returns the product's id.
func (s *shop) saved(who viewer.Viewer, input obj) string {
	s.t.Helper()
	p, errs := s.save(who, input)
	if len(errs) > 0 {
		s.t.Fatalf("%v", errs)
	}
	return p["id"].(string)
}

func refused(t *testing.T, errs []any, want ...string) {
	t.Helper()
	var got []string
	for _, e := range errs {
		line := dig(e, "code").(string)
		if field, ok := dig(e, "field").([]any); ok {
			for _, step := range field {
				line += " " + step.(string)
			}
		}
		got = append(got, strings.Replace(line, " input ", " ", 1))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCommands(t *testing.T) {
	s := setup(t)
	var products, variantIDs []obj
	for i := range 24 {
		var sizes []obj
		for j := range 20 {
			sizes = append(sizes, variant(string(rune('A'+i))+string(rune('a'+j)), "9.00", "Size", string(rune('a'+j))))
		}
		p, errs := s.save(s.ann, with(shirt(sizes...), "externalId", string(rune('A'+i))))
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		products = append(products, obj{"__typename": "Product", "id": p["id"]})
		for _, v := range dig(p, "variants", "nodes").([]any)[:3] {
			variantIDs = append(variantIDs, obj{"__typename": "ProductVariant", "id": dig(v, "id")})
		}
	}
	for name, c := range map[string]struct {
		query string
		vars  obj
		want  []string
	}{
		"a product's page": {`query ($id: ID) { product(id: $id) { title media { url } attributes { key } options { values } category { name ancestors { name } }
			variants(first: 20) { nodes { sku title price { amount } image { url } product { slug category { name } } } } } }`,
			obj{"id": products[0]["id"]}, []string{"find", "find"}},
		"24 products": {`query ($r: [_Any!]!) { _entities(representations: $r) { ... on Product { title thumbnail priceRange { min { amount } } } } }`,
			obj{"r": products}, []string{"find"}},
		"24 products with their categories": {`query ($r: [_Any!]!) { _entities(representations: $r) { ... on Product { title category { name productCount } } } }`,
			obj{"r": products}, []string{"find", "find", "aggregate"}},
		"50 variants": {`query ($r: [_Any!]!) { _entities(representations: $r) { ... on ProductVariant { sku price { amount } product { title } } } }`,
			obj{"r": variantIDs[:50]}, []string{"find"}},
	} {
		var commands []string
		for _, command := range s.db.During(func() {
			if answer := s.serve(viewer.Viewer{}, c.query, c.vars); answer["errors"] != nil {
				t.Errorf("%s: %v", name, answer["errors"])
			}
		}) {
			commands = append(commands, mongotest.Name(command))
		}
		if diff := cmp.Diff(c.want, commands); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
