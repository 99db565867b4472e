package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// benchCommands are what can be measured; without a name, the shop is.
type benchCommands struct {
	Shop    benchCommand   `cmd:"" default:"withargs" help:"Measure how the shop starts, what it takes and how it bears load."`
	Reserve reserveCommand `cmd:"" help:"Measure ways to take one unit of an item that everybody wants."`
	Attack  attackCommand  `cmd:"" help:"Measure what buyers in a flash sale notice of a script at its door."`

	FlashSale flashSaleCommand `cmd:"" name:"flashsale" help:"Sell a few units to very many people through the gateway, with sockets watching."`
	Gallery   galleryCommand   `cmd:"" hidden:"" help:"The sockets of a flash sale; souk bench flashsale starts it."`
}

type benchCommand struct {
	JSON     bool     `name:"json" help:"Print one JSON document instead of a table."`
	Only     []string `help:"Measure these alone: ${enum}." enum:"start,memory,product,results,cart,checkout,catalogue,search,disk" placeholder:"NAME"`
	Seconds  int      `help:"How long each load lasts, 1 to 60." default:"5"`
	Phones   string   `help:"Import this feed of products before the load, and measure the memory after it." type:"existingfile" placeholder:"FILE"`
	Mapping  string   `help:"What the fields of that feed mean." type:"path" default:"demo/mappings/phones.yml"`
	Profiles string   `help:"Keep a CPU profile of the shop under each load in this folder." type:"path" placeholder:"DIR"`
}

// Targets of the development shop on a small machine.
const (
	mostFirstStart    = 15.0  // s
	mostSecondStart   = 3.0   // s
	mostMemory        = 600.0 // MB
	mostCatalogueHalf = 2.0   // ms, of the median
	mostSearchSlowest = 10.0  // ms, of the 99th percentile
)

// Run measures the shop and prints what it found. It fails when answers were wrong, not when targets are missed.

func (c benchCommand) Run(ctx context.Context, p *process) error {
	if c.Seconds < 1 || c.Seconds > 60 {
		return errors.New("--seconds is from 1 to 60")
	}
	dir, err := benchFolder()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{benchCommand: c, dir: dir, process: p, how: time.Duration(c.Seconds) * time.Second, report: &benchReport{
		Machine: thisMachine(), Date: time.Now().UTC().Truncate(time.Second), Version: version(), Callers: benchCallers, Seconds: c.Seconds,
	}}
	failed := b.measure(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	write := b.report.writeTable
	if c.JSON {
		write = b.report.writeJSON
	}
	return errors.Join(write(p.stdout), failed, b.report.wrong())
}

// loads are the measures of pages and tills.
var loads = []string{"product", "results", "cart", "checkout"}

// A bench is one run of souk bench.
type bench struct {
	benchCommand
	*process
	dir    string
	how    time.Duration
	report *benchReport
}

func (b *bench) wants(measures ...string) bool {
	return len(b.Only) == 0 || slices.ContainsFunc(measures, func(m string) bool { return slices.Contains(b.Only, m) })
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.stderr, "bench: "+format+"\n", args...)
}

// measure takes one thing after the other, so that nothing stands in another's way.
func (b *bench) measure(ctx context.Context) error {
	if b.wants("start", "memory") || b.wants(loads...) {
		if err := b.shop(ctx); err != nil {
			return err
		}
	}
	for _, m := range []struct {
		measure, what string
		time          func() (timings, error)
		most          float64
		of            string
	}{
		{"catalogue", "100 of 10,000 products by id", func() (timings, error) { return timeCatalogue(ctx, b.dir, b.how) }, mostCatalogueHalf, "p50"},
		{"search", "typo, prefix, price filter and 3 facets in 100,000 products", func() (timings, error) { return timeSearch(ctx, b.dir, b.how, b.stderr) }, mostSearchSlowest, "p99"},
		{"disk", "4 KB written and on disk (baseline)", func() (timings, error) { return timeDisk(ctx, b.dir, b.how) }, 0, ""},
	} {
		if !b.wants(m.measure) {
			continue
		}
		b.say("%s", m.what)
		t, err := m.time()
		if err != nil {
			return fmt.Errorf("%s: %w", m.measure, err)
		}
		f := b.report.timed(m.measure, m.what, t)
		if m.most > 0 {
			f.atMost(m.most, m.of)
		}
	}
	return nil
}

