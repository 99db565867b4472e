package upstream

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	streams  *prometheus.GaugeVec
	open     *prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer) (metrics, error) {
	m := metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "souk", Subsystem: "gateway", Name: "subgraph_requests_total",
			Help: "Requests to subgraphs by outcome: ok, status, timeout, too_large, unreachable, canceled, open.",
		}, []string{"subgraph", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "souk", Subsystem: "gateway", Name: "subgraph_seconds",
			Help:    "Time from sending a request to a subgraph to the end of its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"subgraph"}),
		streams: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "souk", Subsystem: "gateway", Name: "subgraph_streams",
			Help: "Subscriptions open at subgraphs.",
		}, []string{"subgraph"}),
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "souk", Subsystem: "gateway", Name: "subgraph_breaker_open",
			Help: "1 while a subgraph that failed again and again is left alone, but for one request now and then.",
		}, []string{"subgraph"}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.streams, m.open} {
		if err := r.Register(c); err != nil {
			return m, err
		}
	}
	return m, nil
}

func (m metrics) observe(subgraph, outcome string, took time.Duration) {
	m.requests.WithLabelValues(subgraph, outcome).Inc()
	m.seconds.WithLabelValues(subgraph).Observe(took.Seconds())
}

func outcome(err error) string {
	var status statusError
	var timeout net.Error
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, ErrOpen):
		return "open"
	case errors.As(err, &status):
		return "status"
	case errors.Is(err, ErrTooLarge):
		return "too_large"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "canceled"
	}
	return "unreachable"
}
