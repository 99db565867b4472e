package upstream

import (
	"context"
	"errors"
	"io"
	"sync"
)

// A body ends its request when it is closed, and stops when it is longer than it may be.
type body struct {
	io.ReadCloser
	ctx    context.Context
	most   int64 // 0 means any number of bytes
	read   int64
	failed error
	once   sync.Once
	end    func(error)
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	if b.most > 0 && b.read > b.most {
		n, err = 0, ErrTooLarge
	}
	if err != nil && !errors.Is(err, io.EOF) {
		if errors.Is(context.Cause(b.ctx), context.DeadlineExceeded) {
			err = context.DeadlineExceeded
		}
		b.failed = err
	}
	return n, err
}

// Close ends the request; it may be called again.
func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.once.Do(func() { b.end(b.failed) })
	return err
}
