package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// A benchReport is what souk bench has to say: of which machine, when, and one figure a row.
type benchReport struct {
	Machine benchMachine `json:"machine"`
	Date    time.Time    `json:"date"`
	Version string       `json:"version"`
	Callers int          `json:"callers"`
	Seconds int          `json:"secondsEach"`
	Goods   string       `json:"goods,omitempty"` // what the shop had on offer under load
	Figures []figure     `json:"figures"`
}

// A figure is one row: a single value, or what many timed answers amount to.
type figure struct {
	Measure string  `json:"measure"`
	What    string  `json:"what"`
	Value   float64 `json:"value,omitempty"`
	Unit    string  `json:"unit,omitempty"` // s or MB
	Answers int     `json:"answers,omitempty"`
	Rate    float64 `json:"perSecond,omitempty"`
	P50     float64 `json:"p50Ms,omitempty"`
	P99     float64 `json:"p99Ms,omitempty"`
	Errors  int     `json:"errors"`
	Bare    float64 `json:"bareAnswers,omitempty"` // how many answers of a bare HTTP server the same time is worth
	SoukCPU float64 `json:"soukCPUMs,omitempty"`   // CPU time of the shop for one answer
	DataCPU float64 `json:"postgresCPUMs,omitempty"`
	Target  *target `json:"target,omitempty"`

	err error // the first error
}

// A target is what a figure has to stay below, and whether it does.
type target struct {
	Of   string  `json:"of"` // "", p50 or p99
	Most float64 `json:"atMost"`
	Unit string  `json:"unit"`
	Met  bool    `json:"met"`
}

func (r *benchReport) add(f figure) *figure {
	r.Figures = append(r.Figures, f)
	return &r.Figures[len(r.Figures)-1]
}

// value adds a row of a single value.
func (r *benchReport) value(measure, what string, v float64, unit string) *figure {
	return r.add(figure{Measure: measure, What: what, Value: v, Unit: unit})
}

// timed adds a row of many answers.
func (r *benchReport) timed(measure, what string, t timings) *figure {
	return r.add(figure{
		Measure: measure, What: what, Answers: len(t.took), Rate: t.perSecond(),
		P50: milliseconds(t.percentile(50)), P99: milliseconds(t.percentile(99)), Errors: t.wrong, err: t.first,
	})
}

// atMost says what the figure has to stay below: its value, or one of its percentiles.
func (f *figure) atMost(most float64, of string) {
	is, unit := f.Value, f.Unit
	switch of {
	case "p50":
		is, unit = f.P50, "ms"
	case "p99":
		is, unit = f.P99, "ms"
	}
	f.Target = &target{Of: of, Most: most, Unit: unit, Met: is <= most && (of == "" || f.Answers > 0)}
}

// took says how much CPU time all answers took together, the warm-up's included.
func (f *figure) took(souk, postgres time.Duration) {
	if n := float64(f.Answers + f.Errors + benchCallers*warmUps); n > 0 {
		f.SoukCPU, f.DataCPU = milliseconds(souk)/n, milliseconds(postgres)/n
	}
}

// compare tells each measure named in answers of the bare server.
func (r *benchReport) compare(bare float64, measures ...string) {
	for i := range r.Figures {
		if f := &r.Figures[i]; slices.Contains(measures, f.Measure) && f.Rate > 0 {
			f.Bare = bare / f.Rate
		}
	}
}

// wrong is an error when any answer was.
func (r *benchReport) wrong() error {
	var said []string
	for _, f := range r.Figures {
		if f.Errors > 0 {
			said = append(said, fmt.Sprintf("%s: %d wrong answers, the first: %v", f.Measure, f.Errors, f.err))
		}
	}
	if said == nil {
		return nil
	}
	return fmt.Errorf("%s", strings.Join(said, "\n"))
}

func (r *benchReport) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// writeTable writes the report for people, as Markdown that reads well without being rendered.
func (r *benchReport) writeTable(w io.Writer) error {
	fmt.Fprintf(w, "%s, %s\n%s\n", r.Version, r.Date.Format("2006-01-02 15:04 MST"), r.Machine)
	if r.Goods != "" {
		fmt.Fprintf(w, "Through the gateway: HTTP on loopback, %d callers for %d s each, %s.\n", r.Callers, r.Seconds, r.Goods)
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	row := func(cells ...string) { fmt.Fprintf(t, "| %s\t|\n", strings.Join(cells, "\t| ")) }
	row("measure", "what", "value", "per second", "p50 ms", "p99 ms", "errors", "souk CPU ms", "postgres CPU ms", "in bare answers", "target")
	row(slices.Repeat([]string{"---"}, 11)...)
	for _, f := range r.Figures {
		if f.Unit != "" {
			row(f.Measure, f.What, decimals(f.Value)+" "+f.Unit, "", "", "", "", "", "", "", f.Target.String())
			continue
		}
		row(f.Measure, f.What, "", decimals(f.Rate), decimals(f.P50), decimals(f.P99), fmt.Sprint(f.Errors), decimals(f.SoukCPU), decimals(f.DataCPU), decimals(f.Bare), f.Target.String())
	}
	return t.Flush()
}

// String is the target for people, with whether it is met.
func (t *target) String() string {
	if t == nil {
		return ""
	}
	met := "met"
	if !t.Met {
		met = "MISSED"
	}
	return strings.TrimSpace(fmt.Sprintf("%s ≤ %s %s", t.Of, decimals(t.Most), t.Unit)) + ": " + met
}

// decimals writes as many digits as can be believed; nothing for zero.
func decimals(v float64) string {
	switch {
	case v == 0:
		return ""
	case v < 10:
		return strings.TrimSuffix(fmt.Sprintf("%.2f", v), ".00")
	case v < 100:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0")
	}
	return fmt.Sprintf("%.0f", v)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
