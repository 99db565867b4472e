package transport

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/souk-shop/souk/gateway/engine"
)

// A hearing is the reply of an event stream that may come to hear what all who ask the same are told.
type hearing struct {
	*httpReply
	unhook func() bool // from the request's context, which ends when its handler returns
	ear    *ear        // nil while the stream is the request's
}

// hears tells whether the connection can be taken over from the server once the answer has begun.
func hears(w http.ResponseWriter, r *http.Request) bool {
	for r.Proto == "HTTP/1.1" { // others have many requests on a connection, or no chunks
		if _, ok := w.(http.Hijacker); ok {
			return true
		}
		inner, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			break
		}
		w = inner.Unwrap()
	}
	return false
}

// execute answers a request. Once the connection is taken over, the operation goes on when this has returned.
func (to *hearing) execute(asked context.Context, request engine.Request) {
	to.ctx, to.cancel = context.WithCancel(context.WithoutCancel(asked))
	to.unhook = context.AfterFunc(asked, to.cancel)
	defer func() {
		if to.ear == nil {
			to.unhook() // or else the end of the request would be a goroutine that cancels what is over
			to.cancel()
		}
	}()
	to.h.Executor.Execute(to.ctx, request, to)
	if to.ear == nil {
		to.endStream()
		to.undoAll()
	}
}

func (to *hearing) Accept(kind engine.Kind, deferred bool) error {
	if kind == engine.Subscription {
		to.w.Header().Set("Connection", "close")
	}
	return to.httpReply.Accept(kind, deferred)
}

// Stay takes the connection over. With it go the server's buffers, and two goroutines of three: one is left, which reads to notice who
// hangs up.
func (to *hearing) Stay() (done func()) {
	to.stream.close() // its keepalive is over when this returns
	to.unhook()
	conn, _, err := http.NewResponseController(to.w).Hijack()
	if err != nil { // nobody is there any more, and nothing may be said
		to.stream, to.answered = nil, true
		to.cancel()
		return func() {}
	}
	e := &ear{wire: newWire(conn, nil, to.h.WriteWait), cancel: to.cancel}
	e.mu.Lock() // a beat may come before this is written
	e.pulse = time.AfterFunc(to.h.Keepalive, func() { e.beat(to.h.Keepalive) })
	e.mu.Unlock()
	to.stream, to.ear, to.w = e, e, nil
	told := make(chan struct{})
	go func() {
		for read, some := 0, make([]byte, 64); read < 4<<10; { // there is nothing that a client could say
			n, err := conn.Read(some)
			if err != nil {
				break
			}
			read += n
		}
		to.cancel()
		<-told
		conn.Close()
		to.undoAll()
	}()
	return func() {
		to.endStream()
		close(told)
	}
}

// Hear is the ear's.
func (to *hearing) Hear(event []byte) {
	if to.ear != nil {
		to.ear.hear(event)
	}
}

// An ear is an event stream whose connection is no more the server's: who has an event offers it to the kernel, and no goroutine wakes
// but for a client that reads slowly, as on a socket.
type ear struct {
	wire   *wire
	cancel context.CancelFunc
	pulse  *time.Timer

	mu      sync.Mutex
	news    []byte // the newest event that waits; nil when none does
	rest    []byte // what else waits, behind it
	writing bool   // a goroutine writes what waits
	over    bool   // nothing is added any more; once all is out the connection is closed
}

// hear sends an event, or keeps it in place of an older one while the client reads what is on its way.
func (e *ear) hear(event []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.over:
		return
	case e.writing:
		e.news = event
		return
	}
	buffer := frames.Get().(*[]byte)
	*buffer = appendChunk((*buffer)[:0], event)
	if !e.offer(*buffer) {
		e.news = event
		e.work()
	}
	if cap(*buffer) <= largestKept {
		frames.Put(buffer)
	}
}

// offer tells whether the kernel took a chunk, at once and before any that waits. Call it with mu held, as what follows.
func (e *ear) offer(chunk []byte) bool {
	if e.writing {
		return false
	}
	took := e.wire.offer(chunk)
	if took == half {
		e.work()
	}
	return took != nothing
}

func (e *ear) say(chunk string) {
	if !e.offer([]byte(chunk)) {
		e.rest = append(e.rest, chunk...)
		e.work()
	}
}

func (e *ear) work() {
	if !e.writing {
		e.writing = true
		go e.write()
	}
}

// write writes what waits, as the client takes it, until nothing does.
func (e *ear) write() {
	for chunk, more := []byte(nil), true; more; chunk, more = e.take() {
		if e.wire.force(chunk) != nil {
			e.cancel() // and writing stays: nothing is written any more
			return
		}
	}
}

func (e *ear) take() (chunk []byte, more bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.news != nil:
		chunk = appendChunk(nil, e.news)
		e.news = nil
	case e.rest != nil:
		chunk, e.rest = e.rest, nil
	default:
		e.writing = false
		if e.over {
			e.wire.Close()
		}
		return nil, false
	}
	return chunk, true
}

// beat is the keepalive of an event stream. What waits is a sign of life as well.
func (e *ear) beat(every time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over {
		return
	}
	if !e.writing {
		e.say(asChunk(":\n\n"))
	}
	e.pulse.Reset(every)
}

func (e *ear) next(result []byte, _ bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over {
		return ErrGone
	}
	e.say(string(appendChunk(nil, result)))
	return nil
}

func (e *ear) fail(errs engine.Errors) { e.next(encodeErrors(errs), false) }
func (e *ear) complete()               { e.end(asChunk(completeEvent) + lastChunk) }
func (e *ear) close()                  { e.end(lastChunk) }

// end says the last there is to say. It does not wait.
func (e *ear) end(last string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pulse.Stop()
	e.say(last)
	e.over = true
	if !e.writing {
		e.wire.Close()
	}
}

const lastChunk = "0\r\n\r\n"

func asChunk(text string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(text), text) }

// appendChunk appends a next event as a chunk of the response's body.
func appendChunk(to, result []byte) []byte {
	const size = "00000000\r\n" // in hexadecimal
	from := len(to)
	to = appendEvent(append(to, size...), result)
	for i, n := 7, len(to)-from-len(size); i >= 0; i, n = i-1, n>>4 {
		to[from+i] = "0123456789abcdef"[n&0xf]
	}
	return append(to, "\r\n"...)
}
