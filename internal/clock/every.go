package clock

import (
	"context"
	"time"
)

// Every does something again and again until the context ends. It pauses for as long as do says, also after a failure, which is reported.
func Every(ctx context.Context, do func(context.Context) (pause time.Duration, err error), report func(error)) error {
	for {
		pause, err := do(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			report(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}
