// Package transport carries GraphQL requests in and answers out: over HTTP, a WebSocket, server-sent events and multipart.
//
// It knows the protocols and their limits, never a schema: what a request means is the Executor's business.
package transport

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/souk-shop/souk/gateway/engine"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/viewer"
)

// An Executor answers one GraphQL request through a Reply.
//
// It calls Accept once it knows what the operation is, then Next for every result, and returns when there is nothing more to say.
// Fail replaces Next when there is no result to give. The viewer is in the context; when the context ends, so does the operation.
type Executor interface {
	Execute(ctx context.Context, r engine.Request, to Reply)
}

// A Reply is the way back to one caller. Its methods are called by one goroutine at a time.
type Reply interface {
	// Accept is told what will run before it runs; an error is the reason why this transport cannot carry it.
	Accept(kind engine.Kind, deferred bool) error
	// Next sends one result, a complete JSON document that the caller may reuse afterwards; more says whether others follow.
	// The error is ErrGone.
	Next(result []byte, more bool) error
	// Keep is told before Next for how long anybody may keep the one result that is to come; without it nobody may.
	Keep(time.Duration)
	// Fail says why there is no result, or no further one.
	Fail(engine.Errors)
}

// A Hearer is a Reply that is told an event by whoever has it, and keeps nobody waiting.
type Hearer interface {
	Reply
	// Stay says that the operation goes on when Execute has returned, until done is called: many listen to the same, and none of them
	// needs a goroutine to wait in.
	Stay() (done func())
	// Hear is called in place of Next, by one goroutine at a time. Of events that come faster than they are read it sends the newest.
	// It does nothing once the operation is over.
	Hear(event []byte)
}

// ErrGone is what Next returns when nobody listens any more.
var ErrGone = errors.New("nobody listens any more")

// Sessions knows who a caller is by the Authorization header, or by what stands for it in a socket's first message.
type Sessions interface {
	// Viewer returns who asks and until when that holds; the zero time means for ever, as it does for guests.
	Viewer(ctx context.Context, authorization string) (viewer.Viewer, time.Time, error)
}

// A Gauge counts what is open; a Prometheus gauge is one.
type Gauge interface {
	Inc()
	Dec()
}

// Config is what a Handler needs and the bounds it keeps; a zero bound stands for the default beside it.
type Config struct {
	Executor Executor
	Sessions Sessions
	Origins  []string     // hosts of pages, beside our own, that may open a socket, as patterns of path.Match
	Sockets  Gauge        // open sockets and event streams; may be nil
	Log      *slog.Logger // nil means slog.Default()

	// Refused hears the code of each request that is refused before it became an operation; may be nil.
	Refused func(r *http.Request, code string)

	Body        int64         // bytes of a request, after decompression, and of a socket's message: 1 MB
	MostSockets int           // open at once, and event streams of subscriptions: no bound but the system's, with which everything else would run out of files too
	Operations  int           // at once on one socket: 100
	Queue       int           // messages that wait for a slow reader of a socket: 256
	InitWait    time.Duration // for a socket's connection_init: 5 s
	Keepalive   time.Duration // between signs of life on an idle socket or event stream: 15 s
	ReadWait    time.Duration // for a slow writer to send a request's body: 15 s
	WriteWait   time.Duration // for a slow reader to take an answer, or one message or pong: 15 s
}

func (c Config) withDefaults() Config {
	if c.Body == 0 {
		c.Body = 1 << 20
	}
	if c.Operations == 0 {
		c.Operations = 100
	}
	if c.Queue == 0 {
		c.Queue = 256
	}
	if c.InitWait == 0 {
		c.InitWait = 5 * time.Second
	}
	if c.Keepalive == 0 {
		c.Keepalive = 15 * time.Second
	}
	if c.ReadWait == 0 {
		c.ReadWait = 15 * time.Second
	}
	if c.WriteWait == 0 {
		c.WriteWait = 15 * time.Second
	}
	if c.Refused == nil {
		c.Refused = func(*http.Request, string) {}
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Sockets == nil {
		c.Sockets = noGauge{}
	}
	return c
}

type noGauge struct{}

func (noGauge) Inc() {}
func (noGauge) Dec() {}

// Handler serves one GraphQL endpoint over every transport.
type Handler struct {
	Config
	drain  context.Context // ends when long-lived answers must
	stop   context.CancelFunc
	taken  atomic.Int64   // places for sockets and event streams
	opened sync.WaitGroup // long-lived answers: sockets and event streams
	mu     sync.Mutex     // guards the step from open to draining, so that opened never grows while it is waited for
}

// New returns a Handler; end it with Shutdown.
func New(c Config) *Handler {
	h := &Handler{Config: c.withDefaults()}
	h.drain, h.stop = context.WithCancel(context.Background())
	return h
}

// ServeHTTP answers one request, or opens one socket, which goes on by itself.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if isUpgrade(r) {
		h.serveSocket(w, r)
		return
	}
	h.serveHTTP(w, r)
}

// Shutdown ends sockets (1001) and event streams and waits until they are gone or ctx ends; short answers finish on their own.
// Call it before the server's own Shutdown, which neither knows of sockets nor ends streams.
func (h *Handler) Shutdown(ctx context.Context) error {
	h.mu.Lock()
	h.stop()
	h.mu.Unlock()
	gone := make(chan struct{})
	go func() {
		h.opened.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// open counts a long-lived answer in, and refuses it while draining; call opened.Done at its end.
func (h *Handler) open() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.drain.Err() != nil {
		return false
	}
	h.opened.Add(1)
	return true
}

// refusal makes the errors list of one error.
func refusal(code, message string) engine.Errors {
	return engine.Errors{{Message: message, Extensions: map[string]any{"code": code}}}
}

// refusalOf tells a caller about err, and nothing when it is not meant for callers.
func refusalOf(err error) engine.Errors {
	var listed engine.Errors
	if errors.As(err, &listed) {
		return listed
	}
	var named *fault.Error
	if errors.As(err, &named) {
		return refusal(string(named.Kind), named.Message)
	}
	return refusal("INTERNAL", "internal error")
}
