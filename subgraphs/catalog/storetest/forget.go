package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/subgraphs/catalog"
)

func old(t *testing.T, s catalog.Store) {
	ctx, found, count := t.Context(), must[[]string](t), must[int64](t)
	want := func(what string, got any, want any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	var ids []string
	for day := range 4 {
		u := catalog.Upload{ID: id.New(id.Upload), SellerID: id.New(id.Seller), MimeType: "image/png", Bytes: 1, Key: fmt.Sprint("media/", day), CreatedAt: began.AddDate(0, 0, 3-day)}
		if err := s.AddUpload(ctx, u); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, u.ID)
	}
	slices.Reverse(ids) // the oldest first
	for most, old := range map[int][]string{2: ids[:2], 9: ids[:3]} {
		var got []string
		for _, u := range must[[]catalog.Upload](t)(s.UploadsBefore(ctx, began.AddDate(0, 0, 3), most)) {
			got = append(got, u.ID)
		}
		want(fmt.Sprint(most, " old uploads"), got, old)
	}
	shows := product("shows", variant("SHOWS", 100))
	shows.Attached = []catalog.Media{{ID: id.New(id.Media), Kind: catalog.Image, URL: "https://cdn.test/1", UploadID: ids[1]}}
	write(t, s, []error{nil, nil}, add(shows), add(product("shows-nothing", variant("NOTHING", 100))))
	want("pictures", found(s.PicturesAmong(ctx, ids[:3])), ids[1:2])
	want("no pictures", found(s.PicturesAmong(ctx, ids[2:])), []string(nil))
	want("removed", count(s.RemoveUploads(ctx, ids[:2])), int64(2))
	want("removed again", count(s.RemoveUploads(ctx, ids[:3])), int64(1))

	var ended []string
	for day, status := range []catalog.BulkStatus{catalog.Completed, catalog.Queued, catalog.Failed} {
		b := bulk(id.New(id.Seller), "key")
		b.BlobKey = fmt.Sprint("feeds/", day)
		must[catalog.BulkOperation](t)(s.AddBulk(ctx, b))
		if status == catalog.Queued {
			continue
		}
		ended = append(ended, b.ID)
		claimed, err := s.ClaimBulk(ctx, "worker", began, began.Add(time.Minute))
		if err != nil || claimed == nil {
			t.Fatal(claimed, err)
		}
		at := began.AddDate(0, 0, day)
		claimed.Status, claimed.FinishedAt = status, &at
		if err := s.SaveBulk(ctx, *claimed, "worker", began); err != nil {
			t.Fatal(err)
		}
		ended[len(ended)-1] = claimed.ID
	}
	want("ended", found(s.BulksEndedBefore(ctx, began.AddDate(0, 0, 2), 9)), ended[:1])
	want("all ended", found(s.BulksEndedBefore(ctx, began.AddDate(0, 0, 9), 9)), ended)
	want("the oldest", found(s.BulksEndedBefore(ctx, began.AddDate(0, 0, 9), 1)), ended[:1])
	if read := found(s.FeedsAmong(ctx, []string{"feeds/0", "feeds/1", "feeds/2", "feeds/9"})); len(read) != 1 {
		t.Errorf("%q are not imported yet, want one", read)
	}
	var rows []catalog.RowError
	for row := range 5 {
		rows = append(rows, catalog.RowError{Row: row + 1, Faults: catalog.Faults{{Kind: fault.Invalid, Code: "INVALID", Message: "no"}}})
	}
	for _, bulkID := range ended {
		if err := s.SaveRowErrors(ctx, bulkID, rows); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []int64{3, 2, 0} {
		want("rows", count(s.RemoveRowErrors(ctx, ended[0], 3)), n)
	}
	if left := must[[]catalog.RowError](t)(s.RowErrors(ctx, ended[1], 0, 9)); len(left) != 5 {
		t.Errorf("%d rows of another are left", len(left))
	}
	want("removed operations", count(s.RemoveBulks(ctx, ended[:1])), int64(1))
	want("left", found(s.BulksEndedBefore(ctx, began.AddDate(0, 0, 9), 9)), ended[1:])
}
