// Package nats lets the index hear what became true elsewhere, and tells what customers search for.
package nats

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/subgraphs/search"
)

// Index keeps the index up to date until the context ends. Place names the very index: one that was made anew hears from
// the beginning of the stream.
func Index(s *search.Search, js jetstream.JetStream, place string, log *slog.Logger) func(context.Context) error {
	consumer := outbox.Consumer{
		Name:     "search-index-" + place,
		Subjects: []string{events.SubjectProductSaved, events.SubjectStockChanged, events.SubjectRatingChanged},
	}
	return outbox.Subscribe(js, consumer, func(ctx context.Context, batch []outbox.Received) error {
		news := search.News{}
		for _, e := range batch {
			if err := read(news, e); err != nil {
				return err
			}
		}
		return s.Learn(ctx, news)
	}, log)
}

func read(news search.News, e outbox.Received) error {
	switch e.Subject {
	case events.SubjectProductSaved:
		return add(e, news.Saved, func(p events.ProductSaved) bool { return id.Is(id.Product, p.ProductID) })
	case events.SubjectStockChanged:
		return add(e, news.Stocked, func(s events.StockChanged) bool { return id.Is(id.Product, s.ProductID) && s.VariantID != "" })
	case events.SubjectRatingChanged:
		return add(e, news.Rated, func(r events.RatingChanged) bool { return id.Is(id.Product, r.ProductID) })
	}
	return nil
}

func add[T any](e outbox.Received, tell func(T), whole func(T) bool) error {
	said, err := outbox.Decode[T](e)
	if err != nil {
		return err
	}
	if !whole(said) {
		return fmt.Errorf("%w: %s %s says it of nothing", outbox.ErrUnreadable, e.Subject, e.ID)
	}
	tell(said)
	return nil
}

const (
	waiting  = 1000 // searches not told yet; more are forgotten
	together = 100
	farewell = time.Second // for telling the last ones
)

// An Announcer tells what customers search for, as well as it can: a search never waits for it, and when it cannot keep up, or
// nobody listens, some are not told.
type Announcer struct {
	js    jetstream.JetStream
	log   *slog.Logger
	queue chan events.Searched
}

// NewAnnouncer returns an announcer; Run does its work.
func NewAnnouncer(js jetstream.JetStream, log *slog.Logger) *Announcer {
	return &Announcer{js: js, log: log, queue: make(chan events.Searched, waiting)}
}

// Searched takes note of a search and returns at once.
func (a *Announcer) Searched(e events.Searched) {
	select {
	case a.queue <- e:
	default:
	}
}

// Run tells what was noted until the context ends, and then what is left.
func (a *Announcer) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			last, done := context.WithTimeout(context.WithoutCancel(ctx), farewell)
			defer done()
			for len(a.queue) > 0 && last.Err() == nil {
				a.tell(last, <-a.queue)
			}
			return nil
		case e := <-a.queue:
			a.tell(ctx, e)
		}
	}
}

// tell publishes a search, and those noted since.
func (a *Announcer) tell(ctx context.Context, first events.Searched) {
	lot := []outbox.Message{message(first)}
	for len(a.queue) > 0 && len(lot) < together {
		lot = append(lot, message(<-a.queue))
	}
	if err := outbox.Publish(ctx, a.js, lot); err != nil {
		a.log.Warn("searches that nobody is told of", "searches", len(lot), "error", err)
	}
}

func message(e events.Searched) outbox.Message {
	payload, err := json.Marshal(e)
	if err != nil {
		panic(err) // it is made of strings and numbers
	}
	return outbox.Message{ID: id.New(id.Event), Subject: events.SubjectSearched, Payload: payload, RecordedAt: e.At.At}
}
