package souk

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/souk-shop/souk/frontends"
)

// Upload brings a picture or a feed to where the catalogue finds it, and returns the id to name it by.
func (c *Client) Upload(ctx context.Context, filename, mimeType string, size int64, content io.Reader) (string, error) {
	answer, err := Do[struct {
		StagedUploadCreate struct {
			UploadID   string
			URL        string
			Headers    map[string]string
			UserErrors UserErrors
		}
	}](ctx, c, frontends.Operation("seller/StagedUploadCreate"), map[string]any{
		"input": map[string]any{"filename": filename, "mimeType": mimeType, "bytes": size},
	})
	if err != nil {
		return "", err
	}
	place := answer.StagedUploadCreate
	if err := place.UserErrors.Err(); err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, place.URL, content)
	if err != nil {
		return "", err
	}
	req.ContentLength = size
	for name, value := range place.Headers {
		req.Header.Set(name, value)
	}
	uploads := http.Client{Transport: c.http.Transport} // a large feed takes its time
	res, err := uploads.Do(req)
	if err != nil {
		return "", fmt.Errorf("upload of %s: %w", filename, err)
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		said, _ := io.ReadAll(io.LimitReader(res.Body, 500))
		return "", fmt.Errorf("upload of %s: %s %s", filename, res.Status, said)
	}
	return place.UploadID, nil
}
