// Package blobs lets the catalogue keep files in a blob store.
package blobs

import (
	"context"
	"errors"
	"io"

	"github.com/souk-shop/souk/clients/blob"
	"github.com/souk-shop/souk/subgraphs/catalog"
)

// Files are the catalogue's files in a blob store. Pictures lie under blob.Media, where everybody sees them.
type Files struct{ blob.Store }

var _ catalog.Blobs = Files{}

// Size returns how large a file is, and false when there is none.
func (f Files) Size(ctx context.Context, key string) (int64, bool, error) {
	info, err := f.Stat(ctx, key)
	if errors.Is(err, blob.ErrNotFound) {
		return 0, false, nil
	}
	return info.Size, err == nil, err
}

// Open reads a file.
func (f Files) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	r, _, err := f.Store.Open(ctx, key)
	return r, err
}
