package typesense

import (
	"bufio"
	"context"
	"testing"
	"time"

	client "github.com/typesense/typesense-go/v4/typesense"
	"github.com/typesense/typesense-go/v4/typesense/api"
	"github.com/typesense/typesense-go/v4/typesense/api/pointer"
)

// TestOfficialClient walks through what a shop does with the official client.
func TestOfficialClient(t *testing.T) {
	s := open(t, t.TempDir())
	ctx := context.Background()
	c := client.NewClient(client.WithServer(s.URL()), client.WithAPIKey(testKey))
	if healthy, err := c.Health(ctx, time.Second); !healthy || err != nil {
		t.Fatal(healthy, err)
	}
	_, err := c.Collections().Create(ctx, &api.CollectionSchema{
		Name: "products_1", EnableNestedFields: pointer.True(), DefaultSortingField: pointer.String("popularity"),
		Fields: []api.Field{
			{Name: "title", Type: "string"},
			{Name: "brand", Type: "string", Facet: pointer.True()},
			{Name: "price", Type: "int64", Facet: pointer.True()},
			{Name: "popularity", Type: "int32"},
			{Name: "attributes.*", Type: "auto", Facet: pointer.True(), Optional: pointer.True()},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Aliases().Upsert(ctx, "products", &api.CollectionAliasSchema{CollectionName: "products_1"}); err != nil {
		t.Fatal(err)
	}
	results, err := c.Collection("products").Documents().Import(ctx, []any{
		map[string]any{"id": "a", "title": "Samsung Galaxy S24", "brand": "Samsung", "price": 79900, "popularity": 9, "attributes": map[string]any{"color": "black"}},
		map[string]any{"id": "b", "title": "Samsung Galaxy Watch", "brand": "Samsung", "price": 29900, "popularity": 7, "attributes": map[string]any{"color": "silver"}},
		map[string]any{"id": "c", "title": "Apple iPhone", "brand": "Apple", "price": 99900, "popularity": 10},
		map[string]any{"id": "d", "title": "broken"},
	}, &api.ImportDocumentsParams{Action: pointer.Any(api.Upsert)})
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 4 || !results[2].Success || results[3].Success || results[3].Error == "" {
		t.Errorf("import: %+v", results)
	}
	found, err := c.Collection("products").Documents().Search(ctx, &api.SearchCollectionParams{
		Q: pointer.String("samsng galaxy"), QueryBy: pointer.String("title,brand"), FilterBy: pointer.String("price:<50000"),
		FacetBy: pointer.String("brand,attributes.color,price"), SortBy: pointer.String("_text_match:desc,price:asc"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if *found.Found != 1 || (*(*found.Hits)[0].Document)["id"] != "b" {
		t.Errorf("found %d", *found.Found)
	}
	if facets := *found.FacetCounts; len(facets) != 3 || *(*facets[1].Counts)[0].Value != "silver" || *facets[2].Stats.Max != 29900 {
		t.Errorf("facets %+v", facets)
	}
	multi, err := c.MultiSearch.Perform(ctx, &api.MultiSearchParams{QueryBy: pointer.String("title")}, api.MultiSearchSearchesParameter{
		Searches: []api.MultiSearchCollectionParameters{
			{Collection: pointer.String("products"), Q: pointer.String("*"), PerPage: pointer.Int(1)},
			{Collection: pointer.String("products"), Q: pointer.String("iph"), GroupBy: pointer.String("brand")},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(multi.Results) != 2 || *multi.Results[0].Found != 3 || len(*multi.Results[1].GroupedHits) != 1 {
		t.Errorf("multi_search: %+v", multi)
	}
	if n, err := c.Collection("products").Documents().Update(ctx, map[string]any{"popularity": 1}, &api.UpdateDocumentsParams{FilterBy: pointer.String("brand:=Samsung")}); n != 2 || err != nil {
		t.Errorf("update by filter: %d %v", n, err)
	}
	if _, err := c.Collection("products").Document("a").Delete(ctx); err != nil {
		t.Error(err)
	}
	body, err := c.Collection("products").Documents().Export(ctx, &api.ExportDocumentsParams{})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	lines := 0
	for in := bufio.NewScanner(body); in.Scan(); {
		lines++
	}
	if lines != 2 {
		t.Errorf("exported %d", lines)
	}
	if _, err := c.Stats().Retrieve(ctx); err != nil {
		t.Error(err)
	}
}
