package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestPercentilesAreExact(t *testing.T) {
	t.Parallel()
	took := func(n int) timings {
		var all timings
		for i := range n {
			all.took = append(all.took, time.Duration(i+1))
		}
		return all
	}
	for _, c := range []struct {
		answers  int
		p        float64
		expected time.Duration
	}{
		{0, 50, 0}, {1, 50, 1}, {1, 99, 1}, {2, 50, 1}, {3, 50, 2}, {100, 50, 50}, {100, 99, 99}, {100, 100, 100}, {101, 99, 100}, {1000, 99, 990}, {10, 0, 1},
	} {
		if got := took(c.answers).percentile(c.p); got != c.expected {
			t.Errorf("p%v of %d answers is %d, want %d", c.p, c.answers, got, c.expected)
		}
	}
}

func TestLoadCountsWhatIsRightAndWhatIsWrong(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	odd := errors.New("odd")
	got, err := load(t.Context(), 4, time.Hour, func(_ context.Context, _, n int) error {
		calls.Add(1)
		if n%2 == 1 {
			return odd
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// Each caller warms up with calls 0, 1 and 2, then makes all it may.
	if want := int64(4 * (warmUps + mostCalls)); calls.Load() != want {
		t.Errorf("%d calls, want %d", calls.Load(), want)
	}
	if len(got.took) != 4*mostCalls/2 || got.wrong != 4*(mostCalls/2+1) || got.first != odd {
		t.Errorf("%d right, %d wrong, the first %v", len(got.took), got.wrong, got.first)
	}
}

func TestLoadEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := load(ctx, 2, time.Hour, func(context.Context, int, int) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func aReport() *benchReport {
	r := &benchReport{Machine: benchMachine{Cores: 2, CPU: "Abacus", Go: "go1.26", Fsync: "on"}, Version: "souk test", Callers: 32, Seconds: 5, Goods: "60 products"}
	r.value("start", "from nothing", 16.25, "s").atMost(15, "")
	r.timed("search", "of 100,000 products", timings{took: []time.Duration{2 * time.Millisecond, 4 * time.Millisecond}, elapsed: time.Second}).atMost(10, "p99")
	r.timed("product", "page", timings{took: []time.Duration{time.Millisecond}, elapsed: time.Second, wrong: 3, first: errors.New("no stock")})
	r.Figures[2].took(time.Second, 2*time.Second)
	r.compare(40, "product")
	return r
}

func TestTableShowsTargetsAndWhetherTheyAreMet(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := aReport().writeTable(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2 cores, Abacus, go1.26, fsync on", "16.2 s", "≤ 15 s: MISSED", "p99 ≤ 10 ms: met", "60 products"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, &out)
		}
	}
	width := 0
	for line := range strings.Lines(out.String()) {
		if n := len([]rune(line)); strings.HasPrefix(line, "|") && width == 0 {
			width = n
		} else if strings.HasPrefix(line, "|") && n != width {
			t.Errorf("a row of another width:\n%s", &out)
		}
	}
}

func TestJSONHasTheSameFigures(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := aReport().writeJSON(&out); err != nil {
		t.Fatal(err)
	}
	var got benchReport
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if f := got.Figures; len(f) != 3 || f[0].Target.Met || f[1].P99 != 4 || !f[1].Target.Met || f[2].Errors != 3 || f[2].Bare != 40 || f[2].SoukCPU != 10 || f[2].DataCPU != 20 {
		t.Errorf("%s", &out)
	}
}

func TestWrongAnswersFailTheRunAndMissedTargetsDoNot(t *testing.T) {
	t.Parallel()
	r := aReport()
	if err := r.wrong(); err == nil || err.Error() != "product: 3 wrong answers, the first: no stock" {
		t.Errorf("%v", err)
	}
	r.Figures = r.Figures[:2]
	if err := r.wrong(); err != nil {
		t.Errorf("%v", err)
	}
}

func TestMemoryOfThisProcess(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("this system has no /proc")
	}
	m, err := memoryOf(os.Getpid())
	if err != nil || m.own < 1 {
		t.Errorf("%+v, %v", m, err)
	}
	if c := cpuOf(os.Getpid()); c.own < 0 {
		t.Errorf("%+v", c)
	}
	if _, err := memoryOf(0); err == nil {
		t.Error("process 0 has memory")
	}
}

func TestReadyLine(t *testing.T) {
	t.Parallel()
	base, ok := readyAt("souk is ready: playground http://127.0.0.1:4000/  graph http://127.0.0.1:4000/graphql  data tmp/dev")
	if !ok || base != "http://127.0.0.1:4000" {
		t.Errorf("%q %v", base, ok)
	}
	if _, ok := readyAt("souk: nothing is ready at http://127.0.0.1:4000/graphql"); ok {
		t.Error("any line will do")
	}
}

func TestTheShopMeasuredIsNobodysOwn(t *testing.T) {
	t.Parallel()
	got := withoutSettings([]string{"PATH=/bin", "SOUK_POSTGRES_URL=postgres://production", "SOUK_LOG_LEVEL=debug", "OTEL_EXPORTER_OTLP_ENDPOINT=http://x", "HOME=/"})
	if strings.Join(got, " ") != "PATH=/bin HOME=/" {
		t.Errorf("%v", got)
	}
}
