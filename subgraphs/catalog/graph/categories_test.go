package graph_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
)

func TestCategories(t *testing.T) {
	s := setup(t)
	const ensure = `mutation ($path: [String!]!) { categoryEnsure(input: {path: $path}) { category { slug name ancestors { name } } userErrors { code field } } }`
	want(t, s.serve(s.ann, ensure, obj{"path": []string{"Phones", " Cases  and covers "}}),
		`{"categoryEnsure": {"category": {"slug": "cases-and-covers", "name": "Cases and covers", "ancestors": [{"name": "Phones"}]}, "userErrors": []}}`)
	want(t, s.serve(s.staff, ensure, obj{"path": []string{"PHONES", "cases AND covers"}}),
		`{"categoryEnsure": {"category": {"slug": "cases-and-covers", "name": "Cases and covers", "ancestors": [{"name": "Phones"}]}, "userErrors": []}}`)
	want(t, s.serve(s.staff, ensure, obj{"path": []string{"Tablets", "Cases and covers"}}),
		`{"categoryEnsure": {"category": {"slug": "tablets-cases-and-covers", "name": "Cases and covers", "ancestors": [{"name": "Tablets"}]}, "userErrors": []}}`)
	want(t, s.serve(s.ann, ensure, obj{"path": []string{}}), `{"categoryEnsure": {"category": null, "userErrors": [{"code": "INVALID", "field": ["input", "path"]}]}}`)
	want(t, s.serve(s.ann, ensure, obj{"path": []string{"a", " "}}), `{"categoryEnsure": {"category": null, "userErrors": [{"code": "INVALID", "field": ["input", "path", "1"]}]}}`)
	want(t, s.serve(s.ann, ensure, obj{"path": strings.Split("123456789", "")}), `{"categoryEnsure": {"category": null, "userErrors": [{"code": "TOO_LARGE", "field": ["input", "path"]}]}}`)
	wantError(t, s.serve(viewer.Viewer{AccountID: id.New(id.Account)}, ensure, obj{"path": []string{"a"}}), "FORBIDDEN")

	s.saved(s.ann, with(shirt(variant("C", "9.00")), "categorySlug", "cases-and-covers"))
	s.saved(s.ann, with(shirt(variant("D", "9.00")), "externalId", "x", "categorySlug", "cases-and-covers", "status", "DRAFT"))
	want(t, s.serve(viewer.Viewer{}, `{ categoryTree { name productCount children { name productCount parent { name } } } category(slug: "shirts") { name } no: category(slug: "no") { name } }`, nil),
		`{"categoryTree": [
			{"name": "Phones", "productCount": 1, "children": [{"name": "Cases and covers", "productCount": 1, "parent": {"name": "Phones"}}]},
			{"name": "Shirts", "productCount": 0, "children": []},
			{"name": "Tablets", "productCount": 0, "children": [{"name": "Cases and covers", "productCount": 0, "parent": {"name": "Tablets"}}]}],
		  "category": {"name": "Shirts"}, "no": null}`)

	slugs := make([]any, 8)
	var all sync.WaitGroup
	for i := range slugs {
		all.Go(func() {
			slugs[i] = dig(s.serve(s.ann, ensure, obj{"path": []string{"Race", "Deep", "Deeper"}}), "data", "categoryEnsure", "category", "slug")
		})
	}
	all.Wait()
	for _, slug := range slugs {
		if slug != "deeper" {
			t.Errorf("%v", slugs)
			break
		}
	}
}
