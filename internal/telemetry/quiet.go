package telemetry

import (
	"context"
	"log/slog"
)

// Quiet returns a log that leaves out what is below a level, which may change while the log is in use (slog.LevelVar).
func Quiet(log *slog.Logger, least slog.Leveler) *slog.Logger {
	return slog.New(quiet{log.Handler(), least})
}

type quiet struct {
	slog.Handler
	least slog.Leveler
}

func (q quiet) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= q.least.Level() && q.Handler.Enabled(ctx, l)
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quiet{q.Handler.WithAttrs(attrs), q.least}
}

func (q quiet) WithGroup(name string) slog.Handler {
	return quiet{q.Handler.WithGroup(name), q.least}
}
