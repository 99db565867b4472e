package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/souk-shop/souk/gateway/engine"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/viewer"
)

const (
	longestID   = 128     // bytes of an operation's id, which every message about it repeats
	queuedBytes = 4 << 20 // of messages that wait for a slow reader
)

// A socket is one connection: one goroutine reads, one writes, and each operation has its own.
type socket struct {
	h    *Handler
	conn *websocket.Conn
	ctx  context.Context // the viewer; ends with the socket. The reader alone replaces it.

	slots   chan struct{}  // operations that run, including those that were cancelled and have yet to notice
	running sync.WaitGroup // every goroutine but the reader
	wake    chan struct{}  // the queue has something for the writer
	over    chan struct{}  // closed when the socket ends
	heard   atomic.Bool    // the client has said something since the writer last looked

	mu          sync.Mutex
	ended       bool
	initialised bool
	expire      func()                // stops the session's timer
	operations  map[string]*operation // by id; what is here may still send
	queue       [][]byte
	queued      int // bytes in queue
}

func newSocket(h *Handler) *socket {
	return &socket{
		h:     h,
		slots: make(chan struct{}, 2*h.Operations),
		wake:  make(chan struct{}, 1), over: make(chan struct{}),
		expire: func() {}, operations: map[string]*operation{},
	}
}

// serve speaks the protocol until the socket closes.
func (s *socket) serve(ctx context.Context, until time.Time) {
	ctx, cancel := context.WithCancel(ctx)
	s.ctx = ctx
	s.validUntil(until)
	impatience := time.AfterFunc(s.h.InitWait, func() {
		if !s.isInitialised() {
			s.end(closeInitTimeout, "Connection initialisation timeout")
		}
	})
	drained := context.AfterFunc(s.h.drain, func() { s.end(closeGoingAway, "the server is shutting down") })
	s.running.Go(s.write)

	s.read()

	impatience.Stop()
	drained()
	s.end(websocket.StatusNormalClosure, "")
	cancel()
	s.running.Wait()
}

// end closes the socket with a code, once; nothing is sent afterwards. It does not wait.
func (s *socket) end(code websocket.StatusCode, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	s.expire()
	for id, op := range s.operations {
		delete(s.operations, id)
		op.cancel()
	}
	s.queue = nil
	close(s.over)
	// Closing waits for the client's own close frame, which the reader must be free to see.
	s.running.Go(func() { s.conn.Close(code, reason) })
}

// validUntil ends the socket when the session does; the zero time is never.
func (s *socket) validUntil(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.expire()
	s.expire = func() {}
	if !t.IsZero() {
		timer := time.AfterFunc(time.Until(t), func() { s.end(closeForbidden, "session expired") })
		s.expire = func() { timer.Stop() }
	}
}

func (s *socket) isInitialised() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.initialised
}

// read handles messages in the order of their arrival, so two that came together cannot pass each other.
func (s *socket) read() {
	for {
		// Not s.ctx: a context that ends would tear the connection down before the close frame is out.
		_, data, err := s.conn.Read(context.Background())
		if err != nil {
			return
		}
		s.heard.Store(true)
		if code, reason := s.handle(data); code != 0 {
			s.end(code, reason)
			return
		}
	}
}

type message struct {
	ID      string          `json:"id"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload"`
}

// handle does what one message asks; a code other than 0 closes the socket.
func (s *socket) handle(data []byte) (websocket.StatusCode, string) {
	var m message
	if !utf8.Valid(data) || json.Unmarshal(data, &m) != nil {
		return closeBadMessage, "Invalid message received"
	}
	if string(m.Payload) == "null" {
		m.Payload = nil
	}
	switch m.Type {
	case "connection_init":
		return s.initialise(m.Payload)
	case "ping", "pong":
		if m.Payload != nil && m.Payload[0] != '{' {
			return closeBadMessage, "payload must be an object"
		}
		if m.Type == "ping" {
			s.send(encode("", "pong", m.Payload))
		}
		return 0, ""
	case "subscribe":
		return s.subscribe(m)
	case "complete":
		if m.ID == "" {
			return closeBadMessage, "id is missing"
		}
		s.cancel(m.ID)
		return 0, ""
	}
	return closeBadMessage, "Invalid message received"
}

// initialise greets the client and learns who it is.
func (s *socket) initialise(payload json.RawMessage) (websocket.StatusCode, string) {
	s.mu.Lock()
	again := s.initialised
	s.initialised = true
	s.mu.Unlock()
	if again {
		return closeTooManyInits, "Too many initialisation requests"
	}
	if payload != nil {
		var params struct {
			Authorization string // as clients write it: case does not matter
		}
		if json.Unmarshal(payload, &params) != nil {
			return closeBadMessage, "payload must be an object, and its Authorization a string"
		}
		if params.Authorization != "" {
			who, until, err := s.h.Sessions.Viewer(s.ctx, params.Authorization)
			if err != nil {
				if fault.KindOf(err) == fault.Unauthenticated {
					return closeForbidden, "Forbidden"
				}
				return closeTryAgainLater, "sessions cannot be checked now"
			}
			s.ctx = viewer.With(s.ctx, who)
			s.validUntil(until)
		}
	}
	s.send(encode("", "connection_ack", nil))
	return 0, ""
}

