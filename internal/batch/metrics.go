package batch

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of one group; nil measures nothing. Keys are no labels: there are too many of them.
type metrics struct {
	size, wait, run prometheus.Histogram
	depth           prometheus.Gauge
	refusals, runs  *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer, name string) *metrics {
	if r == nil {
		return nil
	}
	group := prometheus.Labels{"batch": name}
	return &metrics{
		size: register(r, prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "souk", Subsystem: "batch", Name: "size", ConstLabels: group,
			Help: "Requests in a batch.", Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		})),
		wait: register(r, prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "souk", Subsystem: "batch", Name: "wait_seconds", ConstLabels: group,
			Help: "Time from a request's arrival to the start of its batch.", Buckets: prometheus.ExponentialBuckets(.0001, 2.5, 12),
		})),
		run: register(r, prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "souk", Subsystem: "batch", Name: "run_seconds", ConstLabels: group,
			Help: "Time for a batch, all its runs together.", Buckets: prometheus.ExponentialBuckets(.0001, 2.5, 12),
		})),
		depth: register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "souk", Subsystem: "batch", Name: "depth", ConstLabels: group,
			Help: "Requests waiting for a batch.",
		})),
		refusals: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "souk", Subsystem: "batch", Name: "refusals_total", ConstLabels: group,
			Help: "Requests not let in, by reason: key_full, group_full, closed.",
		}, []string{"reason"})),
		runs: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "souk", Subsystem: "batch", Name: "runs_total", ConstLabels: group,
			Help: "Runs by outcome: ok, split, poison, retry, fail, timeout.",
		}, []string{"outcome"})),
	}
}

// register returns the collector registered under that name before, if there is one:
// two groups of one name in one process add up.
func register[C prometheus.Collector](r prometheus.Registerer, c C) C {
	err := r.Register(c)
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		if before, ok := already.ExistingCollector.(C); ok {
			return before
		}
	}
	if err != nil {
		panic(err)
	}
	return c
}

func (m *metrics) waiting(n int) {
	if m != nil {
		m.depth.Add(float64(n))
	}
}

func (m *metrics) waited(d time.Duration) {
	if m != nil {
		m.wait.Observe(d.Seconds())
	}
}

func (m *metrics) batch(size int, took time.Duration) {
	if m != nil {
		m.size.Observe(float64(size))
		m.run.Observe(took.Seconds())
	}
}

func (m *metrics) refused(r Reason) {
	if m != nil {
		m.refusals.WithLabelValues(string(r)).Inc()
	}
}

func (m *metrics) ran(outcome string) {
	if m != nil {
		m.runs.WithLabelValues(outcome).Inc()
	}
}
