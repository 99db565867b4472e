package catalog

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path"
	"slices"
	"time"

	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
)

// An Upload is a place where a seller puts one file.
type Upload struct {
	ID        string
	SellerID  string
	Filename  string
	MimeType  string
	Bytes     int64
	Key       string // of the blob
	CreatedAt time.Time
}

// An UploadStore keeps uploads.
type UploadStore interface {
	AddUpload(ctx context.Context, u Upload) error
	UploadsByID(ctx context.Context, ids []string) ([]Upload, error)
	// UploadsBefore finds up to most uploads from before a time, the oldest first.
	UploadsBefore(ctx context.Context, before time.Time, most int) ([]Upload, error)
	// PicturesAmong tells which uploads are pictures of a product.
	PicturesAmong(ctx context.Context, uploadIDs []string) ([]string, error)
	RemoveUploads(ctx context.Context, ids []string) (int64, error)
}

// Blobs keeps files outside the catalogue.
type Blobs interface {
	// SignUpload returns where to PUT exactly size bytes of a type, with which headers, until the address expires.
	SignUpload(ctx context.Context, key, mimeType string, size int64, expires time.Duration) (url string, headers map[string]string, err error)
	// Size returns how large the file at a key is, and false when there is none.
	Size(ctx context.Context, key string) (int64, bool, error)
	// Open reads the file at a key; closing the reader early is cheap.
	Open(ctx context.Context, key string) (io.ReadCloser, error)
	// Delete forgets the file at a key; one that is not there is forgotten already.
	Delete(ctx context.Context, key string) error
	// PublicURL is where everybody finds the file, for ever.
	PublicURL(key string) string
}

// A StagedUpload tells how to upload a file.
type StagedUpload struct {
	ID        string
	URL       string
	Headers   map[string]string
	ExpiresAt time.Time
}

// What may be uploaded, and how much of it.
const (
	largestPicture = 20 << 20
	largestFeed    = 1 << 30
	uploadExpiry   = time.Hour
)

var (
	pictures = map[string]string{"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp", "image/svg+xml": ".svg"}
	feeds    = map[string]string{"application/jsonl": ".jsonl", "text/csv": ".csv"}
)

// StageUpload makes a place to upload a file to.
func (c *Catalog) StageUpload(ctx context.Context, who viewer.Viewer, filename, mimeType string, size int64) (StagedUpload, error) {
	sellerID, err := seller(who)
	if err != nil {
		return StagedUpload{}, err
	}
	var faults Faults
	faults.text("a file's name", filename, 1, 255, "input", "filename")
	suffix, most := pictures[mimeType], int64(largestPicture)
	folder := "media"
	if suffix == "" {
		suffix, most, folder = feeds[mimeType], largestFeed, "feeds"
	}
	switch {
	case suffix == "":
		faults.Add(invalid("upload image/png, image/jpeg, image/webp, image/svg+xml, application/jsonl or text/csv"), "input", "mimeType")
	case size < 1:
		faults.Add(invalid("a file has at least one byte"), "input", "bytes")
	case size > most:
		faults.Add(ErrTooLarge.Says("a file of this type has at most %d MB", most>>20), "input", "bytes")
	}
	if err := faults.Err(); err != nil {
		return StagedUpload{}, err
	}
	u := Upload{ID: id.New(id.Upload), SellerID: sellerID, Filename: filename, MimeType: mimeType, Bytes: size, CreatedAt: c.now()}
	u.Key = path.Join(folder, u.ID+suffix)
	address, headers, err := c.blobs.SignUpload(ctx, u.Key, mimeType, size, uploadExpiry)
	if err != nil {
		return StagedUpload{}, err
	}
	return StagedUpload{ID: u.ID, URL: address, Headers: headers, ExpiresAt: u.CreatedAt.Add(uploadExpiry)}, c.store.AddUpload(ctx, u)
}

