// Command souk runs the shop: one part of it, several, or everything at once.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/souk-shop/souk/internal/telemetry"
)

// garbage is how much of it may gather, in percent of what is in use, before it is collected: GOGC, which says otherwise where it is set.
// What a request leaves behind is much beside what a shop keeps in memory, so Go's own 100 has a process collect a sixth of its time.
const garbage = 200

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	if err := souk(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "souk:", err)
		os.Exit(1)
	}
}

// commands is the command line.
type commands struct {
	Dev     devCommand     `cmd:"" help:"Run the whole shop in one process, on engines of its own."`
	Serve   serveCommand   `cmd:"" help:"Run one or more parts against the engines that the environment names."`
	Import  importCommand  `cmd:"" help:"Bring goods into a shop through its public graph."`
	Bench   benchCommands  `cmd:"" help:"Measure the shop and its stores, and print a table."`
	Chaos   chaosCommand   `cmd:"" help:"Sell a flash sale while everything is killed and cut off, and check the books after."`
	Check   checkCommand   `cmd:"" help:"Check that stock, orders and money agree; exit with 1 when they do not."`
	Export  exportCommands `cmd:"" help:"Take things out of the shop, as lines of JSON."`
	Config  configCommand  `cmd:"" help:"Print the configuration, secrets masked."`
	Version versionCommand `cmd:"" help:"Print which build this is."`
}

// A process is what a command needs of the process it runs in.
type process struct {
	getenv         func(string) string
	stdout, stderr io.Writer
	log            *slog.Logger
}

// souk is the program: it returns when the command is done or ctx ends.
func souk(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	var c commands
	exited := false
	parser, err := kong.New(&c,
		kong.Name("souk"), kong.Description("A marketplace whose whole API is one federated GraphQL graph."),
		kong.UsageOnError(), kong.Writers(stdout, stderr), kong.Exit(func(int) { exited = true }),
		kong.Vars{"parts": partNames()},
	)
	if err != nil {
		return err
	}
	parsed, err := parser.Parse(args)
	if exited { // help was asked for, and given
		return nil
	}
	if err != nil {
		return err
	}
	log, err := telemetry.NewLog(stderr, getenv)
	if err != nil {
		return err
	}
	shutdown, err := telemetry.Start(ctx, "souk", getenv)
	if err != nil {
		return err
	}
	defer func() { // what is left of the traces has a moment to leave
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if err := shutdown(last); err != nil {
			log.Warn("some traces are lost", "error", err)
		}
	}()
	p := &process{getenv: getenv, stdout: stdout, stderr: stderr, log: log}
	parsed.BindTo(ctx, (*context.Context)(nil))
	if err := parsed.Run(p); !errors.Is(err, context.Canceled) || ctx.Err() == nil {
		return err
	}
	return nil
}

type versionCommand struct{}

func (versionCommand) Run(p *process) error {
	_, err := fmt.Fprintln(p.stdout, version())
	return err
}

// version names the build: the commit it was made of, where the build knows.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "souk (unknown build)"
	}
	commit := ""
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			commit = " " + s.Value
		}
	}
	return fmt.Sprintf("souk %s%s %s", info.Main.Version, commit, info.GoVersion)
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
