package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// A chaosReport is what a chaos run did and found.
type chaosReport struct {
	Version  string        `json:"version"`
	Machine  benchMachine  `json:"machine"`
	Seed     uint64        `json:"seed"`
	Units    int           `json:"units"`
	Accounts int           `json:"accounts"`
	Faults   []chaosStruck `json:"faults"`

	Came      int            `json:"came"`
	Bookings  int            `json:"bookings"`
	Answers   map[string]int `json:"answers"`
	Ends      map[string]int `json:"ends"`
	Troubles  map[string]int `json:"troubles"`
	Unknown   int            `json:"unknownOutcomes"`
	GaveUp    int            `json:"gaveUp"`
	Quiet     float64        `json:"longestWithoutBookingSeconds"`
	Rush      float64        `json:"rushSeconds"`
	Settled   float64        `json:"settledSeconds"`
	HangUps   int64          `json:"bankHangUps"`
	Lateness  int64          `json:"bankLate"`
	Watchers  int            `json:"watchers"`
	Told      int            `json:"watchersTold"`
	WatchEnds map[string]int `json:"watchersEnded"`
	Restarts  map[string]int `json:"endedBeforeTheyServed"`

	LateOrders float64 `json:"ordersPastTheirDeadlineSeconds"`

	Sold      int      `json:"sold"`
	Remaining int      `json:"remaining"`
	Held      int      `json:"held"`
	Booked    int      `json:"booked"`
	Oversold  int      `json:"oversold"`
	Lost      int      `json:"lost"`
	Captures  int      `json:"captures"`
	Refunds   int      `json:"refunds"`
	Findings  []string `json:"findings"`
	Logs      string   `json:"logs,omitempty"` // where they are kept
}

// A chaosStruck is a fault and what followed.
type chaosStruck struct {
	AfterSeconds float64  `json:"afterSeconds"`
	Kind         string   `json:"kind"`
	Target       string   `json:"target"`
	ForSeconds   float64  `json:"forSeconds,omitempty"`
	BackSeconds  float64  `json:"backSeconds"`                  // until it served again, or the network was whole
	NextBooking  *float64 `json:"nextBookingSeconds,omitempty"` // until the first booking that was asked for after it
}

func (r *chaosReport) writeJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

func (r *chaosReport) writeText(w io.Writer) error {
	fmt.Fprintf(w, "souk chaos --seed %d: %d units, %d accounts, %s\n\n", r.Seed, r.Units, r.Accounts, r.Version)
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "after\twhat\tto\tback after\tnext booking after")
	for _, f := range r.Faults {
		next := "none"
		if f.NextBooking != nil {
			next = fmt.Sprintf("%.2f s", *f.NextBooking)
		}
		fmt.Fprintf(t, "%.1f s\t%s\t%s\t%.2f s\t%s\n", f.AfterSeconds, f.Kind, f.Target, f.BackSeconds, next)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%d people came in %.0f s and made %d bookings; the longest time without one while there was something to book: %.1f s\n", r.Came, r.Rush, r.Bookings, r.Quiet)
	fmt.Fprintf(w, "answers:    %s\n", chaosTally(r.Answers))
	fmt.Fprintf(w, "went on:    %s\n", chaosTally(r.Ends))
	fmt.Fprintf(w, "no answer:  %s; %d of these with an unknown outcome, %d gave up\n", chaosTally(r.Troubles), r.Unknown, r.GaveUp)
	fmt.Fprintf(w, "bank:       hung up %d times, was late %d times, told everything twice\n", r.HangUps, r.Lateness)
	fmt.Fprintf(w, "watchers:   %d, told %d times; ended: %s\n", r.Watchers, r.Told, chaosTally(r.WatchEnds))
	if len(r.Restarts) > 0 {
		fmt.Fprintf(w, "started in vain: %s\n", chaosTally(r.Restarts))
	}
	fmt.Fprintf(w, "orders that were not paid in time ended up to %.1f s after their deadline\n", r.LateOrders)
	fmt.Fprintf(w, "settled %.1f s after the last had left\n\n", r.Settled)
	fmt.Fprintf(w, "%d sold + %d left = %d of %d; %d oversold, %d lost; %d payments kept for %d bookings, %d refunded\n",
		r.Sold, r.Remaining, r.Sold+r.Remaining, r.Units, r.Oversold, r.Lost, r.Captures, r.Booked, r.Refunds)
	for _, f := range r.Findings {
		fmt.Fprintln(w, "FOUND:", f)
	}
	if r.Logs != "" {
		fmt.Fprintln(w, "logs and data are in", r.Logs)
	}
	_, err := fmt.Fprintf(w, "%d findings\n", len(r.Findings))
	return err
}

// chaosTally writes counts down, the largest first.
func chaosTally(counts map[string]int) string {
	keys := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		if counts[a] != counts[b] {
			return counts[b] - counts[a]
		}
		return strings.Compare(a, b)
	})
	out := ""
	for i, k := range keys {
		if i > 0 {
			out += ", "
		}
		out += fmt.Sprintf("%d %s", counts[k], k)
	}
	return or(out, "none")
}

func seconds(d time.Duration) float64 {
	return float64(d.Round(10*time.Millisecond)) / float64(time.Second)
}
