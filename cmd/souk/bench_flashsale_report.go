package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// A flashSaleReport is what souk bench flashsale has to say.
type flashSaleReport struct {
	Machine     benchMachine `json:"machine"`
	Date        time.Time    `json:"date"`
	Version     string       `json:"version"`
	Units       int          `json:"units"`
	Accounts    int          `json:"accounts"`
	Watchers    int          `json:"watchers"`
	Callers     int          `json:"callers"`
	Pay         float64      `json:"pay"`
	Interrupted bool         `json:"interrupted,omitempty"`
	Runs        []*saleRun   `json:"runs"`
}

// A saleRun is one sale from its start to its end.
type saleRun struct {
	Processes int            `json:"processes"` // of the flash sales; 0 when they share one with all other parts
	SoldOut   float64        `json:"soldOutSeconds"`
	Answered  float64        `json:"allAnsweredSeconds"`
	Accounts  int            `json:"accountsAnswered"`
	Rate      float64        `json:"bookingsPerSecond"` // until it was sold out
	Answers   float64        `json:"answersPerSecond"`  // over all
	Booking   latency        `json:"booking"`
	Other     latency        `json:"otherAnswers"`
	Checkout  latency        `json:"checkout"`
	Outcomes  map[string]int `json:"outcomes"`
	Status5XX int            `json:"http5xx"`
	Lag       latency        `json:"lag"`
	Watching  int            `json:"watching"`
	Exact     int            `json:"watchersAtTheExactCount"`
	Backward  int            `json:"eventsBackInTime"`
	Final     saleCounts     `json:"final"`
	Booked    int            `json:"booked"`
	Sockets   saleSockets    `json:"sockets"`
	CPU       saleCPU        `json:"cpu"`
	Orders    int            `json:"ordersChecked"`
	Findings  []string       `json:"findings"`
	Checked   bool           `json:"checked"` // whether all books were compared
	Targets   []*saleTarget  `json:"targets"`

	samples map[string]string
	units   int
	heard   string // why a watcher heard no more
}

// A latency is how long answers took.
type latency struct {
	Answers int     `json:"answers"`
	P50     float64 `json:"p50Ms"`
	P99     float64 `json:"p99Ms"`
	Most    float64 `json:"mostMs"`
}

func latencyOf(took []time.Duration) latency {
	slices.Sort(took)
	t := timings{took: took}
	return latency{len(took), milliseconds(t.percentile(50)), milliseconds(t.percentile(99)), milliseconds(t.percentile(100))}
}

// saleCPU is CPU time for one answer: what of the machine each of them takes is what limits a sale on it.
type saleCPU struct {
	Shop     float64 `json:"soukMs"`
	Postgres float64 `json:"postgresMs"`
	Clients  float64 `json:"clientsMs"`
	Watchers float64 `json:"watchersMs"`
}

// A saleTarget is what is to be reached.
type saleTarget struct {
	What string  `json:"what"`
	Is   float64 `json:"is"`
	Most float64 `json:"atMost"`
	Unit string  `json:"unit,omitempty"`
	Met  bool    `json:"met"`
}

// took notes how the crowd fared.
func (r *saleRun) took(c *crowd, used shares) {
	t := c.tally()
	c.mu.Lock()
	defer c.mu.Unlock()
	r.units = c.units
	r.SoldOut, r.Answered, r.Accounts, r.Booked = time.Duration(c.soldOut.Load()).Seconds(), c.all.Seconds(), t.answered, t.booked
	until := r.SoldOut
	if until == 0 {
		until = r.Answered // fewer wanted one than there were
	}
	answers := float64(len(c.took) + len(c.others))
	if r.Answered > 0 && answers > 0 {
		r.Rate, r.Answers = float64(t.booked)/until, answers/r.Answered
		r.CPU = saleCPU{milliseconds(used.shop) / answers, milliseconds(used.postgres) / answers, milliseconds(used.clients) / answers, milliseconds(used.watchers) / answers}
	}
	r.Booking, r.Other = latencyOf(c.took), latencyOf(c.others)
}

