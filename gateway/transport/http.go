package transport

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/souk-shop/souk/gateway/engine"
	"github.com/souk-shop/souk/internal/viewer"
)

// The codes with which a transport refuses a request; each has its HTTP status in statuses.
const (
	codeBadRequest  = "BAD_REQUEST"
	codeMethod      = "METHOD_NOT_ALLOWED"
	codeAcceptable  = "NOT_ACCEPTABLE"
	codeTooLarge    = "PAYLOAD_TOO_LARGE"
	codeTooSlow     = "REQUEST_TIMEOUT"
	codeMediaType   = "UNSUPPORTED_MEDIA_TYPE"
	codeCSRF        = "PREFLIGHT_REQUIRED"
	codeUnavailable = "UNAVAILABLE"
)

// statuses are the answers to requests that came to nothing; a code that is not here is the caller's mistake, 400.
var statuses = map[string]int{
	engine.CodeUnauthenticated: http.StatusUnauthorized,
	engine.CodeForbidden:       http.StatusForbidden,
	codeCSRF:                   http.StatusForbidden,
	codeMethod:                 http.StatusMethodNotAllowed,
	codeAcceptable:             http.StatusNotAcceptable,
	codeTooLarge:               http.StatusRequestEntityTooLarge,
	codeTooSlow:                http.StatusRequestTimeout,
	codeMediaType:              http.StatusUnsupportedMediaType,
	engine.CodeThrottled:       http.StatusTooManyRequests,
	engine.CodeInternal:        http.StatusInternalServerError,
	codeUnavailable:            http.StatusServiceUnavailable,
	engine.CodeSubgraph:        http.StatusServiceUnavailable,
	"TIMEOUT":                  http.StatusGatewayTimeout,
}

// serveHTTP answers one request as GraphQL over HTTP says: https://graphql.github.io/graphql-over-http/draft/
func (h *Handler) serveHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "private, no-store") // unless told otherwise
	w.Header().Set("Vary", "Accept, Authorization")
	w.Header().Set("X-Content-Type-Options", "nosniff")

	accept := parseAccept(r.Header.Get("Accept"))
	if accept.none() {
		h.refuse(w, r, formatJSON, refusal(codeAcceptable,
			"answers come as application/graphql-response+json, application/json, text/event-stream or multipart/mixed"))
		return
	}
	if !preflighted(r) {
		h.refuse(w, r, accept.json, refusal(codeCSRF, "a GET from another site's page needs a Souk-Preflight header, so that no page can send it unasked"))
		return
	}
	request, errs := h.decode(w, r)
	if errs != nil {
		h.refuse(w, r, accept.json, errs)
		return
	}
	who, until, err := h.Sessions.Viewer(r.Context(), r.Header.Get("Authorization"))
	if err != nil {
		h.refuse(w, r, accept.json, refusalOf(err))
		return
	}
	to := &httpReply{h: h, w: w, get: r.Method == http.MethodGet, accept: accept, until: until}
	if to.get && r.Header.Get("Authorization") == "" {
		to.has = r.Header.Values("If-None-Match")
		to.public = true
	}
	ctx := viewer.With(r.Context(), who)
	if accept.events && hears(w, r) {
		(&hearing{httpReply: to}).execute(ctx, request)
		return
	}
	to.ctx, to.cancel = context.WithCancel(ctx)
	defer to.cancel()
	h.Executor.Execute(to.ctx, request, to)
	to.endStream()
	to.undoAll()
}

// refuse answers a request that is not GraphQL over HTTP, or not allowed: the status says so in every format.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, as format, errs engine.Errors) {
	h.Refused(r, errs[0].Code())
	h.writeRefusal(w, as, errs)
}

// TurnAway refuses a request of which nothing but the head was read, in words made ready: who asks too much is to cost little.
func (h *Handler) TurnAway(w http.ResponseWriter, r *http.Request, seconds int, document []byte) {
	h.Refused(r, engine.CodeThrottled)
	if r.ContentLength != 0 { // the server passes over the body, and shall not wait for a slow one
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(h.ReadWait))
	}
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	h.writeJSON(w, max(parseAccept(r.Header.Get("Accept")).json, formatJSON), http.StatusTooManyRequests, document)
}

