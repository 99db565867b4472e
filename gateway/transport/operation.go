package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/souk-shop/souk/gateway/engine"
)

// An operation is the reply to one subscribe message.
type operation struct {
	socket *socket
	id     string
	next   []byte // how each of its results begins
	cancel context.CancelFunc
	stays  bool // when Execute has returned

	over bool   // completed by either side; the id may be another's by now. The socket's lock guards this and
	news []byte // the newest event that waits in the socket's queue; nil when none does
}

func (op *operation) Accept(engine.Kind, bool) error { return nil }

// Keep has no meaning on a socket, where nothing stands between.
func (op *operation) Keep(time.Duration) {}

func (op *operation) Next(result []byte, _ bool) error {
	return op.say(false, op.next, result, closing)
}

func (op *operation) Stay() (done func()) {
	op.stays = true
	op.socket.running.Add(1)
	return func() {
		op.end()
		op.socket.running.Done()
	}
}

// end tells the client that there is no more, if it still listens.
func (op *operation) end() {
	op.complete()
	op.cancel()
	<-op.socket.slots
}

// Hear sends an event that many are told, unless the client reads slower than events come: then it gets the newest of those that it
// was too slow for, once it has read what is on its way.
func (op *operation) Hear(event []byte) {
	s := op.socket
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case op.over:
	case op.news != nil:
		op.news = event // in place of the one that is in the queue
	case !s.offer(op.next, event, closing):
		op.news = event
		s.wait(waiting{of: op})
	}
}

func (op *operation) Fail(errs engine.Errors) { op.say(true, encodeFailure(op.id, errs)) }

func (op *operation) complete() { op.say(true, encode(op.id, "complete", nil)) }

// say sends a message, in parts, while the client still listens to the operation; after the last one it does not.
func (op *operation) say(last bool, message ...[]byte) error {
	s := op.socket
	s.mu.Lock()
	if op.over {
		s.mu.Unlock()
		return ErrGone
	}
	if last {
		op.leaves()
	}
	fits := s.post(message...)
	s.mu.Unlock()
	if !fits {
		s.end(closeTryAgainLater, "reads too slowly")
		return ErrGone
	}
	return nil
}

// leaves makes the operation one of which nothing more is said. Call it with the socket's lock held.
func (op *operation) leaves() {
	op.over = true
	delete(op.socket.operations, op.id)
}

var closing = []byte{'}'}

// opening is a message up to its payload.
func opening(id, kind string) []byte {
	return append(envelope(id, kind), `,"payload":`...)
}

func envelope(id, kind string) []byte {
	m := make([]byte, 0, len(id)+48)
	m = append(m, '{')
	if id != "" {
		quoted, _ := json.Marshal(id)
		m = append(append(append(m, `"id":`...), quoted...), ',')
	}
	return append(append(append(m, `"type":"`...), kind...), '"')
}

// encode makes a message; payload is JSON already.
func encode(id, kind string, payload []byte) []byte {
	if len(payload) == 0 {
		return append(envelope(id, kind), '}')
	}
	return bytes.Join([][]byte{opening(id, kind), payload, closing}, nil)
}

func encodeFailure(id string, errs engine.Errors) []byte {
	list, err := json.Marshal(errs)
	if err != nil {
		list = []byte(`[{"message":"internal error","extensions":{"code":"INTERNAL"}}]`)
	}
	return encode(id, "error", list)
}
