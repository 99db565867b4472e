// Package blob keeps files: pictures that everybody may see, under media/, and whatever else sellers upload.
//
// A browser uploads straight to the store, to an address that is signed for one key, type and size and soon expires. A
// key is written once, so what it serves may be cached for ever.
package blob

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/souk-shop/souk/internal/fault"
)

// Media is what keys of pictures begin with. The store serves these to everybody, and nothing else.
const Media = "media/"

// A Store keeps files by key.
type Store interface {
	// SignUpload returns where to PUT exactly size bytes, and the headers to send along, until the address expires.
	SignUpload(ctx context.Context, key, contentType string, size int64, expires time.Duration) (url string, headers map[string]string, err error)
	// Put saves a file of our own; the file that was there is replaced.
	Put(ctx context.Context, key, contentType string, r io.Reader, size int64) error
	// Open returns a file's bytes, or ErrNotFound.
	Open(ctx context.Context, key string) (io.ReadCloser, Info, error)
	// Stat tells about a file, or ErrNotFound.
	Stat(ctx context.Context, key string) (Info, error)
	// Delete forgets a file; one that is not there is forgotten already.
	Delete(ctx context.Context, key string) error
	// PublicURL returns where everybody can see a key under Media.
	PublicURL(key string) string
	// Ping tells whether the store can be reached.
	Ping(ctx context.Context) error
}

// Info is what a store knows of a file.
type Info struct {
	Size        int64
	ContentType string
	ETag        string // quoted, as in HTTP
}

// What can be wrong with a request to a store.
var (
	ErrNotFound = fault.New(fault.NotFound, "BLOB_NOT_FOUND", "there is no such file")
	ErrKey      = fault.New(fault.Invalid, "INVALID_BLOB_KEY", "malformed file key")
	ErrSize     = fault.New(fault.Invalid, "BLOB_SIZE_MISMATCH", "the file does not have the size it was said to have")
)

// Open returns the store that the URL names: a folder for development,
// file:///dir?base=http://host/blobs&secret=…, or a bucket, s3://key:secret@host/bucket?region=…&secure=true&public=https://….
func Open(ctx context.Context, storeURL string) (Store, error) {
	at, err := url.Parse(storeURL)
	if err != nil {
		return nil, fmt.Errorf("blob store: %w", err)
	}
	var store Store
	switch at.Scheme {
	case "file":
		store, err = openFolder(at)
	case "s3":
		store, err = openBucket(at)
	default:
		err = fmt.Errorf("%q is neither file:// nor s3://", at.Redacted())
	}
	if err != nil {
		return nil, fmt.Errorf("blob store: %w", err)
	}
	if err := store.Ping(ctx); err != nil {
		return nil, fmt.Errorf("blob store: %w", err)
	}
	return store, nil
}

const longestKey = 512

// checkKey accepts names of letters, digits and ._- in folders, none of which begins with a dot.
func checkKey(key string) error {
	if len(key) > longestKey {
		return ErrKey.Says("a file key has at most %d bytes", longestKey)
	}
	for part := range strings.SplitSeq(key, "/") {
		if part == "" || part[0] == '.' {
			return ErrKey.Says("%.80q is not a file key", key)
		}
		for _, r := range part {
			switch {
			case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '.', r == '_', r == '-':
			default:
				return ErrKey.Says("%.80q is not a file key", key)
			}
		}
	}
	return nil
}
