package upstream

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/sony/gobreaker"
)

const (
	hopeless = 10              // failures in a row after which a subgraph is left alone; a few are a store that restarts
	respite  = 2 * time.Second // until one request may find out whether it is well again
)

// ErrOpen is why a request was not sent: the subgraph failed so often that nobody waits for it until it has answered once.
var ErrOpen = errors.New("the subgraph failed again and again and is left alone")

// health is what a request's end says of the subgraph.
type health int

const (
	unknown health = iota // its caller left, or it was never sent
	well
	unwell
)

// judge tells what the end of a request says. Whatever the subgraph answered, it is well, unless the answer is that it is not.
func judge(caller context.Context, err error) health {
	var status statusError
	switch {
	case err == nil, errors.Is(err, ErrTooLarge), errors.Is(err, errEncoding):
		return well
	case errors.As(err, &status):
		switch status {
		case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return unwell
		}
		return well
	case caller.Err() != nil: // hung up, or had no time left: that was not the subgraph's
		return unknown
	}
	return unwell
}

// breakers keep requests from subgraphs that are down, one for each.
type breakers struct {
	bySubgraph sync.Map // name → *gobreaker.TwoStepCircuitBreaker
	metrics    metrics
	log        *slog.Logger
}

// allow asks whether a request may be sent, and fails with ErrOpen if not. Whoever may must tell once how it went.
func (b *breakers) allow(subgraph string) (tell func(health), err error) {
	breaker := b.of(subgraph)
	done, err := breaker.Allow()
	if err != nil {
		return nil, ErrOpen
	}
	return func(h health) {
		switch {
		case h != unknown:
			done(h == well)
		case breaker.State() == gobreaker.StateHalfOpen:
			done(false) // if it was the one that all others wait for, there has to be another
		}
	}, nil
}

func (b *breakers) of(subgraph string) *gobreaker.TwoStepCircuitBreaker {
	if known, ok := b.bySubgraph.Load(subgraph); ok {
		return known.(*gobreaker.TwoStepCircuitBreaker)
	}
	b.metrics.open.WithLabelValues(subgraph) // shown from now on
	known, _ := b.bySubgraph.LoadOrStore(subgraph, gobreaker.NewTwoStepCircuitBreaker(gobreaker.Settings{
		Name: subgraph, Timeout: respite,
		ReadyToTrip:   func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= hopeless },
		OnStateChange: b.changed,
	}))
	return known.(*gobreaker.TwoStepCircuitBreaker)
}

// changed says what operators want to know: that a subgraph is down, and that it is back. Attempts in between are no news.
func (b *breakers) changed(subgraph string, from, to gobreaker.State) {
	switch {
	case from == gobreaker.StateClosed:
		b.metrics.open.WithLabelValues(subgraph).Set(1)
		b.log.Warn("gateway: a subgraph is down and left alone", "subgraph", subgraph, "failures", hopeless)
	case to == gobreaker.StateClosed:
		b.metrics.open.WithLabelValues(subgraph).Set(0)
		b.log.Info("gateway: a subgraph is back", "subgraph", subgraph)
	}
}
