package graph_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
)

const importMutation = `mutation ($input: BulkImportInput!) { bulkImport(input: $input) { operation { id status } userErrors { code field } } }`

// bulk asks for an import and returns the operation's id.
func (s *shop) bulk(who viewer.Viewer, mimeType, text string, more ...any) string {
	s.t.Helper()
	format := map[string]string{"application/jsonl": "JSONL", "text/csv": "CSV"}[mimeType]
	input := with(obj{"stagedUploadId": s.upload(who, mimeType, []byte(text)), "format": format, "idempotencyKey": id.New(id.Event)}, more...)
	answer := s.serve(who, importMutation, obj{"input": input})
	bulkID, _ := dig(answer, "data", "bulkImport", "operation", "id").(string)
	if bulkID == "" {
		s.t.Fatalf("%v", answer)
	}
	return bulkID
}

// imported imports what waits.
func (s *shop) imported() {
	s.t.Helper()
	if worked, err := s.catalog.ImportNext(s.t.Context()); err != nil || !worked {
		s.t.Fatalf("worked: %v, %v", worked, err)
	}
}

func (s *shop) operation(bulkID string) (summary string, rows []string) {
	s.t.Helper()
	answer := s.serve(s.ann, `query ($id: ID!) { bulkOperation(id: $id) { status total processed succeeded failed failure finishedAt
		rowErrors { nodes { row externalId errors { code field } } } } }`, obj{"id": bulkID})
	b := dig(answer, "data", "bulkOperation")
	for _, n := range dig(b, "rowErrors", "nodes").([]any) {
		line := fmt.Sprint(dig(n, "row"), " ", dig(n, "externalId"))
		for _, e := range dig(n, "errors").([]any) {
			line += fmt.Sprint(" | ", dig(e, "code"), " ", dig(e, "field"))
		}
		rows = append(rows, line)
	}
	return fmt.Sprint(dig(b, "status"), " total ", dig(b, "total"), " processed ", dig(b, "processed"),
		" succeeded ", dig(b, "succeeded"), " failed ", dig(b, "failed"), " failure ", dig(b, "failure")), rows
}

func (s *shop) wantOperation(bulkID, summary string, rows ...string) {
	s.t.Helper()
	gotSummary, gotRows := s.operation(bulkID)
	if gotSummary != summary {
		s.t.Errorf("got  %s\nwant %s", gotSummary, summary)
	}
	if diff := cmp.Diff(rows, gotRows); diff != "" {
		s.t.Error(diff)
	}
}

func row(externalID, sku string, more ...any) string {
	b, _ := json.Marshal(with(obj{
		"externalId": externalID, "title": "Shirt " + externalID, "description": "", "categoryPath": []string{"Clothes", "Shirts"},
		"variants": []obj{variant(sku, "9.00")},
	}, more...))
	return string(b)
}

func (s *shop) countOf(who viewer.Viewer, externalIDs ...string) int {
	s.t.Helper()
	found, err := s.store.ProductsOfSeller(s.t.Context(), who.SellerID, externalIDs)
	if err != nil {
		s.t.Fatal(err)
	}
	return len(found)
}

