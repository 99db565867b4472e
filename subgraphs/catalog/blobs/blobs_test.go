package blobs_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/souk-shop/souk/clients/blob"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/catalog"
	"github.com/souk-shop/souk/subgraphs/catalog/blobs"
	"github.com/souk-shop/souk/subgraphs/catalog/feed"
	"github.com/souk-shop/souk/subgraphs/catalog/mongo"
	"github.com/souk-shop/souk/subgraphs/catalog/mongo/mongotest"
)

// What was uploaded is what everybody sees, byte for byte.
func TestUploadAndFetch(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	at := url.URL{Scheme: "file", Path: t.TempDir(), RawQuery: url.Values{"base": {server.URL + "/blobs"}, "secret": {"hush"}}.Encode()}
	files, err := blob.Open(t.Context(), at.String())
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("/blobs/", files.(http.Handler))
	store, err := mongo.NewStore(t.Context(), mongotest.New(t).Database)
	if err != nil {
		t.Fatal(err)
	}
	c := catalog.New(store, blobs.Files{Store: files}, nil, feed.Reader{}, clock.System)
	ann := viewer.Viewer{AccountID: id.New(id.Account), SellerID: id.New(id.Seller)}

	p := catalog.Product{ID: id.New(id.Product), Slug: "p", SellerID: ann.SellerID, Version: 1, Status: catalog.Active, Title: "P"}
	if _, err := store.WriteProducts(t.Context(), []catalog.Change{{After: p, Event: id.New(id.Event)}}); err != nil {
		t.Fatal(err)
	}
	picture := append([]byte("\x89PNG\r\n\x1a\n"), bytes.Repeat([]byte{7}, 5000)...)
	staged, err := c.StageUpload(t.Context(), ann, "p.png", "image/png", int64(len(picture)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.AttachMedia(t.Context(), ann, p.ID, []string{staged.ID}); err == nil {
		t.Error("a file that was not uploaded was attached")
	}
	put, err := http.NewRequestWithContext(t.Context(), "PUT", staged.URL, bytes.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range staged.Headers {
		put.Header.Set(k, v)
	}
	if res, err := http.DefaultClient.Do(put); err != nil || res.StatusCode/100 != 2 {
		t.Fatalf("%v, %v", res, err)
	}
	p, err = c.AttachMedia(t.Context(), ann, p.ID, []string{staged.ID})
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Get(p.Media()[0].URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got, err := io.ReadAll(res.Body); err != nil || !bytes.Equal(got, picture) {
		t.Errorf("%d bytes of %d, %v", len(got), len(picture), err)
	}
}
