package souk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

type message struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// Subscribe starts a subscription over graphql-transport-ws and yields what it says until it is complete, the caller has
// heard enough, ctx ends, or an error is yielded. It returns once the graph listens.
func Subscribe[T any](ctx context.Context, c *Client, query string, variables any) (iter.Seq2[T, error], error) {
	token, err := c.session.token(ctx, c)
	if err != nil {
		return nil, err
	}
	ws, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(c.url, "http"), &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: c.http.Transport}, Subprotocols: []string{"graphql-transport-ws"},
	})
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(largest)
	if err := open(ctx, ws, token, query, variables); err != nil {
		ws.CloseNow()
		return nil, err
	}
	return func(yield func(T, error) bool) {
		defer ws.CloseNow()
		for {
			value, err := next[T](ctx, ws)
			if errors.Is(err, io.EOF) || !yield(value, err) || err != nil {
				ws.Close(websocket.StatusNormalClosure, "")
				return
			}
		}
	}, nil
}

func open(ctx context.Context, ws *websocket.Conn, token, query string, variables any) error {
	hello := map[string]any{"type": "connection_init"}
	if token != "" {
		hello["payload"] = map[string]string{"Authorization": "Bearer " + token}
	}
	if err := wsjson.Write(ctx, ws, hello); err != nil {
		return err
	}
	var m message
	if err := wsjson.Read(ctx, ws, &m); err != nil {
		return err
	}
	if m.Type != "connection_ack" {
		return fmt.Errorf("the graph answers %s to connection_init", m.Type)
	}
	return wsjson.Write(ctx, ws, map[string]any{"id": "1", "type": "subscribe", "payload": request{query, variables}})
}

// next waits for the next value; io.EOF when the subscription is complete.
func next[T any](ctx context.Context, ws *websocket.Conn) (value T, err error) {
	for {
		var m message
		if err := wsjson.Read(ctx, ws, &m); err != nil {
			return value, err
		}
		switch m.Type {
		case "ping":
			if err := wsjson.Write(ctx, ws, message{Type: "pong"}); err != nil {
				return value, err
			}
		case "next":
			var answer response
			if err := json.Unmarshal(m.Payload, &answer); err != nil {
				return value, err
			}
			if len(answer.Errors) > 0 {
				return value, answer.Errors
			}
			return value, json.Unmarshal(answer.Data, &value)
		case "error":
			var refused Errors
			if err := json.Unmarshal(m.Payload, &refused); err != nil {
				return value, err
			}
			return value, refused
		case "complete":
			return value, io.EOF
		}
	}
}
