package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	devpostgres "github.com/souk-shop/souk/internal/devstores/postgres"
)

type reserveCommand struct {
	JSON    bool     `name:"json" help:"Print one JSON document instead of a table."`
	Seconds int      `help:"How long each load lasts, 1 to 60." default:"3"`
	Callers []int    `help:"How many call at once, one load after the other; the ratios are to SELECT FOR UPDATE at as many." default:"1,4,16,64,256" placeholder:"N"`
	Only    []string `help:"These ways alone, besides the first: ${enum}." enum:"update,duties,skip,alone,ours,redis" placeholder:"WAY"`
}

// What holding one unit of a hot item is to reach.
const (
	crowdCallers      = 256
	leastOverLock     = 60.0 // × SELECT FOR UPDATE, in a crowd
	leastOverRedis    = 0.8  // × Redis, in a crowd
	mostOverUpdate    = 1.2  // × the median of a conditional UPDATE, alone; of the bare one, and of one that has ours to do
	reserveConns      = 32   // of PostgreSQL, for every way the same
	plentyOfUnits     = 20_000_000
	unitsEachSecond   = 60_000 // rows of single units made for each second of a load
	mostReserveCaller = 4096
)

// A way is one way to take a unit of the item that everybody wants.
type way struct {
	name, what string
	// ready makes a fresh item and returns what takes one unit of it for an account of its own.
	ready func(ctx context.Context, callers int) (take func(ctx context.Context) error, err error)
}

// Run measures all ways at each number of callers, one after the other so that none stands in another's way.
func (c reserveCommand) Run(ctx context.Context, p *process) error {
	if c.Seconds < 1 || c.Seconds > 60 {
		return errors.New("--seconds is from 1 to 60")
	}
	if slices.ContainsFunc(c.Callers, func(n int) bool { return n < 1 || n > mostReserveCaller }) {
		return fmt.Errorf("--callers are from 1 to %d", mostReserveCaller)
	}
	dir, err := benchFolder()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	server, err := devpostgres.Start(ctx, devpostgres.Config{Dir: filepath.Join(dir, "postgres"), Databases: []string{"souk"}})
	if err != nil {
		return err
	}
	defer server.Stop()
	report := &reserveReport{Machine: thisMachine(), Date: time.Now().UTC().Truncate(time.Second), Version: version(), Seconds: c.Seconds}
	ways, closeAll, err := openWays(ctx, server.URL("souk"), dir, c)
	defer closeAll()
	if err != nil {
		return err
	}
	if report.Machine.Fsync, err = fsyncOf(ctx, server.URL("souk")); err != nil {
		return err
	}
	for _, callers := range c.Callers {
		for _, w := range ways {
			fmt.Fprintf(p.stderr, "bench: %d at once, %s\n", callers, w.what)
			take, err := w.ready(ctx, callers)
			if err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			t, err := load(ctx, callers, time.Duration(c.Seconds)*time.Second, func(ctx context.Context, _, _ int) error { return take(ctx) })
			if err != nil {
				return err
			}
			report.add(w, callers, t)
		}
	}
	report.judge()
	write := report.writeTable
	if c.JSON {
		write = report.writeJSON
	}
	return errors.Join(write(p.stdout), report.wrong())
}

func fsyncOf(ctx context.Context, url string) (is string, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	return is, conn.QueryRow(ctx, "SHOW fsync").Scan(&is)
}

// openWays returns the ways that this machine has the means for, the one that all are compared with first.
func openWays(ctx context.Context, url, dir string, c reserveCommand) (ways []way, closeAll func(), err error) {
	var closers []func()
	closeAll = func() {
		for _, fn := range slices.Backward(closers) {
			fn()
		}
	}
	wants := func(name string) bool { return len(c.Only) == 0 || slices.Contains(c.Only, name) }
	bare, closeBare, err := openBare(ctx, url)
	if err != nil {
		return nil, closeAll, err
	}
	closers = append(closers, closeBare)
	ways = append(ways, bare.forUpdate())
	if wants("update") {
		ways = append(ways, bare.conditionalUpdate())
	}
	if wants("duties") {
		dutiful, closeDutiful, err := openDutiful(ctx, url)
		if err != nil {
			return nil, closeAll, err
		}
		closers = append(closers, closeDutiful)
		ways = append(ways, dutiful.take())
	}
	if wants("skip") {
		ways = append(ways, bare.skipLocked(c.Seconds*unitsEachSecond))
	}
	if wants("alone") || wants("ours") {
		ours, closeOurs, err := openOurs(ctx, url)
		if err != nil {
			return nil, closeAll, err
		}
		closers = append(closers, closeOurs)
		ways = append(ways, slices.DeleteFunc(ours, func(w way) bool { return !wants(w.name) })...)
	}
	if wants("redis") {
		redis, closeRedis, err := openRedis(ctx, dir)
		if errors.Is(err, errNoRedis) {
			return ways, closeAll, nil
		}
		if err != nil {
			return nil, closeAll, err
		}
		closers = append(closers, closeRedis)
		ways = append(ways, redis...)
	}
	return ways, closeAll, nil
}
