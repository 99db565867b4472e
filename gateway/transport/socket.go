package transport

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/viewer"
)

const (
	longestID   = 128     // bytes of an operation's id, which every message about it repeats
	queuedBytes = 4 << 20 // of messages that wait for a slow reader
)

// A socket is one connection. One goroutine reads; what the kernel does not take at once waits for another, which is there only while
// something waits; each operation has its own until it is only told what others are.
type socket struct {
	h    *Handler
	conn *websocket.Conn
	wire *wire
	ctx  context.Context // the viewer; ends with the socket. The reader alone replaces it.

	slots   chan struct{}  // operations that run, including those that were cancelled and have yet to notice
	running sync.WaitGroup // every goroutine but the reader
	over    chan struct{}  // closed when the socket ends
	heard   atomic.Bool    // the client has said something since the last beat

	mu          sync.Mutex
	ended       bool
	initialised bool
	pinged      bool
	impatience  *time.Timer           // ends a socket whose client does not greet
	pulse       *time.Timer           // beats
	expiry      *time.Timer           // ends the socket with the session; nil for never
	operations  map[string]*operation // by id; what is here may still send
	queue       []waiting
	queued      int    // bytes in queue
	pong        []byte // what the newest ping said whose answer waits in the queue; nil when none does
	writing     bool   // a goroutine works off the queue
}

// What is waiting is a frame, or else the newest event of an operation, whatever that is when its turn comes, or else the answer to the
// newest ping.
type waiting struct {
	frame []byte
	of    *operation
}

func newSocket(h *Handler) *socket {
	return &socket{h: h, slots: make(chan struct{}, 2*h.Operations), over: make(chan struct{}), operations: map[string]*operation{}}
}

// serve speaks the protocol until the socket closes.
func (s *socket) serve(ctx context.Context, until time.Time) {
	ctx, cancel := context.WithCancel(ctx)
	s.ctx = ctx
	s.validUntil(until)
	s.mu.Lock()
	s.impatience = time.AfterFunc(s.h.InitWait, func() {
		if !s.isInitialised() {
			s.end(closeInitTimeout, "Connection initialisation timeout")
		}
	})
	s.pulse = time.AfterFunc(s.h.Keepalive, s.beat)
	s.mu.Unlock()
	drained := context.AfterFunc(s.h.drain, func() { s.end(closeGoingAway, "the server is shutting down") })
	defer func() {
		if p := recover(); p != nil { // a mistake of ours costs one socket, not all
			s.h.Log.ErrorContext(ctx, "gateway: a socket failed", "error", fmt.Sprintf("panic: %v\n%s", p, debug.Stack()))
			s.end(websocket.StatusInternalError, "something went wrong on our side")
		}
		drained()
		s.end(websocket.StatusNormalClosure, "")
		cancel()
		s.running.Wait()
	}()
	s.read()
}

