package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	clientsouk "github.com/souk-shop/souk/clients/souk"
)

type attackCommand struct {
	JSON     bool   `name:"json" help:"Print one JSON document instead of a table."`
	Seconds  int    `help:"How long each round lasts, 1 to 60." default:"5"`
	Rounds   int    `help:"How often each is measured, by turns, 1 to 20." default:"2"`
	Rate     int    `help:"Requests a second of the script, 10 to 10,000." default:"1000"`
	Accounts int    `help:"Accounts that the script has, 1 to 200; all behind one address." default:"1"`
	Buyers   int    `help:"Ordinary buyers beside it, 1 to 200." default:"32"`
	Profiles string `help:"Keep a CPU profile of the shop under attack in this folder." type:"path" placeholder:"DIR"`
}

const (
	journeyEach  = 500 * time.Millisecond // a buyer's pace
	mostP99Ratio = 1.1                    // × the others' p99 beside as many requests to somebody else
)

// The kinds of rounds. What drives the load runs on the same machine as the shop: the second tells what that alone does.
const (
	quietRound   = "quiet"
	controlRound = "control"
	attackRound  = "attack"
)

// An attackReport is what souk bench attack has to say.
type attackReport struct {
	Machine benchMachine `json:"machine"`
	Date    time.Time    `json:"date"`
	Version string       `json:"version"`
	Buyers  int          `json:"buyers"`
	Seconds int          `json:"secondsEach"`
	Asked   int          `json:"scriptPerSecond"`
	Owned   int          `json:"scriptAccounts"`
	Rows    []*attackRow `json:"rounds"`
	// Of the rounds under attack to the others.
	ToQuiet   float64 `json:"p99ToQuiet"`
	ToControl float64 `json:"p99ToControl"`
	Met       bool    `json:"met"`
	Each      float64 `json:"soukCPUMicrosPerScriptRequest"` // above what the buyers' answers took in the control rounds
}

// An attackRow is all rounds of a kind.
type attackRow struct {
	Round    string         `json:"round"`
	What     string         `json:"what"`
	Journeys int            `json:"journeys"`
	Booked   int            `json:"booked"`
	Answers  int            `json:"answers"`
	P50      float64        `json:"p50Ms"`
	P99      float64        `json:"p99Ms"`
	Script   map[string]int `json:"script,omitempty"` // its requests by what it was told
	Sent     float64        `json:"sentPerSecond,omitempty"`
	Fetches  int            `json:"scriptFetches"` // what was asked of subgraphs for it, at most
	SoukCPU  float64        `json:"soukCPUSeconds"`
	DataCPU  float64        `json:"postgresCPUSeconds"`

	took  []time.Duration
	first error
}

// Run starts a shop with a sale, and measures its buyers by turns: alone, beside as many requests to a server that does nothing, and
// beside the script. It fails when a buyer did.
func (c attackCommand) Run(ctx context.Context, p *process) error {
	for _, b := range []struct {
		name             string
		is, least, most_ int
	}{{"seconds", c.Seconds, 1, 60}, {"rounds", c.Rounds, 1, 20}, {"rate", c.Rate, 10, 10_000}, {"buyers", c.Buyers, 1, 200}, {"accounts", c.Accounts, 1, 200}} {
		if b.is < b.least || b.is > b.most_ {
			return fmt.Errorf("--%s is from %d to %d", b.name, b.least, b.most_)
		}
	}
	dir, err := benchFolder()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Fprintln(p.stderr, "bench: start with the demo's goods")
	c0 := config{func(string) string { return "" }}
	s, err := startChildWith(ctx, filepath.Join(dir, "data"), []string{ // budgets as in production; souk dev has others
		"SOUK_RATE_ACCOUNT=" + c0.get("SOUK_RATE_ACCOUNT"), "SOUK_RATE_IP=" + c0.get("SOUK_RATE_IP"), "SOUK_TRUSTED_PROXIES=1", "SOUK_LOG_LEVEL=warn",
	}, "--demo")
	if err != nil {
		return err
	}
	defer s.stopAndWait()
	report, err := c.measure(ctx, p, s)
	if err != nil {
		return err
	}
	if c.JSON {
		e := json.NewEncoder(p.stdout)
		e.SetIndent("", "  ")
		err = e.Encode(report)
	} else {
		err = report.writeTable(p.stdout)
	}
	return errors.Join(err, report.wrong())
}

