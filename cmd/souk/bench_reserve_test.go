package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/souk-shop/souk/internal/pgtest"
)

func TestEveryWayTakesOneUnitForEachCall(t *testing.T) {
	t.Parallel()
	ways, closeAll, err := openWays(t.Context(), pgtest.Empty(t), t.TempDir(), reserveCommand{Seconds: 1})
	defer closeAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(ways) < 4 {
		t.Fatalf("%d ways", len(ways))
	}
	for _, w := range ways {
		for range 2 { // with a fresh item each
			take, err := w.ready(t.Context(), 8)
			if err != nil {
				t.Fatal(w.name, err)
			}
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for range 3 {
						if err := take(t.Context()); err != nil {
							t.Error(w.name, err)
						}
					}
				})
			}
			wg.Wait()
		}
	}
}

func aReserveReport() *reserveReport {
	r := &reserveReport{Machine: benchMachine{Cores: 2, Fsync: "on"}, Version: "souk test", Seconds: 3}
	timed := func(perSecond int, took time.Duration) timings {
		t := timings{elapsed: time.Second}
		for range perSecond {
			t.took = append(t.took, took)
		}
		return t
	}
	r.add(way{name: "for update", what: "lock"}, 1, timed(10, 9*time.Millisecond))
	r.add(way{name: "update", what: "update"}, 1, timed(20, 10*time.Millisecond))
	r.add(way{name: "ours", what: "ours"}, 1, timed(20, 15*time.Millisecond))
	r.add(way{name: "for update", what: "lock"}, 256, timed(10, time.Millisecond))
	r.add(way{name: "ours", what: "ours"}, 256, timed(700, time.Millisecond))
	r.add(way{name: "redis", what: "redis"}, 256, timed(800, time.Millisecond))
	r.judge()
	return r
}

func TestReserveTargetsAreRatiosWithAsManyCallers(t *testing.T) {
	t.Parallel()
	var table, document bytes.Buffer
	r := aReserveReport()
	if err := errors.Join(r.writeTable(&table), r.writeJSON(&document)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"256 callers: 70 ×, ≥ 60: met", "Redis, 256 callers: 0.88 ×, ≥ 0.80: met", "1 caller: 1.50 ×, ≤ 1.20: MISSED", "| 80 ×", "fsync on"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("%q is not in\n%s", want, &table)
		}
	}
	var got reserveReport
	if err := json.Unmarshal(document.Bytes(), &got); err != nil || len(got.Rows) != 6 || got.Rows[4].Ratio != 70 || len(got.Targets) != 3 {
		t.Errorf("%v\n%s", err, &document)
	}
	if r.wrong() != nil {
		t.Error(r.wrong())
	}
	r.add(way{name: "redis"}, 4, timings{wrong: 2, first: errSoldOutHere})
	if err := r.wrong(); !errors.Is(err, errSoldOutHere) || !strings.Contains(err.Error(), "redis with 4 callers: 2 wrong") {
		t.Error(err)
	}
}

func TestBenchMeasuresTheShopUnlessToldOtherwise(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"bench --seconds 0":              "--seconds is from 1 to 60",
		"bench shop --seconds 61":        "--seconds is from 1 to 60",
		"bench reserve --seconds 0":      "--seconds is from 1 to 60",
		"bench reserve --callers 1,5000": "--callers are from 1 to 4096",
		"bench reserve --only ours,best": `--only must be one of "update","skip","alone","ours","redis"`,
		"bench --only disk,nothing":      "--only must be one of",
	} {
		err := souk(t.Context(), strings.Fields(args), func(string) string { return "" }, io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), strings.TrimSuffix(want, " ")) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}
