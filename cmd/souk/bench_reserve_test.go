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
	if len(ways) < 6 {
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

// What the inventory is compared with does what the inventory does: it leaves a row everywhere for each unit, and they tell the same story.
func TestTheDutifulWayKeepsItsBooks(t *testing.T) {
	t.Parallel()
	shop, closeAll, err := openDutiful(t.Context(), pgtest.Empty(t))
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll()
	take, err := shop.take().ready(t.Context(), 4)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5 {
				if err := take(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, count := range []string{
		`SELECT held FROM stock WHERE seq = 20`, `SELECT held FROM levels WHERE seq = 20`, `SELECT count(*) FROM ledger WHERE held_after = seq AND seq <= 20`,
		`SELECT count(*) FROM answers JOIN ledger USING (key, reservation_id)`, `SELECT count(*) FROM outbox WHERE payload->>'available' = (20000000 - (payload->>'seq')::int)::text`,
	} {
		var n int
		if err := shop.pool.QueryRow(t.Context(), count).Scan(&n); err != nil || n != 20 {
			t.Error(n, err, count)
		}
	}
	if _, err := shop.pool.Exec(t.Context(), `UPDATE stock SET on_hand = held`); err != nil {
		t.Fatal(err)
	}
	if err := take(t.Context()); !errors.Is(err, errSoldOutHere) {
		t.Error(err)
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
	r.add(way{name: "duties", what: "update and more"}, 1, timed(20, 12500*time.Microsecond))
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
	for _, want := range []string{"256 callers: 70 ×, ≥ 60: met", "Redis, 256 callers: 0.88 ×, ≥ 0.80: met", "UPDATE, 1 caller: 1.50 ×, ≤ 1.20: MISSED", "same duties, 1 caller: 1.20 ×, ≤ 1.20: met", "| 80 ×", "fsync on"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("%q is not in\n%s", want, &table)
		}
	}
	var got reserveReport
	if err := json.Unmarshal(document.Bytes(), &got); err != nil || len(got.Rows) != 7 || got.Rows[5].Ratio != 70 || len(got.Targets) != 4 || got.Targets[3].Is != 1.2 {
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
		"bench reserve --only ours,best": `--only must be one of "update","duties","skip","alone","ours","redis"`,
		"bench --only disk,nothing":      "--only must be one of",
	} {
		err := souk(t.Context(), strings.Fields(args), func(string) string { return "" }, io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), strings.TrimSuffix(want, " ")) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}
