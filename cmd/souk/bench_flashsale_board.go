package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// A board shows a sale while it runs: lines that are redrawn in place on a terminal, a plain line now and then elsewhere.
type board struct {
	w        io.Writer
	terminal bool
	every    time.Duration // 0 for never
	units    int
	accounts int
	crowd    *crowd
	audience audience

	began time.Time
	drawn int // lines on the terminal that are ours
	last  tally
	at    time.Time
	rate  float64 // bookings a second, lately
	pace  float64 // answers a second, lately
}

func newBoard(w io.Writer, terminal bool, c flashSaleCommand, crowd *crowd, a audience) *board {
	b := &board{w: w, terminal: terminal, every: time.Second, units: c.Units, accounts: c.Accounts, crowd: crowd, audience: a}
	if terminal {
		b.every = 100 * time.Millisecond
	}
	return b
}

// start shows the sale until the function returned is called, which shows it a last time.
func (b *board) start() (stop func()) {
	if b.every == 0 {
		return func() {}
	}
	b.began, b.at = time.Now(), time.Now()
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(b.every)
		defer tick.Stop()
		for {
			select {
			case <-done:
				b.show()
				return
			case <-tick.C:
				b.show()
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(done)
		<-ended
	})
}

func (b *board) show() {
	now, t := time.Now(), b.crowd.tally()
	if since := now.Sub(b.at); since > b.every/2 {
		const smooth = 0.3
		b.rate += smooth * (float64(t.booked-b.last.booked)/since.Seconds() - b.rate)
		b.pace += smooth * (float64(t.answered-b.last.answered)/since.Seconds() - b.pace)
		b.last, b.at = t, now
	}
	e := saleEvent{saleCounts: saleCounts{Remaining: b.units}}
	if latest := b.audience.latest(); latest.Status != "" {
		e = latest
	}
	if !b.terminal {
		fmt.Fprintf(b.w, "%5.1f s: %s remaining, %s held, %s sold; %s asking, %s yet to ask; %s; booking p99 %s ms\n", now.Sub(b.began).Seconds(),
			thousands(e.Remaining), thousands(e.Held), thousands(e.Sold), thousands(t.asking), thousands(t.yet), t.refusals(), or(decimals(milliseconds(t.booking.percentile(99))), "0"))
		return
	}
	b.redraw(b.lines(now.Sub(b.began), e, t))
}

func (b *board) lines(since time.Duration, e saleEvent, t tally) []string {
	gone := e.Held + e.Sold
	return []string{
		fmt.Sprintf("Midnight Sale  %s  %.1f s", or(e.Status, "OPEN"), since.Seconds()),
		fmt.Sprintf("  units     %s %s of %s gone: %s held, %s sold, %s remaining", gauge(gone, b.units), thousands(gone), thousands(b.units),
			thousands(e.Held), thousands(e.Sold), thousands(e.Remaining)),
		fmt.Sprintf("  queue     %s %s of %s answered: %s asking, %s yet to ask", gauge(t.answered, b.accounts), thousands(t.answered), thousands(b.accounts),
			thousands(t.asking), thousands(t.yet)),
		fmt.Sprintf("  rate      %s bookings/s, %s answers/s; a booking takes p50 %s ms, p99 %s ms", thousands(int(b.rate)), thousands(int(b.pace)),
			or(decimals(milliseconds(t.booking.percentile(50))), "0"), or(decimals(milliseconds(t.booking.percentile(99))), "0")),
		"  refusals  " + t.refusals(),
		fmt.Sprintf("  watchers  %s sockets", thousands(b.audience.size())),
	}
}

// refusals lists what was answered but a booking.
func (t tally) refusals() string {
	var said []string
	for _, kind := range []struct{ outcome, name string }{
		{gotNone, "sold out"}, {gotAlready, "already booked"}, {gotTold, "come again"}, {overBudget, "over budget"}, {heardNone, "no answer"}, {serverError, "5xx"},
	} {
		if n := t.outcomes[kind.outcome]; n > 0 || kind.outcome == gotNone || kind.outcome == serverError {
			said = append(said, thousands(n)+" "+kind.name)
		}
	}
	return strings.Join(said, ", ")
}

// redraw puts lines where those of the last time are.
func (b *board) redraw(lines []string) {
	var out strings.Builder
	if b.drawn > 0 {
		fmt.Fprintf(&out, "\x1b[%dA", b.drawn)
	}
	width := b.width()
	for _, l := range lines {
		if r := []rune(l); len(r) > width {
			l = string(r[:width]) // a line that wraps would be two to go up
		}
		out.WriteString("\r\x1b[2K" + l + "\n")
	}
	b.drawn = len(lines)
	io.WriteString(b.w, out.String())
}

func (b *board) width() int {
	if f, ok := b.w.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			return w
		}
	}
	return 120
}

const gaugeWidth = 24

func gauge(is, of int) string {
	full := 0
	if of > 0 {
		full = min(gaugeWidth*is/of, gaugeWidth)
	}
	return strings.Repeat("█", full) + strings.Repeat("░", gaugeWidth-full)
}