// end closes the socket with a code, once; nothing is sent afterwards. It does not wait.
func (s *socket) end(code websocket.StatusCode, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	for _, t := range []*time.Timer{s.impatience, s.pulse, s.expiry} {
		if t != nil {
			t.Stop()
		}
	}
	for _, op := range s.operations {
		op.leaves()
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
	if s.expiry != nil {
		s.expiry.Stop()
		s.expiry = nil
	}
	if !t.IsZero() {
		s.expiry = time.AfterFunc(time.Until(t), func() { s.end(closeForbidden, "session expired") })
	}
}

// beat pings a client that has been silent for long, and gives up one that does not answer.
func (s *socket) beat() {
	heard := s.heard.Swap(false)
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	lost := s.pinged && !heard
	ping := !s.pinged && !heard
	s.pinged = ping
	fits := true
	if ping {
		fits = s.post(encode("", "ping", nil))
	}
	s.pulse.Reset(s.h.Keepalive)
	s.mu.Unlock()
	switch {
	case lost:
		s.end(closeTryAgainLater, "no answer to ping")
	case !fits:
		s.end(closeTryAgainLater, "reads too slowly")
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
	s.impatience.Stop()
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
	op := &operation{socket: s, id: m.ID, next: opening(m.ID, "next"), over: true} // until it is added
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
		s.h.Executor.Execute(ctx, request, op)
		if !op.stays {
			op.end()
		}
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
	s.operations[op.id], op.over = op, false
	return true, true
}

// cancel forgets an operation, so that nothing of it is sent any more, and tells it to stop.
func (s *socket) cancel(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if op := s.operations[id]; op != nil {
		op.leaves()
		if op.news != nil { // or the queue of a client that does not read would grow with whatever it begins and ends
			op.news = nil
			s.queue = slices.DeleteFunc(s.queue, func(w waiting) bool { return w.of == op })
		}
		op.cancel()
	}
}

// send sends a message that is about no operation.
func (s *socket) send(message []byte) {
	s.mu.Lock()
	fits := s.post(message)
	s.mu.Unlock()
	if !fits {
		s.end(closeTryAgainLater, "reads too slowly")
	}
}

// post gives the kernel a message, or leaves it for the writer when others wait or the kernel takes none now; false means that too
// much is waiting already. The message, in parts, is the caller's again afterwards. Call it with mu held.
func (s *socket) post(message ...[]byte) bool {
	if s.ended || s.offer(message...) {
		return true
	}
	frame := appendFrame(nil, opText, message...)
	if len(s.queue) >= s.h.Queue || len(s.queue) > 0 && s.queued+len(frame) > queuedBytes {
		return false
	}
	s.wait(waiting{frame: frame})
	return true
}

// offer tells whether the kernel took a message, at once and before any that waits. Call it with mu held.
func (s *socket) offer(message ...[]byte) bool { return s.offerFrame(opText, message...) }

func (s *socket) offerFrame(op byte, message ...[]byte) bool {
	if s.writing {
		return false
	}
	buffer := frames.Get().(*[]byte)
	*buffer = appendFrame((*buffer)[:0], op, message...)
	took := s.wire.offer(*buffer)
	if cap(*buffer) <= largestKept {
		frames.Put(buffer)
	}
	if took == half {
		s.work()
	}
	return took != nothing
}

func (s *socket) wait(w waiting) {
	s.queue = append(s.queue, w)
	s.queued += len(w.frame)
	s.work()
}

// work sees to it that somebody writes what waits.
func (s *socket) work() {
	if !s.writing {
		s.writing = true
		s.running.Go(s.write)
	}
}

// write writes what waits, as the client takes it, until nothing does.
func (s *socket) write() {
	for frame, more := []byte(nil), true; more; frame, more = s.take() {
		if s.wire.force(frame) != nil {
			s.end(closeTryAgainLater, "reads too slowly")
			return
		}
	}
}

func (s *socket) take() (frame []byte, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		s.queue, s.writing = nil, false
		return nil, false
	}
	first := s.queue[0]
	s.queue[0] = waiting{}
	s.queue = s.queue[1:]
	s.queued -= len(first.frame)
	switch op := first.of; {
	case op != nil:
		first.frame = appendFrame(nil, opText, op.next, op.news, closing)
		op.news = nil
	case first.frame == nil:
		first.frame = appendFrame(nil, opPong, s.pong)
		s.pong = nil
	}
	return first.frame, true
}

// onPing answers a frame of the protocol below ours, in its turn and with the patience that every message is written with. The library
// would wait for it in the reader, and give a client that reads slowly up after five seconds. Of several that wait, the newest is
// answered (RFC 6455, 5.5.3).
func (s *socket) onPing(_ context.Context, said []byte) (byLibrary bool) {
	s.heard.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
	case s.pong != nil:
		s.pong = append(s.pong[:0], said...)
	case !s.offerFrame(opPong, said):
		s.pong = append([]byte{}, said...) // not nil
		s.wait(waiting{})
	}
	return false
}

// onPong knows that somebody is there.
func (s *socket) onPong(context.Context, []byte) { s.heard.Store(true) }

// shown shortens an id for a close frame's reason, which holds 123 bytes.
func shown(id string) string {
	if len(id) > 64 {
		return id[:61] + "..."
	}
	return id
}
