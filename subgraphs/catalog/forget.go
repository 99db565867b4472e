package catalog

import (
	"context"
	"slices"
	"time"

	"github.com/souk-shop/souk/internal/forget"
)

const (
	uploadLife = 30 * 24 * time.Hour // in which an upload can be put to use
	afterglow  = time.Hour           // in which whoever has found it in time is done with it
	mostGone   = 100                 // uploads, or imports, that are looked at together
)

// ForgetUploads forgets uploads from before a time, and before any that could still be put to use, with their files: but for pictures of
// products, which everybody sees, and for feeds that are being imported. It returns how many it forgot.
func (c *Catalog) ForgetUploads(ctx context.Context, before time.Time) (forgotten int64, err error) {
	if usable := c.now().Add(-uploadLife - afterglow); before.After(usable) {
		before = usable
	}
	for {
		old, err := c.store.UploadsBefore(ctx, before, mostGone)
		if err != nil || len(old) == 0 {
			return forgotten, err
		}
		gone, err := c.removeFiles(ctx, old)
		if err != nil {
			return forgotten, err
		}
		n, err := c.store.RemoveUploads(ctx, gone)
		forgotten += n
		if err != nil || len(gone) < len(old) || len(old) < mostGone { // what is being imported is looked at again the next time
			return forgotten, err
		}
	}
}

// removeFiles removes the files of uploads that nobody uses, and returns which uploads can be forgotten.
func (c *Catalog) removeFiles(ctx context.Context, old []Upload) (gone []string, err error) {
	var ids, keys []string
	for _, u := range old {
		ids, keys = append(ids, u.ID), append(keys, u.Key)
	}
	shown, err := c.store.PicturesAmong(ctx, ids)
	if err != nil {
		return nil, err
	}
	read, err := c.store.FeedsAmong(ctx, keys)
	if err != nil {
		return nil, err
	}
	for _, u := range old {
		if slices.Contains(read, u.Key) {
			continue
		}
		if !slices.Contains(shown, u.ID) {
			if err := c.blobs.Delete(ctx, u.Key); err != nil {
				return nil, err
			}
		}
		gone = append(gone, u.ID)
	}
	return gone, nil
}

// ForgetImports forgets imports that ended before a time, their refused rows first. It returns how many it forgot.
func (c *Catalog) ForgetImports(ctx context.Context, before time.Time) (forgotten int64, err error) {
	for {
		old, err := c.store.BulksEndedBefore(ctx, before, mostGone)
		if err != nil {
			return forgotten, err
		}
		for _, bulkID := range old {
			if _, err := forget.Lots(ctx, func(ctx context.Context, most int32) (int64, error) {
				return c.store.RemoveRowErrors(ctx, bulkID, int(most))
			}); err != nil {
				return forgotten, err
			}
		}
		n, err := c.store.RemoveBulks(ctx, old)
		forgotten += n
		if err != nil || len(old) < mostGone {
			return forgotten, err
		}
	}
}
