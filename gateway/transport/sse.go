package transport

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/souk-shop/souk/gateway/engine"
)

// events is an answer as server-sent events, graphql-sse's "distinct connections" mode: a next event for each result, then a
// complete event. https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md
type events struct {
	w      io.Writer
	rc     *http.ResponseController
	wait   time.Duration
	cancel context.CancelFunc // ends the operation when nobody reads

	mu   sync.Mutex // the operation and the keepalive take turns
	gone bool       // nothing can be written any more

	stop    chan struct{}
	stopped sync.WaitGroup
}

func newEvents(w http.ResponseWriter, wait, keepalive time.Duration, cancel context.CancelFunc) *events {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold the events back
	w.WriteHeader(http.StatusOK)
	e := &events{w: w, rc: http.NewResponseController(w), wait: wait, cancel: cancel, stop: make(chan struct{})}
	e.write(":\n\n") // the headers shall arrive before the first event does
	e.stopped.Go(func() { e.keepAlive(keepalive) })
	return e
}

// keepAlive writes a comment now and then, for proxies that cut silent connections and to notice readers that are gone.
func (e *events) keepAlive(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			e.write(":\n\n")
		case <-e.stop:
			return
		}
	}
}

func (e *events) write(event string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gone {
		return ErrGone
	}
	e.rc.SetWriteDeadline(time.Now().Add(e.wait))
	_, err := io.WriteString(e.w, event)
	if err == nil {
		err = e.rc.Flush()
	}
	if err != nil {
		e.gone = true
		e.cancel()
		return ErrGone
	}
	return nil
}

func (e *events) next(result []byte, _ bool) error {
	return e.write(string(appendEvent(nil, result)))
}

func appendEvent(to, result []byte) []byte {
	to = append(to, "event: next\n"...)
	for line := range bytes.Lines(result) { // a line break inside the document must not end the event
		to = append(append(to, "data: "...), bytes.TrimRight(line, "\r\n")...)
		to = append(to, '\n')
	}
	return append(to, '\n')
}

// fail reports errors as a result, which is the protocol's way: EventSource shows nothing of an HTTP status.
func (e *events) fail(errs engine.Errors) { e.next(encodeErrors(errs), false) }

func (e *events) complete() {
	e.write(completeEvent)
	e.close()
}

const completeEvent = "event: complete\ndata: \n\n" // without data, EventSource drops the event

func (e *events) close() {
	close(e.stop)
	e.stopped.Wait()
	e.rc.SetWriteDeadline(time.Time{}) // the connection may serve another request
}