func TestBulkImport(t *testing.T) {
	s := setup(t)
	s.saved(s.bob, with(shirt(variant("TAKEN", "9.00")), "externalId", "bobs"))
	text := strings.Join([]string{
		row("a", "A"), "{broken", row("b", "B", "title", ""), "", row("c", "TAKEN"), row("d", "D"), row("a", "A", "title", "Again"),
		row("e", "E", "categoryPath", nil, "categorySlug", "no"),
	}, "\r\n")
	const summary = "COMPLETED_WITH_ERRORS total 7 processed 7 succeeded 3 failed 4 failure <nil>"
	rows := []string{"2 <nil> | INVALID <nil>", "3 b | INVALID [title]", "5 c | SKU_TAKEN [variants 0 sku]", "8 e | NOT_FOUND [categorySlug]"}

	bulkID := s.bulk(s.ann, "application/jsonl", text)
	s.wantOperation(bulkID, "QUEUED total <nil> processed 0 succeeded 0 failed 0 failure <nil>")
	s.imported()
	s.wantOperation(bulkID, summary, rows...)
	found, _ := s.store.ProductsOfSeller(t.Context(), s.ann.SellerID, []string{"a", "d"})
	if len(found) != 2 || found[0].Title != "Again" && found[1].Title != "Again" {
		t.Errorf("%+v", found)
	}

	again := s.bulk(s.ann, "application/jsonl", text)
	s.imported()
	s.wantOperation(again, summary, rows...)
	if worked, err := s.catalog.ImportNext(t.Context()); worked || err != nil {
		t.Errorf("worked: %v, %v", worked, err)
	}

	// The rows' pages.
	const page = `query ($id: ID!, $after: String) { bulkOperation(id: $id) { rowErrors(first: 3, after: $after) { nodes { row } pageInfo { hasNextPage endCursor } } } }`
	first := dig(s.serve(s.staff, page, obj{"id": bulkID}), "data", "bulkOperation", "rowErrors")
	want(t, s.serve(s.ann, page, obj{"id": bulkID, "after": dig(first, "pageInfo", "endCursor")}),
		`{"bulkOperation": {"rowErrors": {"nodes": [{"row": 8}], "pageInfo": {"hasNextPage": false, "endCursor": "OA"}}}}`)
	want(t, s.serve(s.bob, page, obj{"id": bulkID}), `{"bulkOperation": null}`)
	wantError(t, s.serve(s.bob, page, obj{"id": "bulk_1"}), "INVALID_ID")
	const entities = `query ($r: [_Any!]!) { _entities(representations: $r) { ... on BulkOperation { failed } } }`
	want(t, s.serve(s.ann, entities, obj{"r": []obj{{"__typename": "BulkOperation", "id": bulkID}}}), `{"_entities": [{"failed": 4}]}`)
	want(t, s.serve(viewer.Viewer{}, entities, obj{"r": []obj{{"__typename": "BulkOperation", "id": bulkID}}}), `{"_entities": [null]}`)
}

func TestBulkImportCSV(t *testing.T) {
	s := setup(t)
	const text = "externalId,title,categoryPath,sku,price,currency,weightGrams,option:Size\n" +
		"a,Shirt,Clothes > Shirts,A-S,9.00,USD,100,S\na,,,A-M,9.00,USD,100,M\n" +
		"b,Hat,Clothes > Hats,B-S,9.00,USD,100,S\nb,,,B-M,0,USD,100,M\nb,,,B-L,9.00,USD,100,L\n" +
		"c,Cap,Clothes > Hats,C,9.00,USD,100,\n"
	bulkID := s.bulk(s.ann, "text/csv", text)
	s.imported()
	s.wantOperation(bulkID, "COMPLETED_WITH_ERRORS total 6 processed 6 succeeded 3 failed 3 failure <nil>",
		"3 b | INVALID <nil>", "4 b | INVALID [variants 1 price]", "5 b | INVALID <nil>")
	found, _ := s.store.ProductsOfSeller(t.Context(), s.ann.SellerID, []string{"a"})
	if len(found) != 1 || len(found[0].Variants) != 2 || found[0].Variants[1].Title() != "M" {
		t.Errorf("%+v", found)
	}
	broken := s.bulk(s.ann, "text/csv", "title\nx\n")
	s.imported()
	s.wantOperation(broken, "FAILED total <nil> processed 0 succeeded 0 failed 0 failure column externalId is missing")
	empty := s.bulk(s.ann, "application/jsonl", "\n")
	s.imported()
	s.wantOperation(empty, "FAILED total <nil> processed 0 succeeded 0 failed 0 failure the feed has no rows")
}