// saw notes what the tills and the watchers had to say.
func (r *saleRun) saw(c *crowd, a audience) {
	if r.Final == (saleCounts{}) {
		r.Final = a.latest().saleCounts // it was cut short
	}
	h := a.heard()
	r.Lag, r.Backward, r.Watching, r.Exact, r.heard = h.Lag, h.Backward, a.size(), a.exact(r.Final), h.Failed
	r.Sockets.Frames, r.Sockets.PerSecond = h.Frames, float64(h.Frames)/h.For.Seconds()
	r.Sockets.Counts = r.Sockets.PerSecond / float64(a.size())
	c.mu.Lock()
	defer c.mu.Unlock()
	r.Checkout, r.Outcomes, r.samples = latencyOf(c.tills), maps.Clone(c.outcomes), maps.Clone(c.samples)
	r.Status5XX = r.Outcomes[serverError]
}

// judge compares with what is to be reached.
func (r *saleRun) judge(c *crowd) {
	demanded := min(r.units, len(c.people))
	soldOut := r.SoldOut
	if demanded < r.units {
		soldOut = r.Answered
	}
	lost := float64(max(demanded-r.Final.Held-r.Final.Sold, 0))
	over := float64(max(r.Final.Held+r.Final.Sold-r.units, r.Booked-demanded, 0))
	oneMore := r.Sockets.PerSecond / float64(max(r.Sockets.Frames, 1)) // a while has one count more than there are pauses between counts
	r.Targets = []*saleTarget{
		{What: "sold out", Is: soldOut, Most: longestToSoldOut, Unit: "s", Met: soldOut > 0 && soldOut <= longestToSoldOut},
		{What: "booking p99", Is: r.Booking.P99, Most: slowestBooking, Unit: "ms", Met: r.Booking.Answers > 0 && r.Booking.P99 <= slowestBooking},
		{What: "live count lag p99", Is: r.Lag.P99, Most: slowestCount, Unit: "ms", Met: r.Lag.Answers > 0 && r.Lag.P99 <= slowestCount},
		{What: "live counts a second, to each watcher", Is: r.Sockets.Counts, Most: mostCounts, Met: r.Sockets.Counts <= mostCounts+oneMore},
		zero("HTTP 5xx", r.Status5XX), zero("answers lost on the way", r.Outcomes[heardNone]),
		zero("accounts without a final answer", len(c.people)-r.Accounts),
		zero("units neither held nor sold that somebody wanted", int(lost)), zero("units sold twice", int(over)),
		zero("watchers not at the exact count", r.Watching-r.Exact), zero("checkouts failed", r.Outcomes["checkout FAILED"]),
	}
}

func zero(what string, is int) *saleTarget {
	return &saleTarget{What: what, Is: float64(is), Met: is == 0}
}

// settled waits until no order is under way any more, and has all books compared.
func (r *saleRun) settled(ctx context.Context, m *bazaar) {
	books, err := openBooks(ctx, m.postgresURL)
	if err != nil {
		r.Findings = append(r.Findings, err.Error())
		return
	}
	defer books.close()
	for deadline := time.Now().Add(longestUnrest); ; {
		found, err := books.check(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			r.Findings = append(r.Findings, err.Error())
			return
		}
		if found.underWay > 0 && time.Now().Before(deadline) {
			if pause(ctx, 100*time.Millisecond) != nil {
				return
			}
			continue
		}
		r.Checked, r.Orders, r.Findings = true, found.atRest+found.underWay, append([]string{}, found.findings...)
		r.Targets = append(r.Targets, zero("differences that souk check finds", len(found.findings)), zero("orders still under way", found.underWay))
		return
	}
}

// wrong is an error when a sale was not as it has to be, whatever the machine.
func (r *flashSaleReport) wrong() error {
	if r.Interrupted {
		return nil
	}
	var errs []error
	for _, run := range r.Runs {
		for _, t := range run.Targets {
			if t.Most == 0 && !t.Met {
				errs = append(errs, fmt.Errorf("%s: %g", t.What, t.Is))
			}
		}
		for _, outcome := range slices.Sorted(maps.Keys(run.samples)) {
			errs = append(errs, fmt.Errorf("the first %s: %s", outcome, run.samples[outcome]))
		}
		if run.heard != "" && run.Exact < run.Watching {
			errs = append(errs, fmt.Errorf("a watcher heard no more: %s", run.heard))
		}
		for _, f := range run.Findings[:min(len(run.Findings), 20)] {
			errs = append(errs, errors.New(f))
		}
	}
	return errors.Join(errs...)
}

func (r *flashSaleReport) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

