// Package prometheus shows operators how sales stand and how booking fares.
package prometheus

import (
	"context"
	"errors"
	"strings"
	"time"

	client "github.com/prometheus/client_golang/prometheus"

	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/subgraphs/flashsale"
)

// Watch measures flash sales until the process ends: their counts whenever somebody looks, and every request to book.
func Watch(fs *flashsale.FlashSales, r client.Registerer) error {
	m := newMeter()
	for _, c := range []client.Collector{m.backlog, m.seconds, m.bookings, m.refusals, newCounts(fs)} {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	fs.Measure(m)
	return nil
}

// A meter is a flashsale.Meter.
type meter struct {
	backlog  client.Gauge
	seconds  client.Histogram
	bookings client.Counter
	refusals *client.CounterVec
}

func newMeter() *meter {
	return &meter{
		backlog: client.NewGauge(client.GaugeOpts{
			Name: "flashsale_booking_backlog",
			Help: "Requests to book that this process has not answered yet. When it stays high there are too few processes.",
		}),
		seconds: client.NewHistogram(client.HistogramOpts{
			Name:    "flashsale_booking_seconds",
			Help:    "Time from a request to book until its answer, whatever the answer.",
			Buckets: client.ExponentialBuckets(.001, 2, 14),
		}),
		bookings: client.NewCounter(client.CounterOpts{
			Name: "flashsale_bookings_total",
			Help: "Requests to book that were answered with a booking, made now or before under the same key.",
		}),
		refusals: client.NewCounterVec(client.CounterOpts{
			Name: "flashsale_refusals_total",
			Help: "Requests to book that were answered otherwise, by reason: sold_out, already_booked, throttled, or the code of the error in small letters.",
		}, []string{"reason"}),
	}
}

// Booking notes that somebody asks, and what they are answered.
func (m *meter) Booking() (answered func(flashsale.BookResult, error)) {
	began := time.Now()
	m.backlog.Inc()
	return func(res flashsale.BookResult, err error) {
		m.backlog.Dec()
		m.seconds.Observe(time.Since(began).Seconds())
		if reason := refusal(res, err); reason != "" {
			m.refusals.WithLabelValues(reason).Inc()
			return
		}
		m.bookings.Inc()
	}
}

// refusal names why nothing was booked, "" when something was. The names are as many as the subgraph has codes.
func refusal(res flashsale.BookResult, err error) string {
	var known *fault.Error
	switch {
	case errors.As(err, &known):
		return strings.ToLower(known.Code)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "cancelled"
	case err != nil:
		return "internal"
	case res.PollAfter != nil:
		return "throttled"
	case res.SoldOut != nil:
		return "sold_out"
	case res.AlreadyBooked != nil:
		return "already_booked"
	}
	return ""
}

// counts reads how sales stand when somebody scrapes: of those that run or come, the first hundred by start, so that there is never
// a label for every sale there was. Each process tells the same.
type counts struct {
	sales                          *flashsale.FlashSales
	remaining, held, sold, waiting *client.Desc
}

const (
	mostSales   = 100
	longestRead = 2 * time.Second
)

func newCounts(fs *flashsale.FlashSales) *counts {
	desc := func(name, help string) *client.Desc {
		return client.NewDesc("flashsale_"+name, help+" Of the sales that run or come; the same from every process.", []string{"sale"}, nil)
	}
	return &counts{
		sales: fs, remaining: desc("remaining", "Units that can be booked."), held: desc("held", "Units that are booked and wait for their payment."),
		sold: desc("sold", "Units that are paid for."), waiting: desc("waiting", "Accounts in the waiting room."),
	}
}

// Describe is of a client.Collector.
func (c *counts) Describe(to chan<- *client.Desc) {
	for _, d := range []*client.Desc{c.remaining, c.held, c.sold, c.waiting} {
		to <- d
	}
}

// Collect is of a client.Collector. What cannot be read is left out, so that all other metrics are there when the store is not.
func (c *counts) Collect(to chan<- client.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), longestRead)
	defer cancel()
	sales, err := c.sales.List(ctx, nil, mostSales)
	if err != nil {
		return
	}
	waiting, err := c.sales.Waiting(ctx)
	if err != nil {
		waiting = nil
	}
	tell := func(d *client.Desc, n int, sale string) {
		to <- client.MustNewConstMetric(d, client.GaugeValue, float64(n), sale)
	}
	for _, s := range sales {
		if s.Over(c.sales.Now()) {
			continue
		}
		remaining, held, sold := s.Counts()
		tell(c.remaining, remaining, s.ID)
		tell(c.held, held, s.ID)
		tell(c.sold, sold, s.ID)
		if n, hasRoom := waiting[s.ID]; hasRoom {
			tell(c.waiting, n, s.ID)
		}
	}
}
