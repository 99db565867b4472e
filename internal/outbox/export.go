package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/fault"
)

// ErrForgotten says that events which an export was to begin with are no longer in the stream.
var ErrForgotten = fault.New(fault.NotFound, "FORGOTTEN", "the stream has forgotten events behind this sequence")

// An Export is what to read of the stream of events.
type Export struct {
	Subjects []string // with wildcards; all events without any
	After    uint64   // the sequence that was read last; 0 begins with the oldest there is
	Follow   bool     // go on with what is told from now on, until the context ends
}

// Read hands over events in the order of the stream, each once, and returns when it has handed over all that were there when it began.
// It leaves no trace: whoever reads remembers the sequence, and goes on behind it.
func Read(ctx context.Context, js jetstream.JetStream, x Export, each func(Received) error) error {
	stream, err := js.Stream(ctx, events.Stream)
	if err != nil {
		return fmt.Errorf("event stream: %w", err)
	}
	there, err := stream.Info(ctx)
	if err != nil {
		return fmt.Errorf("event stream: %w", err)
	}
	switch first, last := there.State.FirstSeq, there.State.LastSeq; {
	case x.After > 0 && x.After+1 < first:
		return ErrForgotten.Says("the stream begins with %d by now; %d to %d are forgotten", first, x.After+1, first-1)
	case x.After > last:
		return ErrForgotten.Says("the stream ends with %d: %d is of another", last, x.After)
	case x.After == last && !x.Follow:
		return nil
	}
	if x.Subjects == nil {
		x.Subjects = []string{events.Subjects}
	}
	reader, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		FilterSubjects: x.Subjects, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: x.After + 1,
	})
	if err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	messages, err := reader.Messages()
	if err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	defer messages.Stop()
	for left := reader.CachedInfo().NumPending; left > 0 || x.Follow; {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read events: %w", err)
		}
		at, err := msg.Metadata()
		if err != nil {
			return err
		}
		e := Received{ID: msg.Headers().Get(jetstream.MsgIDHeader), Subject: msg.Subject(), Data: msg.Data(), Sequence: at.Sequence.Stream}
		e.RecordedAt, _ = time.Parse(time.RFC3339Nano, msg.Headers().Get(headerRecordedAt))
		if err := each(e); err != nil {
			return err
		}
		if left = at.NumPending; !x.Follow && e.Sequence >= there.State.LastSeq {
			return nil
		}
	}
	return nil
}
