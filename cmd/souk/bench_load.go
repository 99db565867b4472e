package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
)

// load measures the pages and the tills, and what HTTP alone costs on the same machine.
func (b *bench) load(ctx context.Context, s *childShop, goods *onOffer) error {
	client := newLoadClient(s.base)
	defer client.http.CloseIdleConnections()
	total, err := countProducts(ctx, client)
	if err != nil {
		return err
	}
	b.report.Goods = fmt.Sprintf("%d products on offer", total)
	callers := &shopping{onOffer: goods, client: client, size: 8 << 10}
	if err := callers.registerBuyers(ctx); err != nil {
		return err
	}
	for _, m := range []struct {
		measure, what string
		prepare       func(context.Context) (oneCall, error)
	}{
		{"product", "product page, in full", callers.productPages},
		{"results", "results page: 24 cards and facets", callers.resultsPages},
		{"cart", "add to cart", callers.addsToCart},
		{"checkout", "checkout: cart, till, order PLACED", callers.checkouts},
	} {
		if !b.wants(m.measure) {
			continue
		}
		b.say("%s, %d callers for %s", m.what, benchCallers, b.how)
		if err := b.loadOne(ctx, s, m.measure, m.what, m.prepare); err != nil {
			return fmt.Errorf("%s: %w", m.measure, err)
		}
	}
	if rest := s.settle(ctx); b.wants("checkout") {
		b.report.value("checkout", "what the tills left to do, such as captures, done after", rest.Seconds(), "s")
	}
	b.say("bare answers of %d bytes", callers.size)
	bare, err := timeBare(ctx, callers.size, b.how)
	if err != nil {
		return err
	}
	b.report.timed("bare", fmt.Sprintf("%d bytes from a bare HTTP server (baseline)", callers.size), bare)
	b.report.compare(bare.perSecond(), loads...)
	return nil
}

func (b *bench) loadOne(ctx context.Context, s *childShop, measure, what string, prepare func(context.Context) (oneCall, error)) error {
	call, err := prepare(ctx)
	if err != nil {
		return err
	}
	s.settle(ctx)
	profiled := b.profile(ctx, s, measure)
	before := cpuOf(s.process.Pid())
	t, err := load(ctx, benchCallers, b.how, call)
	after := cpuOf(s.process.Pid())
	if err := errors.Join(err, profiled()); err != nil {
		return err
	}
	b.report.timed(measure, what, t).took(after.own-before.own, after.children-before.children)
	return nil
}

// profile begins to watch the shop's CPU, if that is wanted; what it returns waits for the profile.
func (b *bench) profile(ctx context.Context, s *childShop, measure string) (wait func() error) {
	if b.Profiles == "" {
		return func() error { return nil }
	}
	done := make(chan error, 1)
	go func() { done <- b.keepProfile(ctx, s, measure) }()
	return func() error { return <-done }
}

func (b *bench) keepProfile(ctx context.Context, s *childShop, measure string) error {
	return keep(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", s.private, b.Seconds), filepath.Join(b.Profiles, measure+".pprof"))
}
