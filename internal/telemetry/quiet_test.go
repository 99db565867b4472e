package telemetry_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/souk-shop/souk/internal/telemetry"
)

func TestQuiet(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	var least slog.LevelVar
	least.Set(slog.LevelWarn)
	log := telemetry.Quiet(slog.New(slog.NewTextHandler(&out, nil)), &least).With("part", "orders").WithGroup("g")
	log.Info("early")
	log.Warn("trouble")
	least.Set(slog.LevelInfo)
	log.Info("late", "k", 1)
	if got := out.String(); strings.Contains(got, "early") || !strings.Contains(got, "msg=trouble part=orders") || !strings.Contains(got, "msg=late part=orders g.k=1") {
		t.Error(got)
	}
}
