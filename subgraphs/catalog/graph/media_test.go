package graph_test

import (
	"strings"
	"testing"

	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
)

// upload stages a file and puts it there.
func (s *shop) upload(who viewer.Viewer, mimeType string, file []byte) string {
	s.t.Helper()
	answer := s.serve(who, `mutation ($input: StagedUploadInput!) { stagedUploadCreate(input: $input) { uploadId url headers expiresAt userErrors { code } } }`,
		obj{"input": obj{"filename": "file", "mimeType": mimeType, "bytes": len(file)}})
	staged := dig(answer, "data", "stagedUploadCreate")
	if answer["errors"] != nil || dig(staged, "expiresAt") != "2026-11-21T11:00:00Z" || dig(staged, "headers", "Content-Type") != mimeType {
		s.t.Fatalf("%v", answer)
	}
	s.blobs.put(strings.TrimPrefix(dig(staged, "url").(string), "https://blobs.test/"), file)
	return dig(staged, "uploadId").(string)
}

func TestMedia(t *testing.T) {
	s := setup(t)
	png := []byte("\x89PNG\r\n\x1a\n and so on")
	productID := s.saved(s.ann, shirt(variant("S", "9.00")))
	good, liar := s.upload(s.ann, "image/png", png), s.upload(s.ann, "image/jpeg", png)
	svg := s.upload(s.ann, "image/svg+xml", []byte(`<?xml version="1.0"?><svg/>`))
	attach := func(who viewer.Viewer, uploads ...string) map[string]any {
		uploads = append([]string{}, uploads...)
		return s.serve(who, `mutation ($input: ProductMediaInput!) { productMediaAttach(input: $input) { product { version media { url } } userErrors { code field } } }`,
			obj{"input": obj{"productId": productID, "stagedUploadIds": uploads}})
	}
	attached := `{"productMediaAttach": {"product": {"version": 2, "media": [{"url": "https://img.test/front.png"}, {"url": "https://img.test/back.png"},
		{"url": "https://cdn.test/media/` + good + `.png"}, {"url": "https://cdn.test/media/` + svg + `.svg"}]}, "userErrors": []}}`
	want(t, attach(s.ann, good, svg), attached)
	want(t, attach(s.ann, good, svg), attached)
	want(t, attach(s.ann, good, liar, "x", id.New(id.Upload)), `{"productMediaAttach": {"product": null, "userErrors": [
		{"code": "INVALID", "field": ["input", "stagedUploadIds", "1"]}, {"code": "INVALID", "field": ["input", "stagedUploadIds", "2"]},
		{"code": "NOT_FOUND", "field": ["input", "stagedUploadIds", "3"]}]}}`)
	want(t, attach(s.bob, good), `{"productMediaAttach": {"product": null, "userErrors": [{"code": "NOT_FOUND", "field": ["input", "stagedUploadIds", "0"]}]}}`)
	want(t, attach(s.bob, s.upload(s.bob, "image/png", png)), `{"productMediaAttach": {"product": null, "userErrors": [{"code": "NOT_OWNER", "field": ["input", "productId"]}]}}`)
	want(t, attach(s.ann), `{"productMediaAttach": {"product": null, "userErrors": [{"code": "INVALID", "field": ["input", "stagedUploadIds"]}]}}`)
	if p, _ := s.save(s.ann, shirt(variant("S", "9.00"))); p["version"] != 2.0 {
		t.Errorf("saving takes attached pictures away: %v", p)
	}

	const stage = `mutation ($input: StagedUploadInput!) { stagedUploadCreate(input: $input) { uploadId userErrors { code field } } }`
	for field, input := range map[string]obj{
		"INVALID mimeType": {"filename": "f", "mimeType": "image/gif", "bytes": 5},
		"INVALID bytes":    {"filename": "f", "mimeType": "image/png", "bytes": 0},
		"TOO_LARGE bytes":  {"filename": "f", "mimeType": "image/png", "bytes": 20<<20 + 1},
		"INVALID filename": {"filename": "", "mimeType": "image/png", "bytes": 5},
	} {
		errs, _ := dig(s.serve(s.ann, stage, obj{"input": input}), "data", "stagedUploadCreate", "userErrors").([]any)
		refused(t, errs, field)
	}
}