func (c attackCommand) measure(ctx context.Context, p *process, s *childShop) (*attackReport, error) {
	door, err := c.openSale(ctx, s, p.stderr)
	if err != nil {
		return nil, err
	}
	defer door.client.CloseIdleConnections()
	r := &attackReport{Machine: thisMachine(), Date: time.Now().UTC().Truncate(time.Second), Version: version(), Buyers: c.Buyers, Seconds: c.Seconds, Asked: c.Rate, Owned: c.Accounts}
	rows := map[string]*attackRow{}
	for _, kind := range []struct{ round, what string }{
		{quietRound, "buyers alone"},
		{controlRound, fmt.Sprintf("beside %d requests/s to a server that does nothing", c.Rate)},
		{attackRound, fmt.Sprintf("beside %d requests/s at the door, from one address, nothing solved", c.Rate)},
	} {
		row := &attackRow{Round: kind.round, What: kind.what, Script: map[string]int{}}
		rows[kind.round], r.Rows = row, append(r.Rows, row)
	}
	bare, end, err := startBare()
	if err != nil {
		return nil, err
	}
	defer end()
	fmt.Fprintln(p.stderr, "bench: warm up")
	if err := door.round(ctx, &attackRow{Script: map[string]int{}}, time.Second, nil); err != nil {
		return nil, err
	}
	for n := range c.Rounds {
		for _, row := range r.Rows {
			fmt.Fprintf(p.stderr, "bench: %s, round %d of %d, %d s\n", row.What, n+1, c.Rounds, c.Seconds)
			script := map[string]*script{
				controlRound: {to: bare, perSecond: c.Rate},
				attackRound:  {to: s.base + "/graphql", perSecond: c.Rate, tokens: door.evil, sale: door.sale},
			}[row.Round]
			profiled := func() error { return nil }
			if n == 0 && row.Round == attackRound {
				profiled = c.profile(ctx, s)
			}
			before := cpuOf(s.process.Pid())
			if err := door.round(ctx, row, time.Duration(c.Seconds)*time.Second, script); err != nil {
				return nil, err
			}
			after := cpuOf(s.process.Pid())
			row.SoukCPU += (after.own - before.own).Seconds()
			row.DataCPU += (after.children - before.children).Seconds()
			if err := profiled(); err != nil {
				return nil, err
			}
		}
	}
	for _, row := range r.Rows {
		slices.Sort(row.took)
		t := timings{took: row.took}
		row.Answers, row.P50, row.P99 = len(row.took), milliseconds(t.percentile(50)), milliseconds(t.percentile(99))
		row.Sent /= float64(c.Rounds)
		row.Fetches = row.Script["CHALLENGE_FAILED"]
	}
	attacked := rows[attackRound]
	control := rows[controlRound]
	r.ToQuiet, r.ToControl = attacked.P99/rows[quietRound].P99, attacked.P99/control.P99
	buyers := control.SoukCPU / float64(control.Answers) * float64(attacked.Answers)
	r.Each = (attacked.SoukCPU - buyers) / (attacked.Sent * float64(c.Seconds*c.Rounds)) * 1e6
	r.Met = r.ToControl <= mostP99Ratio && attacked.Booked == attacked.Journeys
	return r, nil
}