func (r *flashSaleReport) writeTable(w io.Writer) error {
	fmt.Fprintf(w, "%s, %s\n%s\n", r.Version, r.Date.Format("2006-01-02 15:04 MST"), r.Machine)
	fmt.Fprintf(w, "%s units to %s accounts through the gateway: HTTP on loopback, %d at once, %s sockets watching.\n",
		thousands(r.Units), thousands(r.Accounts), r.Callers, thousands(r.Watchers))
	if r.Interrupted {
		fmt.Fprintln(w, "Interrupted; this is how far it got.")
	}
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	row := func(cells ...string) { fmt.Fprintf(t, "| %s\t|\n", strings.Join(cells, "\t| ")) }
	for _, run := range r.Runs {
		fmt.Fprintln(t)
		if run.Processes > 0 {
			fmt.Fprintf(t, "Flash sales in %d processes, %.2f × the bookings a second of %d\n\n", run.Processes, run.Rate/max(r.Runs[0].Rate, 1), r.Runs[0].Processes)
		}
		row("what", "value")
		row("---", "---")
		run.rows(func(what, format string, args ...any) { row(what, fmt.Sprintf(format, args...)) })
		if run.Targets == nil {
			continue
		}
		fmt.Fprintln(t)
		row("target", "is", "")
		row("---", "---", "---")
		for _, target := range run.Targets {
			row(target.What, strings.TrimSpace(or(decimals(target.Is), "0")+" "+target.Unit), target.String())
		}
	}
	return t.Flush()
}

func (r *saleRun) rows(row func(what, format string, args ...any)) {
	if r.SoldOut > 0 {
		row("sold out after", "%.2f s", r.SoldOut)
	}
	row("accounts answered", "%s in %.2f s", thousands(r.Accounts), r.Answered)
	row("bookings a second until sold out", "%s", thousands(int(r.Rate)))
	row("answers a second", "%s", thousands(int(r.Answers)))
	for _, l := range []struct {
		what string
		latency
	}{{"a booking", r.Booking}, {"any other answer", r.Other}, {"live count, from the change to a watcher", r.Lag}, {"address, card and checkout", r.Checkout}} {
		if l.Answers > 0 {
			row(l.what, "p50 %s ms, p99 %s ms, most %s ms, of %s", decimals(l.P50), decimals(l.P99), decimals(l.Most), thousands(l.Answers))
		}
	}
	for _, outcome := range slices.Sorted(maps.Keys(r.Outcomes)) {
		row("answered "+outcome, "%s", thousands(r.Outcomes[outcome]))
	}
	row("remaining, held, sold at the end", "%s, %s, %s", thousands(r.Final.Remaining), thousands(r.Final.Held), thousands(r.Final.Sold))
	row("watchers at the exact count", "%s of %s", thousands(r.Exact), thousands(r.Watching))
	if s := r.Sockets; s.Opening > 0 {
		row("sockets", "open after %s s, %s µs of CPU each; %s KB of the gateway's memory each, %s at the end", decimals(s.Opening), decimals(s.OpenCPU), decimals(s.Each), decimals(s.EachSold))
		row("counts to them", "%s frames a second, %s to each", thousands(int(s.PerSecond)), decimals(s.Counts))
		if q := s.Quiet; q.Frames > 0 {
			row("a count while nobody buys", "p50 %s ms, p99 %s ms, most %s ms; CPU for a frame: souk %s µs, watchers %s µs",
				decimals(q.Lag.P50), decimals(q.Lag.P99), decimals(q.Lag.Most), decimals(q.Souk), decimals(q.Watchers))
		}
	}
	if r.CPU.Shop > 0 {
		row("CPU for an answer", "souk %s ms, postgres %s ms, clients and engines %s ms, watchers %s ms",
			decimals(r.CPU.Shop), decimals(r.CPU.Postgres), decimals(r.CPU.Clients), decimals(r.CPU.Watchers))
	}
	if r.Checked {
		row("souk check", "%d differences, %s orders", len(r.Findings), thousands(r.Orders))
	}
}

// String says whether the target is met.
func (t *saleTarget) String() string {
	met := "met"
	if !t.Met {
		met = "MISSED"
	}
	if t.Most == 0 {
		return "none: " + met
	}
	return strings.TrimSpace("≤ "+decimals(t.Most)+" "+t.Unit) + ": " + met
}

// thousands writes a number with commas.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