func TestBulkImportAllOrNothing(t *testing.T) {
	s := setup(t)
	all := obj{"onError": "REJECT_ALL"}
	bad := s.bulk(s.ann, "application/jsonl", row("a", "A")+"\n"+row("b", "B", "title", "")+"\n"+row("c", "A"), "onError", all["onError"])
	s.imported()
	s.wantOperation(bad, "FAILED total 3 processed 3 succeeded 0 failed 2 failure <nil>", "2 b | INVALID [title]", "3 c | SKU_TAKEN [variants 0 sku]")
	if n := s.countOf(s.ann, "a", "b", "c"); n != 0 {
		t.Errorf("%d products of a rejected feed are in", n)
	}
	good := s.bulk(s.ann, "application/jsonl", row("a", "A")+"\n"+row("b", "B")+"\n"+row("a", "A2")+"\n"+row("c", "C"), "onError", all["onError"])
	s.imported()
	s.wantOperation(good, "COMPLETED total 4 processed 4 succeeded 4 failed 0 failure <nil>")
	if n := s.countOf(s.ann, "a", "b", "c"); n != 3 {
		t.Errorf("%d of 3 products are in", n)
	}
}

func TestDryRun(t *testing.T) {
	s := setup(t)
	s.saved(s.ann, with(shirt(variant("S", "9.00")), "externalId", nil)) // known by its SKU alone
	same, _ := json.Marshal(with(shirt(variant("S", "9.00")), "externalId", nil))
	text := strings.Join([]string{row("a", "A"), row("b", "A"), string(same), row("c", "C", "status", "SOLD")}, "\n")
	bulkID := s.bulk(s.ann, "application/jsonl", text, "dryRun", true)
	s.imported()
	s.wantOperation(bulkID, "COMPLETED_WITH_ERRORS total 4 processed 4 succeeded 2 failed 2 failure <nil>", "2 b | SKU_TAKEN [variants 0 sku]", "4 c | INVALID [status]")
	if n := s.countOf(s.ann, "a", "b", "c"); n != 0 {
		t.Errorf("a dry run added %d products", n)
	}
	if found, _ := s.store.CategoriesBySlug(t.Context(), []string{"clothes"}); len(found) > 0 {
		t.Error("a dry run added a category")
	}

	// One that nothing is wrong with changes nothing either.
	clean := s.bulk(s.ann, "application/jsonl", row("a", "A")+"\n"+row("b", "B"), "dryRun", true, "onError", "REJECT_ALL")
	s.imported()
	s.wantOperation(clean, "COMPLETED total 2 processed 2 succeeded 2 failed 0 failure <nil>")
	if n := s.countOf(s.ann, "a", "b"); n != 0 {
		t.Errorf("a dry run without faults added %d products", n)
	}
}

// What comes through a feed is what a single save would have made of it.
func TestOneAndManyEndIdentical(t *testing.T) {
	s := setup(t)
	input := shirt(with(variant("S", "9.00", "Size", "S"), "compareAtPrice", usd("10.00")), variant("M", "9.50", "Size", "M"))
	s.saved(s.ann, input)
	single, _ := s.store.ProductsOfSeller(t.Context(), s.ann.SellerID, []string{"shirt-1"})

	line, _ := json.Marshal(input)
	s.imports(line)
	if again, _ := s.store.ProductsOfSeller(t.Context(), s.ann.SellerID, []string{"shirt-1"}); !cmp.Equal(single, again) {
		t.Errorf("importing what was saved changes it:\n%s", cmp.Diff(single, again))
	}
	other, _ := json.Marshal(with(input, "externalId", "shirt-2", "variants", []obj{
		with(variant("S2", "9.00", "Size", "S"), "compareAtPrice", usd("10.00")), variant("M2", "9.50", "Size", "M")}))
	s.imports(other)
	many, _ := s.store.ProductsOfSeller(t.Context(), s.ann.SellerID, []string{"shirt-2"})
	one, two := single[0], many[0]
	two.ID, two.Slug, two.ExternalID = one.ID, one.Slug, one.ExternalID
	for i := range two.Variants {
		two.Variants[i].ID, two.Variants[i].SKU = one.Variants[i].ID, one.Variants[i].SKU
		two.Linked[i].ID = one.Linked[i].ID
	}
	if diff := cmp.Diff(one, two); diff != "" {
		t.Error(diff)
	}
}

func (s *shop) imports(line []byte) {
	s.t.Helper()
	bulkID := s.bulk(s.ann, "application/jsonl", string(line))
	s.imported()
	s.wantOperation(bulkID, "COMPLETED total 1 processed 1 succeeded 1 failed 0 failure <nil>")
}

