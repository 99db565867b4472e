package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/souk-shop/souk/events"
)

const (
	deadLetters  = "souk.dead."       // and the consumer's name
	maxAge       = 7 * 24 * time.Hour // how long a consumer may be away
	dedupeWindow = 2 * time.Minute    // within it JetStream drops what a relay publishes twice; after it the inbox does
	patience     = 10 * time.Second   // for the acknowledgement of a lot
)

// Headers of a message beside Nats-Msg-Id, which is the event's id, and the trace's.
const (
	headerRecordedAt = "Souk-Recorded-At"
	headerSubject    = "Souk-Dead-Subject"
	headerError      = "Souk-Dead-Error"
)

// Stream makes sure that the one stream of all events is there. Calling it again, from anywhere, changes nothing.
func Stream(ctx context.Context, js jetstream.JetStream) error {
	_, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:       events.Stream,
		Subjects:   []string{events.Subjects, deadLetters + ">"},
		Storage:    jetstream.FileStorage,
		Duplicates: dedupeWindow,
		MaxAge:     maxAge,
		Discard:    jetstream.DiscardOld,
	})
	if err != nil {
		return fmt.Errorf("event stream: %w", err)
	}
	return nil
}

// A Message is an event ready to be published. Stores without PostgreSQL keep these in an outbox of their own.
type Message struct {
	ID         string
	Subject    string
	Payload    json.RawMessage
	Headers    map[string]string
	RecordedAt time.Time
}

// Publish returns nil once the stream has every message of the lot, in order. After an error it may have some of them;
// publishing the lot again is safe.
func Publish(ctx context.Context, js jetstream.JetStream, lot []Message) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	acks := make([]jetstream.PubAckFuture, len(lot))
	for i, m := range lot {
		msg := &nats.Msg{Subject: m.Subject, Data: m.Payload, Header: nats.Header{}}
		for k, v := range m.Headers {
			msg.Header.Set(k, v)
		}
		msg.Header.Set(jetstream.MsgIDHeader, m.ID)
		msg.Header.Set(headerRecordedAt, m.RecordedAt.UTC().Format(time.RFC3339Nano))
		var err error
		if acks[i], err = js.PublishMsgAsync(msg, jetstream.WithExpectStream(events.Stream)); err != nil {
			return fmt.Errorf("publish %s: %w", m.Subject, err)
		}
	}
	var failed []error
	for i, ack := range acks {
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			failed = append(failed, fmt.Errorf("publish %s: %w", lot[i].Subject, err))
		case <-ctx.Done():
			return fmt.Errorf("publish %d events: %w", len(lot), ctx.Err())
		}
	}
	return errors.Join(failed...)
}
