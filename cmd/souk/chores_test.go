package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/souk-shop/souk/internal/clock"
)

// What is forgotten is as old as the setting says, and operators see how much that was, also when it did not go well to the end.
func TestForgettingIsToldToOperators(t *testing.T) {
	t.Parallel()
	var lines strings.Builder
	noon := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	kept, err := config{func(string) string { return "1000h" }}.retention()
	if err != nil {
		t.Fatal(err)
	}
	e := &env{log: slog.New(slog.NewTextHandler(&lines, nil)), clock: clock.Hold(noon), kept: kept, forgot: newForgot()}
	away := errors.New("the store is away")
	for _, c := range []struct {
		n   int64
		err error
	}{{3, nil}, {0, nil}, {4, away}} {
		chore := e.forgetting("orders", "keys", func(_ context.Context, before time.Time) (int64, error) {
			if want := noon.Add(-1000 * time.Hour); !before.Equal(want) {
				t.Errorf("before %s, want %s", before, want)
			}
			return c.n, c.err
		})
		if err := chore(t.Context()); !errors.Is(err, c.err) {
			t.Errorf("%v", err)
		}
	}
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(e.forgot)
	told, err := metrics.Gather()
	if err != nil || len(told) != 1 || told[0].GetName() != "souk_forgotten_total" || told[0].GetMetric()[0].GetCounter().GetValue() != 7 {
		t.Errorf("%v, %v", told, err)
	}
	if text := lines.String(); strings.Count(text, "msg=forgotten part=orders what=keys") != 2 || !strings.Contains(text, "number=4") {
		t.Error(text)
	}
}

// Whoever keeps something for a while has a chore that forgets it.
func TestWhatEveryPartForgets(t *testing.T) {
	t.Parallel()
	s := openShop(t, nil)
	told, err := s.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var chores []string
	for _, family := range told {
		if family.GetName() != "souk_forgotten_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			chores = append(chores, m.GetLabel()[0].GetValue()+": "+m.GetLabel()[1].GetValue())
		}
	}
	want := []string{
		"catalog: imports", "catalog: uploads", "inventory: keys", "orders: checkouts without an order",
		"orders: keys of cancellations", "payments: keys", "payments: operations", "payments: reports",
	}
	if slices.Sort(chores); !slices.Equal(chores, want) {
		t.Errorf("%q, want %q", chores, want)
	}
}
