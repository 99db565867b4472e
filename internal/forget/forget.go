// Package forget removes rows that nobody needs any more, in steps that hold nobody up. Any number of processes may be at it at once.
package forget

import (
	"context"
	"sync/atomic"
)

const (
	lot   = 1000 // rows in one statement
	pages = 64   // in one statement
)

// Lots has rows removed a lot at a time, until a lot is not full. It is for rows with an index that leads to the old ones.
func Lots(ctx context.Context, remove func(ctx context.Context, most int32) (int64, error)) (removed int64, err error) {
	for n := int64(lot); n == lot; removed += n {
		if n, err = remove(ctx, lot); err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// Parts is how often a Round has to be asked for its next part until it has been through all of a table.
const Parts = 60

// A Round goes through a table part by part, again and again. It is for rows that have no index by their age, for which each of them
// would pay while it is new.
type Round struct{ next atomic.Int64 }

// Part has old rows removed from the next part of a table that has so many pages, of each page once.
func (r *Round) Part(ctx context.Context, pagesOf func(context.Context) (int64, error), remove func(ctx context.Context, fromPage, toPage int64) (int64, error)) (removed int64, err error) {
	size, err := pagesOf(ctx)
	if err != nil {
		return 0, err
	}
	for part := size/Parts + 1; part > 0; part -= pages {
		from := r.next.Load()
		to := from + min(part, pages)
		n, err := remove(ctx, from, to)
		removed += n
		if err != nil {
			return removed, err
		}
		if to >= size {
			to = 0
		}
		r.next.CompareAndSwap(from, to)
	}
	return removed, nil
}
