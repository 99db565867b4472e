package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	devpostgres "github.com/souk-shop/souk/internal/devstores/postgres"
	judged "github.com/souk-shop/souk/subgraphs/flashsale/history"
)

// Of how many operations a judged history is, and how many there are: enough that a sale sells out, fills up again and sells out for
// good, with connections cut on the way.
const (
	judgedOps   = 2500
	judgedSeeds = 20
)

// errUnexplained is why souk bench flashsale --check ends with 1.
var errUnexplained = errors.New("no order of single steps explains what was answered")

// judge runs sales and judges what their callers were told: through the graph of a whole shop, or the flash sales alone.
func (c flashSaleCommand) judge(ctx context.Context, dir string, p *process) error {
	var verdicts []judgedHistory
	if !c.JSON {
		fmt.Fprintln(p.stdout, "seed  operations  unanswered  sold   ran for  judged in  verdict")
	}
	run := c.judgeGraph
	if c.Domain {
		run = c.judgeDomain
	}
	report, err := run(ctx, dir, func(h judged.History) {
		v := judgedHistory{h.Seed, h.Ops, h.Unknown, h.Sold, h.Ran.Seconds(), h.Took.Seconds(), string(h.Result), h.Stuck, h.Picture}
		verdicts = append(verdicts, v)
		if c.JSON {
			return
		}
		fmt.Fprintf(p.stdout, "%4d  %10d  %10d  %4d  %8s  %9s  %s\n", h.Seed, h.Ops, h.Unknown, h.Sold, h.Ran.Round(time.Millisecond), h.Took.Round(time.Millisecond), h.Result)
		if h.Picture != "" {
			fmt.Fprintf(p.stdout, "      stuck at %s; see %s\n", h.Stuck, h.Picture)
		}
	})
	if err != nil {
		return err
	}
	if c.JSON {
		if err := json.NewEncoder(p.stdout).Encode(map[string]any{"histories": verdicts}); err != nil {
			return err
		}
	}
	if !report.Explained() {
		return errUnexplained
	}
	return nil
}

// judgeDomain runs sales on a PostgreSQL of their own, without a shop around them and by a clock that the callers hold.
func (c flashSaleCommand) judgeDomain(ctx context.Context, dir string, each func(judged.History)) (judged.Report, error) {
	server, err := devpostgres.Start(ctx, devpostgres.Config{Dir: filepath.Join(dir, "postgres"), Databases: []string{"souk"}})
	if err != nil {
		return judged.Report{}, err
	}
	defer server.Stop()
	return judged.Run(ctx, judged.Options{URL: server.URL("souk"), Seed: c.Seed, Seeds: judgedSeeds, Ops: judgedOps, Each: each})
}

type judgedHistory struct {
	Seed       uint64  `json:"seed"`
	Operations int     `json:"operations"`
	Unanswered int     `json:"unanswered"`
	Sold       int     `json:"sold"`
	RanFor     float64 `json:"ranForSeconds"`
	JudgedIn   float64 `json:"judgedInSeconds"`
	Verdict    string  `json:"verdict"`
	Stuck      string  `json:"stuckAt,omitempty"`
	Picture    string  `json:"picture,omitempty"`
}
