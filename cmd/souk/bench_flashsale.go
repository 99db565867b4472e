package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"time"

	"golang.org/x/term"
)

type flashSaleCommand struct {
	JSON      bool    `name:"json" help:"Print one JSON document instead of a table."`
	Units     int     `help:"Units on sale, 1 to 1,000,000." default:"10000" placeholder:"N"`
	Accounts  int     `help:"Accounts that want one, each once." default:"100000" placeholder:"N"`
	Watchers  int     `help:"Sockets that watch the counts." default:"2000" placeholder:"N"`
	Callers   int     `help:"How many ask at once; the first all in the same moment." default:"256" placeholder:"N"`
	Pay       float64 `help:"Share of those who got a unit that go on to the till, 0 to 1." default:"0.02" placeholder:"SHARE"`
	Processes []int   `help:"Sell as often, with so many processes of the flash sales behind the gateway, to see how they share the load; without it all parts are in one process." placeholder:"N"`
	Watch     bool    `help:"Show units, queue and refusals while it runs."`
	History   string  `help:"Keep what every account asked, when, and what it was answered in this file, a line of JSON each." type:"path" placeholder:"FILE"`
	Check     bool    `help:"Instead of measuring: run 20 sales of 2,500 operations each through the graph while connections are cut and PostgreSQL is killed, judge whether what everybody was told can be true, and fail when not."`
	Domain    bool    `help:"With --check: ask the flash sales alone, on PostgreSQL, without the graph around them and by a clock that stands still but for what callers do."`
	Seed      uint64  `help:"Of the first of these sales." default:"1" placeholder:"N"`
	Profiles  string  `help:"Keep CPU profiles of the shop in this folder." type:"path" placeholder:"DIR"`
}

// What a sale is to reach.
const (
	longestToSoldOut = 20.0   // s
	slowestBooking   = 1000.0 // ms, of the 99th percentile
	mostCounts       = 5.0    // a second to one watcher
	slowestCount     = 1000.0 // ms from a change to those who watch, of the 99th percentile

	mostWatchers = 25_000 // of the ports that one address has for connections to another, by default
	mostAccounts = 5_000_000
	saleHold     = 15 * time.Minute // longer than any run, so that no unit comes back in it
)

func (c flashSaleCommand) check() error {
	switch {
	case c.Units < 1 || c.Units > 1_000_000:
		return errors.New("--units is from 1 to 1000000")
	case c.Accounts < 1 || c.Accounts > mostAccounts:
		return fmt.Errorf("--accounts is from 1 to %d", mostAccounts)
	case c.Watchers < 0 || c.Watchers > mostWatchers:
		return fmt.Errorf("--watchers is from 0 to %d", mostWatchers)
	case c.Callers < 1 || c.Callers > mostReserveCaller:
		return fmt.Errorf("--callers is from 1 to %d", mostReserveCaller)
	case c.Pay < 0 || c.Pay > 1:
		return errors.New("--pay is from 0 to 1")
	case slices.ContainsFunc(c.Processes, func(n int) bool { return n < 1 || n > 16 }):
		return errors.New("--processes are from 1 to 16")
	case c.Domain && !c.Check:
		return errors.New("--domain goes with --check")
	}
	return mayOpen(c.Watchers)
}

// Run sells the units through the gateway, once for each number of processes, and then has all books compared. It fails when
// something is wrong, not when a target is missed.
func (c flashSaleCommand) Run(ctx context.Context, p *process) error {
	if err := c.check(); err != nil {
		return err
	}
	dir, err := benchFolder()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if c.Check {
		return c.judge(ctx, dir, p)
	}
	// What the engines have to say while they are stopped is nobody's news here.
	quiet := &process{getenv: func(string) string { return "" }, stdout: io.Discard, stderr: io.Discard, log: slog.New(slog.DiscardHandler)}
	report := &flashSaleReport{
		Machine: thisMachine(), Date: time.Now().UTC().Truncate(time.Second), Version: version(),
		Units: c.Units, Accounts: c.Accounts, Watchers: c.Watchers, Callers: c.Callers, Pay: c.Pay,
	}
	failed := c.sellAll(ctx, dir, quiet, p.stderr, report)
	if len(report.Runs) == 0 {
		return failed
	}
	if ctx.Err() != nil {
		report.Interrupted, failed = true, nil // whoever pressed Ctrl-C knows
	}
	write := report.writeTable
	if c.JSON {
		write = report.writeJSON
	}
	return errors.Join(write(p.stdout), failed, report.wrong())
}

func (c flashSaleCommand) sellAll(ctx context.Context, dir string, quiet *process, says io.Writer, report *flashSaleReport) error {
	say := func(format string, args ...any) { fmt.Fprintf(says, "bench: "+format+"\n", args...) }
	say("engines, and a shop of several processes")
	m, err := openBazaar(ctx, dir, quiet)
	if err != nil {
		return err
	}
	defer m.close()
	if report.Machine.Fsync, err = fsyncOf(ctx, m.url); err != nil {
		return err
	}
	notes, err := openHistory(c.History)
	if err != nil {
		return err
	}
	defer notes.close()
	runs := c.Processes
	if len(runs) == 0 {
		runs = []int{0}
	}
	for i, processes := range runs {
		if err := m.open(ctx, processes); err != nil {
			return err
		}
		if i == 0 {
			say("%d accounts with an access token each", c.Accounts)
			if err := m.populate(ctx, c.Accounts); err != nil {
				return err
			}
		}
		r := &saleRun{Processes: processes}
		report.Runs = append(report.Runs, r)
		err := c.sellOnce(ctx, m, notes, says, r)
		if err == nil {
			r.settled(ctx, m)
		}
		m.shut()
		if err != nil {
			return err
		}
	}
	return notes.close()
}

// sellOnce holds one sale from its set-up until everybody has an answer and sees the last count.
func (c flashSaleCommand) sellOnce(ctx context.Context, m *bazaar, notes *history, says io.Writer, r *saleRun) error {
	sale, err := m.setUp(ctx, c.Units)
	if err != nil {
		return fmt.Errorf("set-up: %w", err)
	}
	audience, err := m.seat(ctx, sale, max(c.Watchers, 1), &r.Sockets)
	if err != nil {
		return fmt.Errorf("watchers: %w", err)
	}
	defer audience.leave()
	crowd := newCrowd(m, sale, c, notes)
	defer crowd.close()
	file, _ := says.(*os.File)
	shown := newBoard(says, file != nil && term.IsTerminal(int(file.Fd())), c, crowd, audience)
	if !c.Watch {
		shown.every = 0
	}
	if m.apart && c.History == "" {
		if r.Sockets.Quiet, err = m.rehearse(ctx, crowd, audience); err != nil {
			return err
		}
	}
	profiled := m.profile(ctx, c.Profiles, r.Processes)
	audience.heard()
	before := m.cpu()
	stop := shown.start()
	err = crowd.rush(ctx)
	after := m.cpu()
	r.took(crowd, after.minus(before))
	if err == nil {
		r.Final, err = m.counts(ctx, sale)
	}
	if err == nil {
		awaitLast(ctx, audience, r.Final)
	}
	stop()
	r.saw(crowd, audience)
	if m.doorKB > 0 {
		r.Sockets.EachSold = (m.residentKB() - m.doorKB) / float64(audience.size())
	}
	if err != nil {
		return err
	}
	r.judge(crowd)
	return profiled()
}