// shop measures how souk dev starts, what memory it takes, and how it bears load.
func (b *bench) shop(ctx context.Context) error {
	if err := b.engines(ctx); err != nil {
		return fmt.Errorf("engines: %w", err)
	}
	if b.wants("start") {
		b.say("start with nothing to sell")
		s, err := startChild(ctx, filepath.Join(b.dir, "empty", "data"), "--empty")
		if err != nil {
			return err
		}
		s.stopAndWait()
		b.report.value("start", "all parts ready, from nothing, with nothing to sell", s.ready.Seconds(), "s")
	}
	data := filepath.Join(b.dir, "demo", "data")
	b.say("start with the demo's goods")
	s, err := startChild(ctx, data, "--demo")
	if err != nil {
		return err
	}
	if b.wants("start") {
		b.report.value("start", "ready, from nothing, with the demo's goods", s.ready.Seconds(), "s").atMost(mostFirstStart, "")
	}
	goods, err := b.fill(ctx, s)
	s.stopAndWait()
	if err != nil {
		return err
	}
	b.say("start again on the same data")
	if s, err = startChild(ctx, data, "--demo"); err != nil {
		return err
	}
	defer s.stopAndWait()
	if b.wants("start") {
		b.report.value("start", "ready, on data that is there", s.ready.Seconds(), "s").atMost(mostSecondStart, "")
	}
	if b.wants(loads...) {
		return b.load(ctx, s, goods)
	}
	return nil
}

// engines measures what of the start is theirs, and asks whether what they acknowledge is on disk.
func (b *bench) engines(ctx context.Context) error {
	b.say("start of the engines alone")
	began := time.Now()
	e, err := startEngines(ctx, filepath.Join(b.dir, "engines"), 0, &process{getenv: b.getenv, stdout: io.Discard, stderr: b.stderr, log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer e.stop()
	if b.wants("start") {
		b.report.value("start", "engines alone, from nothing", time.Since(began).Seconds(), "s")
	}
	conn, err := pgx.Connect(ctx, e.postgres.URL("souk"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return conn.QueryRow(ctx, "SHOW fsync").Scan(&b.report.Machine.Fsync)
}

// fill measures the memory of a fresh shop, and again with a real feed in it. It returns what the demo has on offer: pages and
// tills are those of its goods, whatever else there is.
func (b *bench) fill(ctx context.Context, s *childShop) (*onOffer, error) {
	if b.wants("memory") {
		if err := b.memory(ctx, s, "the demo's goods"); err != nil {
			return nil, err
		}
	}
	var goods *onOffer
	if b.wants(loads...) {
		var err error
		if goods, err = lookAt(ctx, s.base); err != nil {
			return nil, err
		}
	}
	if b.Phones == "" {
		return goods, nil
	}
	b.say("importing %s", b.Phones)
	began := time.Now()
	if err := importFeed(ctx, s.base, b.Phones, b.Mapping, b.stderr); err != nil {
		return nil, err
	}
	if b.wants("start") {
		b.report.value("start", "import of the feed, until all can be found", time.Since(began).Seconds(), "s")
	}
	if b.wants("memory") {
		return goods, b.memory(ctx, s, "the feed imported")
	}
	return goods, nil
}

func (b *bench) memory(ctx context.Context, s *childShop, with string) error {
	s.settle(ctx)
	m, err := memoryOf(s.process.Pid())
	if err != nil {
		return err
	}
	b.report.value("memory", "souk dev with "+with, m.own, "MB")
	b.report.value("memory", "its PostgreSQL, shared pages counted in each process", m.children, "MB")
	whole := m.own + m.children
	if m.shared > 0 {
		b.report.value("memory", "its PostgreSQL, shared pages counted once", m.shared, "MB")
		whole = m.own + m.shared
	}
	b.report.value("memory", "both, with "+with, whole, "MB").atMost(mostMemory, "")
	return nil
}

// benchFolder makes a folder for the data of a run. Who is done with it removes it.
func benchFolder() (string, error) {
	dir, err := os.MkdirTemp("", "souk-bench-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755) // PostgreSQL may run as somebody else
}