func (h *Handler) writeRefusal(w http.ResponseWriter, as format, errs engine.Errors) {
	status := statusOf(errs)
	switch status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="souk", error="invalid_token"`)
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", "GET, POST")
	case http.StatusTooManyRequests:
		if seconds, ok := errs[0].Extensions["retryAfter"].(int); ok {
			w.Header().Set("Retry-After", strconv.Itoa(seconds))
		}
	}
	h.writeJSON(w, as, status, encodeErrors(errs))
}

func statusOf(errs engine.Errors) int {
	if len(errs) > 0 {
		if status, ok := statuses[errs[0].Code()]; ok {
			return status
		}
	}
	return http.StatusBadRequest
}

func (h *Handler) writeJSON(w http.ResponseWriter, as format, status int, document []byte) {
	media := "application/json; charset=utf-8"
	if as == formatResponseJSON {
		media = "application/graphql-response+json; charset=utf-8"
	}
	w.Header().Set("Content-Type", media)
	w.Header().Set("Content-Length", strconv.Itoa(len(document)))
	rc := http.NewResponseController(w)
	rc.SetWriteDeadline(time.Now().Add(h.WriteWait))
	w.WriteHeader(status)
	w.Write(document)
	rc.Flush()
	rc.SetWriteDeadline(time.Time{}) // the connection may serve another request
}

// encodeErrors makes the response of a request that was not executed: errors, and no data entry. What a request that was too dear
// costs stands where an answer would tell it too.
func encodeErrors(errs engine.Errors) []byte {
	response := struct {
		Errors     engine.Errors  `json:"errors"`
		Extensions map[string]any `json:"extensions,omitempty"`
	}{Errors: errs}
	if len(errs) > 0 && errs[0].Extensions["cost"] != nil {
		response.Extensions = map[string]any{"cost": errs[0].Extensions["cost"]}
	}
	document, err := json.Marshal(response)
	if err != nil { // an extension that is not JSON
		return []byte(`{"errors":[{"message":"internal error","extensions":{"code":"INTERNAL"}}]}`)
	}
	return document
}

// A stream is an answer in several pieces.
type stream interface {
	next(result []byte, more bool) error
	fail(engine.Errors)
	complete() // nothing more is to come, and the caller shall know
	close()    // without a word, so that the caller asks again
}

// httpReply answers in the one format that suits the operation and the client: a document, or a stream of events or parts.
type httpReply struct {
	h      *Handler
	w      http.ResponseWriter
	get    bool
	accept acceptable
	until  time.Time       // when the caller's session ends
	ctx    context.Context // the operation's
	cancel context.CancelFunc
	public bool     // nothing in the request says who asks, and its answer may be kept along the way
	has    []string // entity tags of what the caller has
	maxAge time.Duration

	stream   stream // nil while the answer is one document
	answered bool
	undo     []func() // what Accept arranged
}

func (to *httpReply) Accept(kind engine.Kind, deferred bool) error {
	if to.get && kind == engine.Mutation {
		return refusal(codeMethod, "a mutation is sent by POST")
	}
	as := to.accept.plain()
	switch {
	case kind == engine.Subscription && !to.accept.events:
		return refusal(codeAcceptable, "a subscription needs Accept: text/event-stream, or the socket at this address")
	case kind == engine.Subscription:
		as = formatEvents
	case deferred && to.accept.multipart:
		as = formatMultipart
	case deferred && to.accept.events:
		as = formatEvents
	case deferred:
		return refusal(codeAcceptable, "an operation with @defer needs Accept: multipart/mixed")
	}
	switch as {
	case formatMultipart:
		to.stream = newParts(to.w, to.h.WriteWait)
	case formatEvents:
		if !to.h.open() {
			return refusal(codeUnavailable, "the server is shutting down")
		}
		to.undo = append(to.undo, to.h.opened.Done)
		if kind == engine.Subscription {
			if !to.h.room() {
				return refusal(codeUnavailable, full)
			}
			to.undo = append(to.undo, to.h.leave)
			to.endWith(to.h.drain)
			if !to.until.IsZero() {
				expired, cancel := context.WithDeadline(context.Background(), to.until)
				to.undo = append(to.undo, cancel)
				to.endWith(expired)
			}
		}
		to.stream = newEvents(to.w, to.h.WriteWait, to.h.Keepalive, to.cancel)
	}
	return nil
}

// endWith ends the operation when ctx ends.
func (to *httpReply) endWith(ctx context.Context) {
	stop := context.AfterFunc(ctx, to.cancel)
	to.undo = append(to.undo, func() { stop() })
}

func (to *httpReply) Next(result []byte, more bool) error {
	to.answered = true
	if to.stream != nil {
		return to.stream.next(result, more)
	}
	if to.maxAge > 0 && to.kept(result) {
		return nil
	}
	to.h.writeJSON(to.w, to.accept.json, http.StatusOK, result)
	return nil
}

func (to *httpReply) Fail(errs engine.Errors) {
	if to.stream == nil && !to.answered && to.accept.json == formatNone {
		to.openStream() // the client reads nothing but a stream, so the errors must be its first piece
	}
	switch {
	case to.stream != nil:
		to.stream.fail(errs)
	case to.answered: // one document was all there was to say
	case to.accept.json == formatJSON && statusOf(errs) == http.StatusBadRequest:
		// application/json: a well-formed request is a 200 whatever becomes of its operation
		to.h.writeJSON(to.w, formatJSON, http.StatusOK, encodeErrors(errs))
	default:
		to.h.writeRefusal(to.w, to.accept.json, errs)
	}
	to.answered = true
}

func (to *httpReply) openStream() {
	if to.accept.events {
		to.stream = newEvents(to.w, to.h.WriteWait, to.h.Keepalive, to.cancel)
		return
	}
	to.stream = newParts(to.w, to.h.WriteWait)
}

// endStream closes the answer; one that was cut short is not called complete, so the caller asks again.
func (to *httpReply) endStream() {
	switch {
	case to.stream == nil:
	case to.ctx.Err() != nil:
		to.stream.close()
	default:
		to.stream.complete()
	}
}

func (to *httpReply) undoAll() {
	for _, undo := range to.undo {
		undo()
	}
}