func TestWhoMayImport(t *testing.T) {
	s := setup(t)
	uploadID := s.upload(s.ann, "application/jsonl", []byte(row("a", "A")))
	input := obj{"stagedUploadId": uploadID, "format": "JSONL", "idempotencyKey": "k"}
	ask := func(who viewer.Viewer, input obj) any {
		return dig(s.serve(who, importMutation, obj{"input": input}), "data", "bulkImport")
	}
	refusal := func(code string, field ...any) any {
		var at any
		if field != nil {
			at = field
		}
		return obj{"operation": nil, "userErrors": []any{obj{"code": code, "field": at}}}
	}
	picture := s.upload(s.ann, "image/png", []byte("\x89PNG\r\n\x1a\n"))
	late := dig(s.serve(s.ann, `mutation { stagedUploadCreate(input: {filename: "f", mimeType: "text/csv", bytes: 5}) { uploadId } }`, nil), "data", "stagedUploadCreate", "uploadId")
	for name, c := range map[string]struct {
		who   viewer.Viewer
		input obj
		want  any
	}{
		"an individual seller": {s.bob, input, refusal("NOT_PROFESSIONAL")},
		"no upload":            {s.ann, with(input, "stagedUploadId", "x"), refusal("INVALID", "input", "stagedUploadId")},
		"unknown upload":       {s.ann, with(input, "stagedUploadId", id.New(id.Upload)), refusal("NOT_FOUND", "input", "stagedUploadId")},
		"a picture":            {s.ann, with(input, "stagedUploadId", picture), refusal("INVALID", "input", "stagedUploadId")},
		"not uploaded":         {s.ann, with(input, "stagedUploadId", late), refusal("INVALID", "input", "stagedUploadId")},
		"no key":               {s.ann, with(input, "idempotencyKey", ""), refusal("INVALID", "input", "idempotencyKey")},
	} {
		if diff := cmp.Diff(c.want, ask(c.who, c.input)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	first := ask(s.ann, input)
	if dig(first, "operation", "status") != "QUEUED" || !cmp.Equal(first, ask(s.ann, input)) {
		t.Errorf("%v, then %v", first, ask(s.ann, input))
	}
	if diff := cmp.Diff(refusal("IDEMPOTENCY_CONFLICT", "input", "idempotencyKey"), ask(s.ann, with(input, "dryRun", true))); diff != "" {
		t.Error(diff)
	}
	wantError(t, s.serve(s.staff, importMutation, obj{"input": input}), "FORBIDDEN")
}

func TestWatchingAnImport(t *testing.T) {
	s := setup(t)
	bulkID := s.bulk(s.ann, "application/jsonl", row("a", "A")+"\n"+row("b", "B"))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.handler.ServeHTTP(w, r.WithContext(viewer.With(r.Context(), s.ann)))
	}))
	defer server.Close()
	subscribe := func(bulkID string) *bufio.Scanner {
		body, _ := json.Marshal(obj{"query": `subscription ($id: ID!) { bulkOperationUpdated(id: $id) { status succeeded rowErrors { nodes { row } } } }`, "variables": obj{"id": bulkID}})
		req, _ := http.NewRequestWithContext(t.Context(), "POST", server.URL, bytes.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "text/event-stream")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { res.Body.Close() })
		return bufio.NewScanner(res.Body)
	}
	var got []string
	worked := false
	for lines := subscribe(bulkID); lines.Scan(); {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		got = append(got, data)
		if !worked {
			worked = true
			s.imported()
		}
	}
	// What comes between depends on when it is looked at.
	if len(got) < 2 || !strings.Contains(got[0], "QUEUED") || !strings.Contains(got[len(got)-1], `"status":"COMPLETED","succeeded":2`) {
		t.Errorf("%q", got)
	}
	var all string
	for lines := subscribe(id.New(id.BulkOperation)); lines.Scan(); {
		all += lines.Text()
	}
	if !strings.Contains(all, "NOT_FOUND") {
		t.Error(all)
	}
}
