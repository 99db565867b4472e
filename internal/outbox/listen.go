package outbox

import (
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Listen hears events as they are told, from now on, at most once: for what is shown live and read again on the next
// look. Every caller hears every event. Handle must not block.
func Listen(nc *nats.Conn, subjects []string, handle func(Received)) (stop func() error, err error) {
	var subs []*nats.Subscription
	stop = func() error {
		var failed []error
		for _, sub := range subs {
			if err := sub.Unsubscribe(); !errors.Is(err, nats.ErrConnectionClosed) {
				failed = append(failed, err)
			}
		}
		return errors.Join(failed...)
	}
	for _, subject := range subjects {
		sub, err := nc.Subscribe(subject, func(m *nats.Msg) {
			if !strings.HasPrefix(m.Subject, "souk.event.") {
				return
			}
			e := Received{ID: m.Header.Get(jetstream.MsgIDHeader), Subject: m.Subject, Data: m.Data}
			e.RecordedAt, _ = time.Parse(time.RFC3339Nano, m.Header.Get(headerRecordedAt))
			handle(e)
		})
		if err != nil {
			return nil, errors.Join(err, stop())
		}
		subs = append(subs, sub)
	}
	return stop, nc.Flush() // from here on nothing is missed
}
