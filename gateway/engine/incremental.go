package engine

import (
	"context"
	"errors"
)

// Incremental runs an operation with @defer and passes each part as it is ready: first {data, hasNext}, then
// {incremental, hasNext}. more is false for the last. part is called by one goroutine at a time.
func (e *Engine) Incremental(ctx context.Context, op *Operation, part func(payload []byte, more bool) error) error {
	if !op.Deferred() {
		return errors.New("engine: Incremental runs operations with @defer")
	}
	return internal()
}