// finished returns an upload of the seller's that has arrived whole and is of one of some types.
func (c *Catalog) finished(ctx context.Context, sellerID, uploadID string, types map[string]string, field ...string) (Upload, error) {
	if err := id.Check(id.Upload, uploadID, field...); err != nil {
		return Upload{}, err
	}
	found, err := c.store.UploadsByID(ctx, []string{uploadID})
	if err != nil {
		return Upload{}, err
	}
	if len(found) == 0 || found[0].SellerID != sellerID || c.now().Sub(found[0].CreatedAt) > uploadLife {
		return Upload{}, ErrNotFound.Says("you have no upload with this id").At(field...)
	}
	u := found[0]
	if types[u.MimeType] == "" {
		return Upload{}, invalid("a file of type %s is no use here", u.MimeType).At(field...)
	}
	size, there, err := c.blobs.Size(ctx, u.Key)
	switch {
	case err != nil:
		return Upload{}, err
	case !there:
		return Upload{}, invalid("the file is not uploaded yet").At(field...)
	case size != u.Bytes:
		return Upload{}, invalid("the file has %d bytes, not the %d announced", size, u.Bytes).At(field...)
	}
	return u, nil
}

// AttachMedia makes uploaded files pictures of a product, behind those it has. A file that is one already stays where it is.
func (c *Catalog) AttachMedia(ctx context.Context, who viewer.Viewer, productID string, uploadIDs []string) (Product, error) {
	sellerID, err := seller(who)
	if err != nil {
		return Product{}, err
	}
	if len(uploadIDs) == 0 || len(uploadIDs) > mostPictures {
		return Product{}, invalid("attach 1 to %d files at once", mostPictures).At("input", "stagedUploadIds")
	}
	var faults Faults
	var media []Media
	for i, uploadID := range uploadIDs {
		m, err := c.picture(ctx, sellerID, uploadID, "input", "stagedUploadIds", at(i))
		if err := faults.AddErr(err); err != nil {
			return Product{}, err
		}
		media = append(media, m)
	}
	if err := faults.Err(); err != nil {
		return Product{}, err
	}
	return c.change(ctx, who, productID, []string{"input", "productId"}, func(p *Product) error {
		p.Attached = slices.Clone(p.Attached)
		for _, m := range media {
			if !slices.ContainsFunc(p.Attached, func(have Media) bool { return have.UploadID == m.UploadID }) {
				p.Attached = append(p.Attached, m)
			}
		}
		if len(p.Attached) > mostPictures {
			return ErrTooLarge.Says("a product has at most %d uploaded pictures", mostPictures).At("input", "stagedUploadIds")
		}
		return nil
	})
}

// picture returns a finished upload as a medium, once its first bytes are what its type says.
func (c *Catalog) picture(ctx context.Context, sellerID, uploadID string, field ...string) (Media, error) {
	u, err := c.finished(ctx, sellerID, uploadID, pictures, field...)
	if err != nil {
		return Media{}, err
	}
	r, err := c.blobs.Open(ctx, u.Key)
	if err != nil {
		return Media{}, err
	}
	defer r.Close()
	head := make([]byte, 1024)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return Media{}, fault.New(fault.Unavailable, "UPLOAD_UNREADABLE", "the file cannot be read right now")
	}
	if !looksLike(u.MimeType, head[:n]) {
		return Media{}, invalid("the file is not of type %s", u.MimeType).At(field...)
	}
	return Media{ID: id.New(id.Media), Kind: Image, URL: c.blobs.PublicURL(u.Key), UploadID: u.ID}, nil
}

// looksLike tells whether a file that begins so can be of a type.
func looksLike(mimeType string, head []byte) bool {
	switch mimeType {
	case "image/png":
		return bytes.HasPrefix(head, []byte("\x89PNG\r\n\x1a\n"))
	case "image/jpeg":
		return bytes.HasPrefix(head, []byte("\xff\xd8\xff"))
	case "image/webp":
		return len(head) >= 12 && string(head[:4]) == "RIFF" && string(head[8:12]) == "WEBP"
	case "image/svg+xml":
		text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
		return bytes.HasPrefix(text, []byte("<")) && bytes.Contains(text, []byte("<svg"))
	}
	return false
}
