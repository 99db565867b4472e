// Package mongo opens MongoDB with the official driver.
package mongo

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/souk-shop/souk/internal/telemetry"
)

const (
	defaultDatabase = "souk"
	mostConnections = 64
	dialTimeout     = 5 * time.Second
)

// Open returns the database that the URL names, souk when it names none, on a server that answered a ping. Writes wait
// for a majority, as the server does by default. End it with db.Client().Disconnect.
func Open(ctx context.Context, url string) (*mongo.Database, error) {
	at, err := connstring.ParseAndValidate(url)
	if err != nil {
		return nil, fmt.Errorf("MongoDB: %w", err)
	}
	name := at.Database
	if name == "" {
		name = defaultDatabase
	}
	var monitor *event.CommandMonitor
	if !telemetry.Silent(otel.GetTracerProvider()) {
		monitor = traces()
	}
	client, err := mongo.Connect(options.Client().
		SetAppName("souk").
		SetMaxPoolSize(mostConnections).
		SetConnectTimeout(dialTimeout).
		SetServerSelectionTimeout(dialTimeout).
		SetMonitor(monitor).
		ApplyURI(url)) // last, so that the URL has the last word
	if err != nil {
		return nil, fmt.Errorf("MongoDB: %w", err)
	}
	db := client.Database(name)
	if err := Ping(ctx, db); err != nil {
		client.Disconnect(context.WithoutCancel(ctx))
		return nil, err
	}
	return db, nil
}

// Ping asks the server that takes writes for a sign of life.
func Ping(ctx context.Context, db *mongo.Database) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := db.Client().Ping(ctx, readpref.Primary()); err != nil {
		return fmt.Errorf("MongoDB: %w", err)
	}
	return nil
}

var tracer = otel.Tracer("github.com/souk-shop/souk/clients/mongo")

// traces makes a span of every command that belongs to a trace, with the command's name but none of its values.
func traces() *event.CommandMonitor {
	var spans sync.Map // request id → trace.Span
	end := func(requestID int64, failure error) {
		v, ok := spans.LoadAndDelete(requestID)
		if !ok {
			return
		}
		span := v.(trace.Span)
		if failure != nil {
			span.SetStatus(codes.Error, failure.Error())
		}
		span.End()
	}
	return &event.CommandMonitor{
		Started: func(ctx context.Context, e *event.CommandStartedEvent) {
			if !trace.SpanFromContext(ctx).IsRecording() {
				return
			}
			_, span := tracer.Start(ctx, "mongo "+e.CommandName, trace.WithSpanKind(trace.SpanKindClient),
				trace.WithAttributes(attribute.String("db.system.name", "mongodb"), attribute.String("db.namespace", e.DatabaseName)))
			spans.Store(e.RequestID, span)
		},
		Succeeded: func(_ context.Context, e *event.CommandSucceededEvent) { end(e.RequestID, nil) },
		Failed:    func(_ context.Context, e *event.CommandFailedEvent) { end(e.RequestID, e.Failure) },
	}
}
