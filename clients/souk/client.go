// Package souk is a client of our own graph over HTTP and its socket, for tests, imports and load.
//
//	shop := souk.New("http://127.0.0.1:4000/graphql")
//	seller, err := shop.SignIn(ctx, "seller@souk.test", "open-sesame-souk")
//	answer, err := souk.Do[struct{ Me struct{ DisplayName string } }](ctx, seller, "{ me { displayName } }", nil)
package souk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	tries       = 5
	firstPause  = 50 * time.Millisecond
	longestWait = time.Minute // for one answer
	largest     = 64 << 20    // bytes of an answer
)

// A Client sends operations as one caller. It is safe for concurrent use.
type Client struct {
	url     string
	http    *http.Client
	session *session // nil for a guest
}

// New returns a client of the graph at a URL, as a guest.
func New(url string) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 256 // load comes from one place
	return &Client{url: url, http: &http.Client{Transport: transport, Timeout: longestWait}}
}

// Do sends an operation and returns its data. When the graph answers with Errors, what data it could give is returned too.
//
// What failed on the way is sent again if that cannot do it twice: a query, or a mutation with an idempotency key. What was asked
// too fast is sent again once the caller's budget allows.
func Do[T any](ctx context.Context, c *Client, query string, variables any) (T, error) {
	var data T
	body, err := json.Marshal(request{query, variables})
	if err != nil {
		return data, err
	}
	again := repeatable(query, body)
	for try := 1; ; try++ {
		answer, err := c.send(ctx, body)
		if err == nil {
			if len(answer.Data) > 0 && string(answer.Data) != "null" {
				if err := json.Unmarshal(answer.Data, &data); err != nil {
					return data, fmt.Errorf("the answer is not as expected: %w", err)
				}
			}
			if len(answer.Errors) == 0 {
				return data, nil
			}
			err = answer.Errors
		}
		if wait, ok := throttled(err); ok && ctx.Err() == nil && wait <= longestWait {
			if !sleep(ctx, wait+rand.N(firstPause)) {
				return data, err
			}
			try--
			continue
		}
		if !again || try == tries || !passing(err) || ctx.Err() != nil {
			return data, err
		}
		pause := firstPause << (try - 1)
		if !sleep(ctx, pause/2+rand.N(pause)) {
			return data, err
		}
		data = *new(T)
	}
}

// sleep waits, and tells whether ctx let it.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

type request struct {
	Query     string `json:"query"`
	Variables any    `json:"variables,omitempty"`
}

type response struct {
	Data   json.RawMessage `json:"data"`
	Errors Errors          `json:"errors"`
}

// send sends a request once.
func (c *Client) send(ctx context.Context, body []byte) (response, error) {
	var answer response
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return answer, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/graphql-response+json, application/json")
	token, err := c.session.token(ctx, c)
	if err != nil {
		return answer, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return answer, &lost{err}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, largest))
	if err != nil {
		return answer, &lost{err}
	}
	if json.Unmarshal(text, &answer) != nil || answer.Data == nil && len(answer.Errors) == 0 {
		err := fmt.Errorf("%s answers %s", c.url, res.Status)
		if res.StatusCode >= 500 {
			return answer, &lost{err}
		}
		return answer, err
	}
	return answer, nil
}

// lost is the error of a request that got no answer from the graph; whether it was carried out nobody knows.
type lost struct{ error }

func (l *lost) Unwrap() error { return l.error }

// How codes end of what is likely to be over soon.
var passingCodes = []string{"UNAVAILABLE", "BUSY", "DOWN", "SLOW", "TIMEOUT", "CONTENDED", "UNREADABLE"}

// passing tells whether an error may be gone the next time.
func passing(err error) bool {
	var l *lost
	return errors.As(err, &l) || slices.ContainsFunc(passingCodes, func(end string) bool { return strings.HasSuffix(Code(err), end) })
}

// repeatable tells whether a request may be sent again without doing anything twice.
func repeatable(query string, body []byte) bool {
	return !strings.HasPrefix(afterComments(query), "mutation") || bytes.Contains(body, []byte(`"idempotencyKey":"`))
}

func afterComments(query string) string {
	for {
		query = strings.TrimLeft(query, " \t\r\n,\ufeff")
		if !strings.HasPrefix(query, "#") {
			return query
		}
		_, query, _ = strings.Cut(query, "\n")
	}
}
