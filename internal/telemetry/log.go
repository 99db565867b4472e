package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// NewLog returns a log in the format of SOUK_LOG_FORMAT (text, the default, or json) from the level of SOUK_LOG_LEVEL on
// (debug, info, warn, error). A line written with a context carries its trace id.
func NewLog(w io.Writer, getenv func(string) string) (*slog.Logger, error) {
	var level slog.Level
	if name := getenv("SOUK_LOG_LEVEL"); name != "" {
		if err := level.UnmarshalText([]byte(name)); err != nil {
			return nil, fmt.Errorf("SOUK_LOG_LEVEL=%q is none of debug, info, warn, error", name)
		}
	}
	options := &slog.HandlerOptions{Level: level}
	switch format := getenv("SOUK_LOG_FORMAT"); format {
	case "json":
		return slog.New(traced{slog.NewJSONHandler(w, options)}), nil
	case "", "text":
		return slog.New(traced{slog.NewTextHandler(w, options)}), nil
	default:
		return nil, fmt.Errorf("SOUK_LOG_FORMAT=%q is none of text, json", format)
	}
}

// A traced handler adds the trace id, by which a line is found again among the traces.
type traced struct{ slog.Handler }

func (h traced) Handle(ctx context.Context, r slog.Record) error {
	if at := trace.SpanContextFromContext(ctx); at.IsValid() && !names(r, "trace") {
		r.AddAttrs(slog.String("trace", at.TraceID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

// names tells whether the line has the attribute already.
func names(r slog.Record, key string) (found bool) {
	r.Attrs(func(a slog.Attr) bool {
		found = found || a.Key == key
		return !found
	})
	return found
}

func (h traced) WithAttrs(attrs []slog.Attr) slog.Handler { return traced{h.Handler.WithAttrs(attrs)} }
func (h traced) WithGroup(name string) slog.Handler       { return traced{h.Handler.WithGroup(name)} }