// profile begins to watch the CPU of the shop for one round, if that is wanted; what it returns waits for the profile.
func (c attackCommand) profile(ctx context.Context, s *childShop) (wait func() error) {
	if c.Profiles == "" {
		return func() error { return nil }
	}
	done := make(chan error, 1)
	go func() {
		done <- keep(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", s.private, c.Seconds), filepath.Join(c.Profiles, "attack.pprof"))
	}()
	return func() error { return <-done }
}

// round lets every buyer go one way after the other, at an even pace, while a script does what it does.
func (d *door) round(ctx context.Context, row *attackRow, how time.Duration, sc *script) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	scriptDone := make(chan struct{})
	if sc == nil {
		close(scriptDone)
	} else {
		go func() {
			defer close(scriptDone)
			sc.run(ctx, how, row)
		}()
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	until := time.Now().Add(how)
	for i, b := range d.buyers {
		all.Go(func() {
			tick := time.NewTimer(journeyEach * time.Duration(i) / time.Duration(len(d.buyers)))
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				if !time.Now().Before(until) {
					return
				}
				tick.Reset(journeyEach)
				took, err := d.journey(ctx, b)
				mu.Lock()
				row.took = append(row.took, took...)
				row.Journeys++
				if err == nil {
					row.Booked++
				} else if row.first == nil {
					row.first = err
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	<-scriptDone
	return context.Cause(ctx)
}

// openSale puts many units of the demo's goods on sale behind a waiting room, and registers who is to come.
func (c attackCommand) openSale(ctx context.Context, s *childShop, progress io.Writer) (*door, error) {
	goods, err := lookAt(ctx, s.base)
	if err != nil {
		return nil, err
	}
	staff, err := clientsouk.New(s.base+"/graphql").SignIn(ctx, "staff@souk.test", benchPassword)
	if err != nil {
		return nil, err
	}
	type saved struct {
		FlashSaleSave struct {
			FlashSale  struct{ ID string }
			UserErrors clientsouk.UserErrors
		}
	}
	answer, err := clientsouk.Do[saved](ctx, staff, `mutation ($input: FlashSaleSaveInput!) { flashSaleSave(input: $input) { flashSale { id } userErrors { code message field } } }`, map[string]any{"input": map[string]any{
		"title": "Under attack", "admission": "FIFO", "admitPerSecond": 10_000, "challengeDifficulty": 1_000,
		"offers":   []map[string]any{{"variantId": goods.variants[0], "price": map[string]any{"amount": "9.90", "currencyCode": "USD"}, "quantity": 50_000}},
		"startsAt": time.Now().UTC(), "endsAt": time.Now().UTC().Add(24 * time.Hour), "idempotencyKey": newKey(),
	}})
	if err == nil {
		err = answer.FlashSaleSave.UserErrors.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("the sale: %w", err)
	}
	d := &door{base: s.base, sale: answer.FlashSaleSave.FlashSale.ID, client: newLoadClient(s.base).http}
	fmt.Fprintf(progress, "bench: %d buyers register\n", c.Buyers)
	for i := range c.Buyers {
		b := doorBuyer{address: fmt.Sprintf("198.51.100.%d", i+1)}
		if b.token, err = register(ctx, s.base); err != nil {
			return nil, err
		}
		d.buyers = append(d.buyers, b)
	}
	for range c.Accounts {
		token, err := register(ctx, s.base)
		if err != nil {
			return nil, err
		}
		d.evil = append(d.evil, token)
	}
	return d, nil
}

// wrong is an error when a buyer did not get a unit.
func (r *attackReport) wrong() error {
	var said []string
	for _, row := range r.Rows {
		if row.Booked < row.Journeys {
			said = append(said, fmt.Sprintf("%s: %d of %d buyers failed, the first: %v", row.Round, row.Journeys-row.Booked, row.Journeys, row.first))
		}
	}
	if said == nil {
		return nil
	}
	return errors.New(strings.Join(said, "\n"))
}

func (r *attackReport) writeTable(w io.Writer) error {
	fmt.Fprintf(w, "%s, %s\n%s\n", r.Version, r.Date.Format("2006-01-02 15:04 MST"), r.Machine)
	fmt.Fprintf(w, "%d buyers, each every %s: challenge, work, join, wait, book, give back; production's budgets.\n\n", r.Buyers, journeyEach)
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	row := func(cells ...string) { fmt.Fprintf(t, "| %s\t|\n", strings.Join(cells, "\t| ")) }
	row("round", "what", "buyers who booked", "their answers", "p50 ms", "p99 ms", "souk CPU s", "postgres CPU s", "the script sent", "and was told")
	row(slices.Repeat([]string{"---"}, 10)...)
	for _, x := range r.Rows {
		sent, told := "", ""
		if x.Sent > 0 {
			sent = fmt.Sprintf("%.0f/s", x.Sent)
			var parts []string
			for code, n := range x.Script {
				parts = append(parts, fmt.Sprintf("%s %d", code, n))
			}
			slices.Sort(parts)
			told = strings.Join(parts, ", ")
		}
		row(x.Round, x.What, fmt.Sprintf("%d of %d", x.Booked, x.Journeys), fmt.Sprint(x.Answers), decimals(x.P50), decimals(x.P99), decimals(x.SoukCPU), decimals(x.DataCPU), sent, told)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	met := "met"
	if !r.Met {
		met = "MISSED"
	}
	_, err := fmt.Fprintf(w, "\nThe others' p99 under attack is %.2f × that beside as many requests to somebody else, %.2f × that alone. All book and ≤ %.2f × the former: %s\n"+
		"A request of the script cost the shop %.0f µs of CPU.\n", r.ToControl, r.ToQuiet, mostP99Ratio, met, r.Each)
	return err
}
