package graph_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// After a month uploads and finished imports go. What a product shows stays, and so does what is yet to be imported; an import's key is its
// answer until the import itself is forgotten.
func TestUploadsAndImportsAreForgotten(t *testing.T) {
	s := setup(t)
	const day = 24 * time.Hour
	png := []byte("\x89PNG\r\n\x1a\n and so on")
	productID := s.saved(s.ann, shirt(variant("S", "9.00")))
	shown, unused := s.upload(s.ann, "image/png", png), s.upload(s.ann, "image/png", png)
	attach := func(upload string) any {
		answer := s.serve(s.ann, `mutation ($input: ProductMediaInput!) { productMediaAttach(input: $input) { userErrors { code } } }`,
			obj{"input": obj{"productId": productID, "stagedUploadIds": []string{upload}}})
		return dig(answer, "data", "productMediaAttach", "userErrors")
	}
	if errs := attach(shown); !cmp.Equal(errs, []any{}) {
		t.Fatal(errs)
	}
	feed := s.upload(s.ann, "application/jsonl", []byte(row("a", "A")+"\n{}"))
	input := obj{"stagedUploadId": feed, "format": "JSONL", "idempotencyKey": "month-old"}
	again := func() any { return dig(s.serve(s.ann, importMutation, obj{"input": input}), "data", "bulkImport") }
	done, _ := dig(again(), "operation", "id").(string)
	s.imported()
	if summary, rows := s.operation(done); summary != "COMPLETED_WITH_ERRORS total 2 processed 2 succeeded 1 failed 1 failure <nil>" || len(rows) != 1 {
		t.Errorf("%s, %q", summary, rows)
	}
	next := s.upload(s.ann, "application/jsonl", []byte(row("b", "B")))
	waits, _ := dig(s.serve(s.ann, importMutation, obj{"input": obj{"stagedUploadId": next, "format": "JSONL", "idempotencyKey": "waits"}}), "data", "bulkImport", "operation", "id").(string)
	forget := func(uploads, imports int64) {
		t.Helper()
		month := s.clock.Now().Add(-30 * day)
		if n, err := s.catalog.ForgetUploads(t.Context(), month); n != uploads || err != nil {
			t.Errorf("%d uploads are forgotten, want %d, %v", n, uploads, err)
		}
		if n, err := s.catalog.ForgetImports(t.Context(), month); n != imports || err != nil {
			t.Errorf("%d imports are forgotten, want %d, %v", n, imports, err)
		}
	}
	files := func(want ...string) {
		t.Helper()
		s.blobs.mu.Lock()
		defer s.blobs.mu.Unlock()
		if len(s.blobs.files) != len(want) {
			t.Errorf("%d files are left, want %q", len(s.blobs.files), want)
		}
		for _, key := range want {
			if s.blobs.files[key] == nil {
				t.Errorf("%s is gone", key)
			}
		}
	}
	s.clock.Advance(29 * day)
	forget(0, 0)
	s.clock.Advance(day + time.Minute) // nobody finds them from now on, but somebody may just have done
	if n, err := s.catalog.ForgetUploads(t.Context(), s.clock.Now()); n != 0 || err != nil {
		t.Errorf("%d uploads are forgotten though they could be put to use a moment ago, %v", n, err)
	}
	s.clock.Advance(day)
	if errs := attach(unused); !cmp.Equal(errs, []any{obj{"code": "NOT_FOUND"}}) {
		t.Errorf("an old upload: %v", errs)
	}
	if got := dig(again(), "operation", "id"); got != done {
		t.Errorf("the key says %v, and %s before", got, done)
	}
	forget(3, 1)
	files("media/"+shown+".png", "feeds/"+next+".jsonl")
	if rows, err := s.store.RowErrors(t.Context(), done, 0, 10); len(rows) != 0 || err != nil {
		t.Errorf("%v, %v", rows, err)
	}
	if got := dig(s.serve(s.ann, `query ($id: ID!) { bulkOperation(id: $id) { id } }`, obj{"id": done}), "data", "bulkOperation"); got != nil {
		t.Errorf("%v", got)
	}
	if got := again(); !cmp.Equal(dig(got, "userErrors"), []any{obj{"code": "NOT_FOUND", "field": []any{"input", "stagedUploadId"}}}) {
		t.Errorf("%v", got)
	}
	s.imported()
	s.wantOperation(waits, "COMPLETED total 1 processed 1 succeeded 1 failed 0 failure <nil>")
	forget(1, 0)
	files("media/" + shown + ".png")
	if p, err := s.store.ProductsByID(t.Context(), []string{productID}); err != nil || len(p) != 1 || len(p[0].Attached) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
}