// subscribe starts an operation. That its id is free is decided here, in the reader, before the next message is looked at.
func (s *socket) subscribe(m message) (websocket.StatusCode, string) {
	if !s.isInitialised() {
		return closeUnauthorized, "Unauthorized"
	}
	if m.ID == "" || len(m.ID) > longestID {
		return closeBadMessage, "id must be a text of 1 to 128 bytes"
	}
	if len(m.Payload) == 0 {
		return closeBadMessage, "payload is missing"
	}
	request, errs := decodeJSON(m.Payload)
	if errs != nil {
		return closeBadMessage, errs[0].Message
	}
	op := &operation{socket: s, id: m.ID}
	var ctx context.Context
	ctx, op.cancel = context.WithCancel(s.ctx)
	added, free := s.add(op)
	switch {
	case !free:
		op.cancel()
		return closeDuplicate, "Subscriber for " + shown(m.ID) + " already exists"
	case !added:
		op.cancel()
		s.send(encodeFailure(m.ID, refusal("TOO_MANY_OPERATIONS", "too many operations at once on one socket")))
		return 0, ""
	}
	select {
	case s.slots <- struct{}{}:
	case <-s.over:
		return 0, ""
	}
	s.running.Go(func() {
		defer func() { <-s.slots }()
		defer op.cancel()
		s.h.Executor.Execute(ctx, request, op)
		op.complete()
	})
	return 0, ""
}

// add enters the operation unless its id is in use or there are as many as may be.
func (s *socket) add(op *operation) (added, free bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.operations[op.id] != nil {
		return false, false
	}
	if s.ended || len(s.operations) >= s.h.Operations {
		return false, true
	}
	s.operations[op.id] = op
	return true, true
}

// cancel forgets an operation, so that nothing of it is sent any more, and tells it to stop.
func (s *socket) cancel(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if op := s.operations[id]; op != nil {
		delete(s.operations, id)
		op.cancel()
	}
}

// An operation is the reply to one subscribe message.
type operation struct {
	socket *socket
	id     string
	cancel context.CancelFunc
}

func (op *operation) Accept(engine.Kind, bool) error { return nil }

// Keep has no meaning on a socket, where nothing stands between.
func (op *operation) Keep(time.Duration) {}

func (op *operation) Next(result []byte, _ bool) error {
	return op.say(encode(op.id, "next", result), false)
}

func (op *operation) Fail(errs engine.Errors) { op.say(encodeFailure(op.id, errs), true) }

func (op *operation) complete() { op.say(encode(op.id, "complete", nil), true) }

// say queues a message while the client still listens to the operation; after the last one it does not.
func (op *operation) say(message []byte, last bool) error {
	s := op.socket
	s.mu.Lock()
	if s.operations[op.id] != op { // completed by either side; the id may be another's by now
		s.mu.Unlock()
		return ErrGone
	}
	if last {
		delete(s.operations, op.id)
	}
	fits := s.enqueue(message)
	s.mu.Unlock()
	if !fits {
		s.end(closeTryAgainLater, "reads too slowly")
		return ErrGone
	}
	return nil
}

// send queues a message that is about no operation.
func (s *socket) send(message []byte) {
	s.mu.Lock()
	fits := s.enqueue(message)
	s.mu.Unlock()
	if !fits {
		s.end(closeTryAgainLater, "reads too slowly")
	}
}

// enqueue leaves a message for the writer; false means that too much is waiting already. Call it with mu held.
func (s *socket) enqueue(message []byte) bool {
	if s.ended {
		return true
	}
	if len(s.queue) >= s.h.Queue || len(s.queue) > 0 && s.queued+len(message) > queuedBytes {
		return false
	}
	s.queue = append(s.queue, message)
	s.queued += len(message)
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return true
}

// write sends what is queued, and pings a client that has been silent for long. It alone writes messages.
func (s *socket) write() {
	tick := time.NewTicker(s.h.Keepalive)
	defer tick.Stop()
	pinged := false
	for {
		select {
		case <-s.over:
			return
		case <-s.wake:
			for _, m := range s.take() {
				if !s.writeMessage(m) {
					return
				}
			}
		case <-tick.C:
			switch {
			case s.heard.Swap(false):
				pinged = false
			case pinged:
				s.end(closeTryAgainLater, "no answer to ping")
				return
			default:
				pinged = true
				if !s.writeMessage(encode("", "ping", nil)) {
					return
				}
			}
		}
	}
}

func (s *socket) take() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := s.queue
	s.queue, s.queued = nil, 0
	return waiting
}

func (s *socket) writeMessage(m []byte) bool {
	select {
	case <-s.over: // it ended while we worked off the queue
		return false
	default:
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.h.WriteWait)
	defer cancel()
	if s.conn.Write(ctx, websocket.MessageText, m) != nil {
		s.end(closeTryAgainLater, "reads too slowly")
		return false
	}
	return true
}

// The library answers pings by itself; a frame of either kind shows that somebody is there.
func (s *socket) onPing(context.Context, []byte) bool { s.heard.Store(true); return true }
func (s *socket) onPong(context.Context, []byte)      { s.heard.Store(true) }

// encode makes a message; payload is JSON already.
func encode(id, kind string, payload []byte) []byte {
	var m bytes.Buffer
	m.Grow(len(payload) + len(id) + 48)
	m.WriteByte('{')
	if id != "" {
		quoted, _ := json.Marshal(id)
		m.WriteString(`"id":`)
		m.Write(quoted)
		m.WriteByte(',')
	}
	m.WriteString(`"type":"` + kind + `"`)
	if len(payload) > 0 {
		m.WriteString(`,"payload":`)
		m.Write(payload)
	}
	m.WriteByte('}')
	return m.Bytes()
}

func encodeFailure(id string, errs engine.Errors) []byte {
	list, err := json.Marshal(errs)
	if err != nil {
		list = []byte(`[{"message":"internal error","extensions":{"code":"INTERNAL"}}]`)
	}
	return encode(id, "error", list)
}

// shown shortens an id for a close frame's reason, which holds 123 bytes.
func shown(id string) string {
	if len(id) > 64 {
		return id[:61] + "..."
	}
	return id
}
