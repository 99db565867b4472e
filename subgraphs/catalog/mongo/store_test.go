package mongo_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/subgraphs/catalog"
	"github.com/souk-shop/souk/subgraphs/catalog/mongo"
	"github.com/souk-shop/souk/subgraphs/catalog/mongo/mongotest"
	"github.com/souk-shop/souk/subgraphs/catalog/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) catalog.Store {
		s, _ := open(t)
		return s
	})
}

func open(t testing.TB) (*mongo.Store, *mongotest.Database) {
	t.Helper()
	db := mongotest.New(t)
	s, err := mongo.NewStore(t.Context(), db.Database)
	if err != nil {
		t.Fatal(err)
	}
	return s, db
}

// fill adds products, each in a category of its own, and returns their ids.
func fill(t testing.TB, s *mongo.Store, n int) (ids []string) {
	t.Helper()
	now := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	for from := 0; from < n; from += 500 {
		var changes []catalog.Change
		for i := from; i < min(n, from+500); i++ {
			name := fmt.Sprint("product-", i)
			p := catalog.Product{
				ID: id.New(id.Product), Slug: name, SellerID: "sel", ExternalID: name, Version: 1, Status: catalog.Active, Title: name,
				Description: "A product of the usual kind, with a description of some length.", CategoryPath: []string{"top", name},
				Variants:  []catalog.Variant{{ID: "var-" + name, SKU: name, Price: money.Money{Amount: 100, Currency: "USD"}, WeightGrams: 1}},
				Attached:  []catalog.Media{{ID: id.New(id.Media), Kind: catalog.Image, URL: "https://cdn.test/" + name, UploadID: "upl-" + name}},
				CreatedAt: now, UpdatedAt: now,
			}
			ids = append(ids, p.ID)
			changes = append(changes, catalog.Change{After: p, Event: id.New(id.Event)})
		}
		if _, err := s.WriteProducts(t.Context(), changes); err != nil {
			t.Fatal(err)
		}
	}
	return ids
}

// No question that the store asks reads documents that it does not want.
func TestIndexes(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	ctx := t.Context()
	ids := fill(t, s, 500)
	if waiting, err := s.Untold(ctx, 500); err != nil || s.Told(ctx, waiting[5:]) != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		name := fmt.Sprint("category-", i)
		if err := s.AddCategory(ctx, catalog.Category{ID: name, Slug: name, Name: name, ParentID: fmt.Sprint("parent-", i%20)}); err != nil {
			t.Fatal(err)
		}
		if err := s.SaveRowErrors(ctx, fmt.Sprint("bulk-", i%20), []catalog.RowError{{Row: i}}); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	for i := range 50 {
		at := now.AddDate(0, 0, i)
		_, err := s.AddBulk(ctx, catalog.BulkOperation{ID: fmt.Sprint("bulk-", i), SellerID: "sel", IdempotencyKey: fmt.Sprint(i), Status: catalog.Completed, FinishedAt: &at})
		if err = errors.Join(err, s.AddUpload(ctx, catalog.Upload{ID: fmt.Sprint("upl-", i), CreatedAt: at})); err != nil {
			t.Fatal(err)
		}
	}
	for name, ask := range map[string]func() (int, error){
		"old uploads": count(func() ([]catalog.Upload, error) { return s.UploadsBefore(ctx, now.AddDate(0, 0, 20), 5) }),
		"pictures": count(func() ([]string, error) {
			return s.PicturesAmong(ctx, []string{"upl-product-1", "upl-product-2", "upl-1"})
		}),
		"old imports":        count(func() ([]string, error) { return s.BulksEndedBefore(ctx, now.AddDate(0, 0, 20), 5) }),
		"by id":              count(func() ([]catalog.Product, error) { return s.ProductsByID(ctx, ids[:3]) }),
		"by slug":            count(func() ([]catalog.Product, error) { return s.ProductsBySlug(ctx, []string{"product-1", "product-2"}) }),
		"by SKU":             count(func() ([]catalog.Product, error) { return s.ProductsBySKU(ctx, []string{"product-1", "product-2"}) }),
		"by variant":         count(func() ([]catalog.Product, error) { return s.ProductsByVariant(ctx, []string{"var-product-1"}) }),
		"by external id":     count(func() ([]catalog.Product, error) { return s.ProductsOfSeller(ctx, "sel", []string{"product-1"}) }),
		"untold":             count(func() ([]catalog.Untold, error) { return s.Untold(ctx, 100) }),
		"categories by id":   count(func() ([]catalog.Category, error) { return s.CategoriesByID(ctx, []string{"category-1"}) }),
		"categories by slug": count(func() ([]catalog.Category, error) { return s.CategoriesBySlug(ctx, []string{"category-1"}) }),
		"categories by name": count(func() ([]catalog.Category, error) {
			return s.CategoriesNamed(ctx, []catalog.CategoryName{{ParentID: "parent-1", Key: "category-1"}})
		}),
		"children": func() (int, error) {
			found, err := s.ChildrenOf(ctx, []string{"parent-1"})
			return len(found["parent-1"]), err
		},
		"row errors": count(func() ([]catalog.RowError, error) { return s.RowErrors(ctx, "bulk-1", 20, 2) }),
	} {
		var found int
		var err error
		commands := db.During(func() { found, err = ask() })
		if err != nil || found == 0 || len(commands) != 1 {
			t.Fatalf("%s: found %d, %v, by %v", name, found, err, commands)
		}
		if read := explain(t, db, commands[0]); read > found {
			t.Errorf("%s: %d documents were read to find %d", name, read, found)
		}
	}
}

func count[T any](ask func() ([]T, error)) func() (int, error) {
	return func() (int, error) {
		found, err := ask()
		return len(found), err
	}
}

// explain returns how many documents a find reads.
func explain(t *testing.T, db *mongotest.Database, command bson.Raw) int {
	t.Helper()
	var find bson.D
	if err := bson.Unmarshal(command, &find); err != nil {
		t.Fatal(err)
	}
	find = slices.DeleteFunc(find, func(e bson.E) bool {
		return !slices.Contains([]string{"find", "filter", "sort", "limit", "projection"}, e.Key)
	})
	var plan struct {
		Stats struct {
			Read int `bson:"totalDocsExamined"`
		} `bson:"executionStats"`
	}
	err := db.RunCommand(t.Context(), bson.D{{Key: "explain", Value: find}, {Key: "verbosity", Value: "executionStats"}}).Decode(&plan)
	if err != nil {
		t.Fatal(err)
	}
	return plan.Stats.Read
}

func BenchmarkProductsByID(b *testing.B) {
	s, _ := open(b)
	ids := fill(b, s, 10_000)
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		from := i * 100 % 9_900
		began := time.Now()
		if found, err := s.ProductsByID(b.Context(), ids[from:from+100]); err != nil || len(found) != 100 {
			b.Fatal(len(found), err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
}
