package transport

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/souk-shop/souk/internal/viewer"
)

// subprotocol is the one that is spoken: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
const subprotocol = "graphql-transport-ws"

// The codes with which a socket is closed. Clients of the protocol reconnect by themselves after 1001, 1013, 4403 and 4408.
const (
	closeGoingAway     = websocket.StatusGoingAway     // 1001: the server shuts down
	closeTryAgainLater = websocket.StatusTryAgainLater // 1013: the client reads too slowly, answers no ping, or sessions cannot be checked now
	closeBadMessage    = websocket.StatusCode(4400)    // not a message of the protocol
	closeUnauthorized  = websocket.StatusCode(4401)    // subscribed before connection_ack
	closeForbidden     = websocket.StatusCode(4403)    // the session is not valid, or it expired just now: come back with a fresh token
	closeSubprotocol   = websocket.StatusCode(4406)    // the client does not speak graphql-transport-ws
	closeInitTimeout   = websocket.StatusCode(4408)    // no connection_init in time
	closeDuplicate     = websocket.StatusCode(4409)    // an id that is still in use
	closeTooManyInits  = websocket.StatusCode(4429)    // a second connection_init
)

func isUpgrade(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// serveSocket opens a socket and returns. The socket goes on in a goroutine of its own, since with the one that belongs to the request
// the server's buffers would stay as well, which are most of what a silent socket would take.
func (h *Handler) serveSocket(w http.ResponseWriter, r *http.Request) {
	// Clients that are not browsers may sign in with a header. Whatever connection_init says later wins.
	who, until, err := h.Sessions.Viewer(r.Context(), r.Header.Get("Authorization"))
	if err != nil {
		h.refuse(w, r, formatJSON, refusalOf(err))
		return
	}
	if !h.open() {
		h.refuse(w, r, formatJSON, refusal(codeUnavailable, "the server is shutting down"))
		return
	}
	if !h.room() {
		h.opened.Done()
		h.refuse(w, r, formatJSON, refusal(codeUnavailable, full))
		return
	}
	s := newSocket(h)
	t := &tap{ResponseWriter: w, wait: h.WriteWait}
	conn, err := websocket.Accept(t, r, &websocket.AcceptOptions{
		Subprotocols:    []string{subprotocol},
		OriginPatterns:  h.Origins,
		CompressionMode: websocket.CompressionDisabled, // a compressor for each socket costs more memory than it saves bytes
		OnPingReceived:  s.onPing,
		OnPongReceived:  s.onPong,
	})
	if err != nil {
		h.leave()
		h.opened.Done()
		return // Accept has answered
	}
	s.conn, s.wire = conn, t.wire
	conn.SetReadLimit(h.Body)
	ctx := viewer.With(context.WithoutCancel(r.Context()), who)
	go h.keepSocket(ctx, s, until)
}

const full = "as many sockets and event streams are open here as may be"

// room takes a place for a socket or an event stream if there is one.
func (h *Handler) room() bool {
	if h.taken.Add(1) > int64(h.MostSockets) && h.MostSockets > 0 {
		h.taken.Add(-1)
		return false
	}
	h.Sockets.Inc()
	return true
}

// leave gives the place back.
func (h *Handler) leave() {
	h.taken.Add(-1)
	h.Sockets.Dec()
}

// keepSocket returns when the socket is closed and nothing of it runs any more.
func (h *Handler) keepSocket(ctx context.Context, s *socket, until time.Time) {
	defer h.opened.Done()
	defer h.leave()
	if s.conn.Subprotocol() != subprotocol {
		s.conn.Close(closeSubprotocol, "Subprotocol not acceptable")
		return
	}
	s.serve(ctx, until)
}
