package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/r3labs/sse/v2"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/engine/datasource/graphql_datasource"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/engine/resolve"
)

// largestEvent is the most bytes that one event of a subgraph may have.
const largestEvent = 1 << 20

// errSubgraph is every way in which a stream ends before the subgraph said that it is complete.
var errSubgraph = errors.New("the subgraph's stream failed")

var errComplete = errors.New("the subscription is complete")

// A stream is a subscription at a subgraph: GraphQL over server-sent events, asked by POST.
type stream struct {
	body   io.ReadCloser
	events *sse.EventStreamReader
}

func openStream(ctx context.Context, client *http.Client, url string, body []byte) (*stream, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Cache-Control", "no-cache")
	res, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSubgraph, err)
	}
	media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if res.StatusCode != http.StatusOK || media != "text/event-stream" {
		res.Body.Close()
		return nil, fmt.Errorf("%w: status %d, %s", errSubgraph, res.StatusCode, media)
	}
	return &stream{body: res.Body, events: sse.NewEventStreamReader(res.Body, largestEvent)}, nil
}

// Next returns the data of the next event, errComplete when the subgraph has said that there are no more.
func (s *stream) Next() ([]byte, error) {
	for {
		raw, err := s.events.ReadEvent()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errSubgraph, err)
		}
		name, data := parseEvent(raw)
		switch {
		case name == "complete":
			return nil, errComplete
		case len(data) > 0: // the rest are comments that keep the connection alive
			return data, nil
		}
	}
}

// Close ends the subscription.
func (s *stream) Close() { s.body.Close() }

func parseEvent(raw []byte) (name string, data []byte) {
	for line := range bytes.Lines(raw) {
		field, value, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			name = string(value)
		case "data":
			if data != nil {
				data = append(data, '\n')
			}
			data = append(data, value...)
		}
	}
	return name, data
}

// noStreams stands where the library would open subscriptions; Subscribe opens them itself. The library shares a stream
// between subscribers by what they ask, and one who leaves can end it for another who came just then.
type noStreams struct{}

func (noStreams) Subscribe(*resolve.Context, graphql_datasource.GraphQLSubscriptionOptions, resolve.SubscriptionUpdater) error {
	return errors.New("engine: the library opens no streams")
}
