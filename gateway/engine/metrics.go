package engine

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	lookups  *prometheus.CounterVec
	planning prometheus.Histogram
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		lookups: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "souk", Subsystem: "gateway", Name: "cache_lookups_total",
			Help: "Lookups in the gateway's caches of sources, prepared documents, plans and public answers.",
		}, []string{"cache", "result"}),
		planning: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "souk", Subsystem: "gateway", Name: "planning_seconds",
			Help:    "Time spent to plan an operation that was in no cache.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 13),
		}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.lookups, m.planning} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
