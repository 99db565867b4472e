package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"time"

	"github.com/oklog/run"

	"github.com/souk-shop/souk/internal/telemetry"
)

// run starts parts, in the order given, each at its listener, and runs them until ctx ends or one fails.
// ready is called once all have started.
func (e *env) run(ctx context.Context, chosen []part, listen func(part string) (net.Listener, error), ready func(context.Context) error) error {
	listeners := map[string]net.Listener{}
	defer func() {
		for _, l := range listeners {
			l.Close()
		}
	}()
	for _, p := range chosen { // all addresses first: the gateway wants to know the others'
		l, err := listen(p.name)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		listeners[p.name] = l
		e.urls[p.name] = "http://" + l.Addr().String()
	}
	var g run.Group
	shown := false // whether a part shows operators this process's metrics
	for _, p := range chosen {
		s, err := p.start(ctx, e)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if err := e.add(ctx, &g, p.name, s, listeners[p.name]); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		shown = shown || s.private != nil
		delete(listeners, p.name) // the group closes it now
	}
	if err := e.show(ctx, &g, shown); err != nil {
		return err
	}
	background(ctx, &g, func(ctx context.Context) error {
		if err := ready(ctx); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	})
	return g.Run()
}

// add puts everything a service does into the group.
func (e *env) add(ctx context.Context, g *run.Group, name string, s *service, l net.Listener) error {
	log := e.log.With("part", name)
	serve(ctx, g, l, s.handler, s.drain, log)
	if s.private != nil {
		private, err := net.Listen("tcp", e.get("SOUK_PRIVATE_ADDR"))
		if err != nil {
			return err
		}
		serve(ctx, g, private, s.private, nil, log)
	}
	if len(s.calls) > 0 {
		b, err := e.bus(ctx)
		if err != nil {
			return err
		}
		stop, err := b.Serve(name, "1.0.0", s.calls...)
		if err != nil {
			return err
		}
		background(ctx, g, func(ctx context.Context) error { <-ctx.Done(); return stop() })
	}
	for _, w := range s.work {
		background(ctx, g, func(ctx context.Context) error {
			if err := w(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	return nil
}

// show lets operators see a process without a gateway too, if SOUK_PRIVATE_ADDR says where.
func (e *env) show(ctx context.Context, g *run.Group, shown bool) error {
	at := e.getenv("SOUK_PRIVATE_ADDR")
	if shown || at == "" {
		return nil
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", telemetry.Metrics(e.metrics))
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	serve(ctx, g, l, mux, nil, e.log)
	return nil
}

// background adds work to the group; it stops when its context does.
func background(ctx context.Context, g *run.Group, work func(context.Context) error) {
	ctx, cancel := context.WithCancel(ctx)
	g.Add(func() error { return work(ctx) }, func(error) { cancel() })
}

// serve adds an HTTP server to the group and lets it finish what it has begun.
func serve(ctx context.Context, g *run.Group, l net.Listener, h http.Handler, drain func(context.Context) error, log *slog.Logger) {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	srv.BaseContext = func(net.Listener) context.Context { return base }
	g.Add(func() error {
		log.Debug("listening", "addr", l.Addr().String())
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}, func(error) {
		grace, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer done()
		if drain != nil {
			if err := drain(grace); err != nil {
				log.Warn("some streams were cut off", "error", err)
			}
		}
		// Streams never end by themselves: they are told to after a moment in which answers can finish.
		time.AfterFunc(time.Second, cancel)
		if srv.Shutdown(grace) != nil {
			srv.Close()
		}
		cancel()
	})
}

type serveCommand struct {
	Parts      []string `arg:"" help:"Which parts: ${parts}."`
	Supergraph string   `help:"Serve this supergraph instead of souk's own (gateway only)." type:"existingfile" placeholder:"FILE"`
}

// Run runs the parts named against the engines that the environment names.
func (c serveCommand) Run(ctx context.Context, p *process) error {
	var chosen []part
	for _, name := range c.Parts {
		found, ok := partNamed(name)
		if !ok {
			return fmt.Errorf("there is no part %q; there are %s", name, partNames())
		}
		if slices.ContainsFunc(chosen, func(o part) bool { return o.name == name }) {
			return fmt.Errorf("%s is named twice", name)
		}
		chosen = append(chosen, found)
	}
	e, err := openEnv(config{p.getenv}, p.log, c.Supergraph)
	if err != nil {
		return err
	}
	defer e.Close()
	return e.run(ctx, chosen, func(name string) (net.Listener, error) {
		return net.Listen("tcp", e.addr(name, len(chosen) == 1))
	}, func(context.Context) error {
		p.log.Info("serving", "parts", c.Parts)
		return nil
	})
}
