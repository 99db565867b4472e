package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// A reserveReport is what souk bench reserve has to say.
type reserveReport struct {
	Machine benchMachine    `json:"machine"`
	Date    time.Time       `json:"date"`
	Version string          `json:"version"`
	Seconds int             `json:"secondsEach"`
	Rows    []reserveRow    `json:"rows"`
	Targets []reserveTarget `json:"targets"`
}

// A reserveRow is how one way did with so many callers.
type reserveRow struct {
	Callers int     `json:"callers"`
	Way     string  `json:"way"`
	What    string  `json:"what"`
	Answers int     `json:"answers"`
	Rate    float64 `json:"perSecond"`
	P50     float64 `json:"p50Ms"`
	P99     float64 `json:"p99Ms"`
	Ratio   float64 `json:"ratio"` // of the rate, to the first way with as many callers
	Errors  int     `json:"errors"`

	err error // the first
}

// A reserveTarget is what is to be reached, and what was.
type reserveTarget struct {
	What  string  `json:"what"`
	Is    float64 `json:"is"`
	Least float64 `json:"atLeast,omitempty"`
	Most  float64 `json:"atMost,omitempty"`
	Met   bool    `json:"met"`
}

func (r *reserveReport) add(w way, callers int, t timings) {
	row := reserveRow{
		Callers: callers, Way: w.name, What: w.what, Answers: len(t.took), Rate: t.perSecond(),
		P50: milliseconds(t.percentile(50)), P99: milliseconds(t.percentile(99)), Errors: t.wrong, err: t.first,
	}
	for _, first := range r.Rows {
		if first.Callers == callers {
			row.Ratio = row.Rate / first.Rate
			break
		}
	}
	if row.Ratio == 0 {
		row.Ratio = 1
	}
	r.Rows = append(r.Rows, row)
}

func (r *reserveReport) of(way string, callers int) *reserveRow {
	for i := range r.Rows {
		if r.Rows[i].Way == way && r.Rows[i].Callers == callers {
			return &r.Rows[i]
		}
	}
	return nil
}

// judge compares what was measured with what is to be reached.
func (r *reserveReport) judge() {
	ours := r.of("ours", crowdCallers)
	if lock := r.of("for update", crowdCallers); ours != nil && lock != nil {
		r.Targets = append(r.Targets, atLeast(fmt.Sprintf("rate of ours to SELECT FOR UPDATE, %d callers", crowdCallers), ours.Rate/lock.Rate, leastOverLock))
	}
	if redis := r.of("redis", crowdCallers); ours != nil && redis != nil {
		r.Targets = append(r.Targets, atLeast(fmt.Sprintf("rate of ours to Redis, %d callers", crowdCallers), ours.Rate/redis.Rate, leastOverRedis))
	}
	if alone := r.of("ours", 1); alone != nil {
		for _, plain := range []struct{ way, what string }{{"update", "the conditional UPDATE"}, {"duties", "the one with the same duties"}} {
			if update := r.of(plain.way, 1); update != nil {
				is := alone.P50 / update.P50
				r.Targets = append(r.Targets, reserveTarget{What: "p50 of ours to " + plain.what + ", 1 caller", Is: is, Most: mostOverUpdate, Met: is <= mostOverUpdate})
			}
		}
	}
}

func atLeast(what string, is, least float64) reserveTarget {
	return reserveTarget{What: what, Is: is, Least: least, Met: is >= least}
}

// wrong is an error when any answer was.
func (r *reserveReport) wrong() error {
	var failed error
	for _, row := range r.Rows {
		if row.Errors > 0 {
			failed = errors.Join(failed, fmt.Errorf("%s with %d callers: %d wrong answers, the first: %w", row.Way, row.Callers, row.Errors, row.err))
		}
	}
	return failed
}

func (r *reserveReport) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// writeTable writes the report for people, as Markdown that reads well without being rendered.
func (r *reserveReport) writeTable(w io.Writer) error {
	fmt.Fprintf(w, "%s, %s\n%s\nOne unit of one item for each call, %d s each.\n\n", r.Version, r.Date.Format("2006-01-02 15:04 MST"), r.Machine, r.Seconds)
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	row := func(cells ...string) { fmt.Fprintf(t, "| %s\t|\n", strings.Join(cells, "\t| ")) }
	row("callers", "way", "per second", "p50 ms", "p99 ms", "ratio", "errors")
	row("---", "---", "---", "---", "---", "---", "---")
	for _, f := range r.Rows {
		row(fmt.Sprint(f.Callers), f.What, decimals(f.Rate), decimals(f.P50), decimals(f.P99), decimals(f.Ratio)+" ×", fmt.Sprint(f.Errors))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, g := range r.Targets {
		bound, met := "≥ "+decimals(g.Least), "met"
		if g.Most > 0 {
			bound = "≤ " + decimals(g.Most)
		}
		if !g.Met {
			met = "MISSED"
		}
		fmt.Fprintf(w, "%s: %s ×, %s: %s\n", g.What, decimals(g.Is), bound, met)
	}
	return nil
}
