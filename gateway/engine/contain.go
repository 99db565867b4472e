package engine

import (
	"fmt"
	"log/slog"
	"runtime/debug"
)

// contained runs work and turns a panic into an internal error; a bug met by one operation must not end the others.
func contained[V any](log *slog.Logger, work func() (V, error)) (v V, err error) {
	defer func() {
		if r := recover(); r != nil {
			log.Error("gateway: panic contained", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			err = internal()
		}
	}()
	return work()
}
