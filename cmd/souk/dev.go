package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/souk-shop/souk/internal/devstores/mongo"
	"github.com/souk-shop/souk/internal/devstores/nats"
	"github.com/souk-shop/souk/internal/devstores/postgres"
	"github.com/souk-shop/souk/internal/devstores/typesense"
	"github.com/souk-shop/souk/internal/telemetry"
)

type devCommand struct {
	Addr  string `help:"Where the graph is served." default:"127.0.0.1:4000"`
	Data  string `help:"Folder that keeps everything; it is there next time." default:"tmp/dev" type:"path"`
	Demo  bool   `help:"Start with goods, stock and accounts to try (the default)." xor:"goods"`
	Empty bool   `help:"Start with nothing." xor:"goods"`

	listen func(part string) (net.Listener, error) // where a subgraph listens; nil for any free port
}

// Run starts the shop, puts goods in it, and says when every part answers.
func (c devCommand) Run(ctx context.Context, p *process) error {
	var least slog.LevelVar
	least.Set(slog.LevelWarn) // until it is ready: what it takes to put goods on the shelves is nobody's news
	p.log = telemetry.Quiet(p.log, &least)
	return c.run(ctx, p, func(ctx context.Context, e *env, base string) error {
		if !c.Empty {
			if err := e.demo(ctx, base, c.Data, p.stderr); err != nil {
				return fmt.Errorf("demo goods: %w", err)
			}
		}
		least.Set(slog.LevelDebug)
		_, err := fmt.Fprintf(p.stdout, "souk is ready: playground %s/  graph %s/graphql  data %s\n", base, base, c.Data)
		return err
	})
}

// run starts the engines, then the shop on the same path as production, and calls ready once every part answers.
func (c devCommand) run(ctx context.Context, p *process, ready func(ctx context.Context, e *env, base string) error) error {
	engines, err := startEngines(ctx, c.Data, 0, p)
	if err != nil {
		return err
	}
	defer engines.stop()
	gateway, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return err
	}
	defer gateway.Close()
	base := "http://" + gateway.Addr().String()
	e, err := openEnv(config{engines.environment(p.getenv, base, c.Data)}, p.log, "")
	if err != nil {
		return err
	}
	defer e.Close()
	e.dev = true
	if !c.Empty {
		e.notice = whoCanSignIn
	}

	return e.run(ctx, parts(), func(part string) (net.Listener, error) {
		if part == "gateway" {
			return gateway, nil
		}
		if c.listen != nil {
			return c.listen(part)
		}
		return net.Listen("tcp", "127.0.0.1:0")
	}, func(ctx context.Context) error {
		if err := awaitReady(ctx, base); err != nil {
			return err
		}
		return ready(ctx, e, base)
	})
}

// awaitReady waits until every part answers.
func awaitReady(ctx context.Context, base string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	last := errors.New("no answer")
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/readyz", nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(res.Status)
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the shop is not ready: %w", last)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// engines is what production has elsewhere, run by this process out of one folder.
type engines struct {
	lock      *os.File
	postgres  *postgres.Server
	nats      *nats.Server
	mongo     *mongo.Server
	typesense *typesense.Server
	searchKey string
}

// startEngines starts them; PostgreSQL listens at a port of this machine too, unless that is 0.
func startEngines(ctx context.Context, dir string, port int, p *process) (*engines, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	e := &engines{lock: lock, searchKey: rand.Text()}
	var g errgroup.Group
	g.Go(func() (err error) {
		e.postgres, err = postgres.Start(ctx, postgres.Config{Dir: filepath.Join(dir, "postgres"), Databases: []string{"souk"}, Port: port})
		return err
	})
	g.Go(func() (err error) {
		e.nats, err = nats.Start(ctx, nats.Config{Dir: filepath.Join(dir, "nats"), Log: p.log})
		return err
	})
	g.Go(func() (err error) {
		e.mongo, err = mongo.Open(ctx, mongo.Config{Dir: filepath.Join(dir, "mongo"), Log: p.log})
		return err
	})
	g.Go(func() (err error) {
		e.typesense, err = typesense.Open(ctx, typesense.Config{Dir: filepath.Join(dir, "typesense"), APIKey: e.searchKey, Log: p.log})
		return err
	})
	if err := g.Wait(); err != nil {
		e.stop()
		return nil, err
	}
	return e, nil
}

// lockFolder makes sure that no other process uses the folder; the lock goes with the process.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("another souk uses %s", dir)
	}
	return f, nil
}

func (e *engines) stop() {
	defer e.lock.Close()
	if e.typesense != nil {
		e.typesense.Close()
	}
	if e.mongo != nil {
		e.mongo.Close()
	}
	if e.nats != nil {
		e.nats.Stop()
	}
	if e.postgres != nil {
		e.postgres.Stop()
	}
}

// ample is a budget that one developer's machine does not spend.
const ample = "1000000/10000000"

// environment is the process's own with the engines in it, in the words of production. What the process sets itself goes before
// secrets that are only there to have some, and before budgets that nobody there shall meet.
func (e *engines) environment(getenv func(string) string, base, dir string) func(string) string {
	files := url.URL{Scheme: "file", Path: filepath.Join(dir, "blobs"), RawQuery: url.Values{"base": {base + "/blobs"}, "secret": {rand.Text()}}.Encode()}
	engines := map[string]string{
		"SOUK_POSTGRES_URL":  e.postgres.URL("souk"),
		"SOUK_MONGO_URL":     e.mongo.URL(),
		"SOUK_TYPESENSE_URL": e.typesense.URL(),
		"SOUK_TYPESENSE_KEY": e.searchKey,
		"SOUK_NATS_URL":      e.nats.URL(),
		"SOUK_BLOB_URL":      files.String(),
		"SOUK_PSP":           "fake:" + filepath.Join(dir, "psp.jsonl"),
	}
	otherwise := map[string]string{
		"SOUK_RATE_ACCOUNT":       ample,
		"SOUK_RATE_IP":            ample,
		"SOUK_PASSPORT_KEY":       rand.Text() + rand.Text(),
		"SOUK_PSP_WEBHOOK_SECRET": rand.Text(),
		"SOUK_PRIVATE_ADDR":       "127.0.0.1:0",
	}
	return func(name string) string {
		if v, ours := engines[name]; ours {
			return v
		}
		return or(getenv(name), otherwise[name])
	}
}
