// Package call declares what one subgraph may ask of another: a subject, a request and a reply, without saying how it
// travels. Package bus carries calls over NATS.
package call

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/souk-shop/souk/internal/fault"
)

// A Carrier takes a request to whoever answers its subject. Errors of the answering side arrive as *fault.Error.
type Carrier interface {
	Carry(ctx context.Context, r Request) ([]byte, error)
}

// A Request is one call on its way.
type Request struct {
	Subject string
	Body    []byte // JSON
	Once    bool   // must not be sent again, even when no answer came
}

// A Call is a question that one subgraph answers: declared once, in package events, used by both sides.
type Call[Req, Rep any] struct {
	subject string
	once    bool
}

// New declares a call that may be repeated: answering twice does no more than answering once. Its subject is
// souk.call.SUBGRAPH.VERB.
func New[Req, Rep any](subject string) Call[Req, Rep] {
	if subgraphOf(subject) == "" {
		panic(fmt.Sprintf("the subject of a call is souk.call.SUBGRAPH.VERB, not %q", subject))
	}
	return Call[Req, Rep]{subject: subject}
}

func subgraphOf(subject string) string {
	parts := strings.Split(subject, ".")
	if len(parts) != 4 || parts[0] != "souk" || parts[1] != "call" || parts[3] == "" {
		return ""
	}
	return parts[2]
}

// Once declares that the call must not be sent again by itself when its answer is lost.
func (c Call[Req, Rep]) Once() Call[Req, Rep] {
	c.once = true
	return c
}

// Subject returns where the call is answered.
func (c Call[Req, Rep]) Subject() string { return c.subject }

// Do asks and returns the answer. An error is the *fault.Error of the answering side, or Unavailable when none answered.
func (c Call[Req, Rep]) Do(ctx context.Context, by Carrier, req Req) (rep Rep, err error) {
	body, err := json.Marshal(req)
	if err != nil {
		return rep, fmt.Errorf("%s: %w", c.subject, err)
	}
	answer, err := by.Carry(ctx, Request{Subject: c.subject, Body: body, Once: c.once})
	if err != nil {
		return rep, fmt.Errorf("%s: %w", c.subject, err)
	}
	if err := json.Unmarshal(answer, &rep); err != nil {
		return rep, fmt.Errorf("%s: answer: %w", c.subject, err)
	}
	return rep, nil
}

// An Endpoint is a call with somebody to answer it.
type Endpoint struct {
	Subject string
	Answer  func(ctx context.Context, body []byte) ([]byte, error)
}

// ErrMalformed says that a request was not the JSON its call declares.
var ErrMalformed = fault.New(fault.Invalid, "MALFORMED_CALL", "the call's request could not be read")

// Handle names who answers the call.
func (c Call[Req, Rep]) Handle(answer func(context.Context, Req) (Rep, error)) Endpoint {
	return Endpoint{Subject: c.subject, Answer: func(ctx context.Context, body []byte) ([]byte, error) {
		var req Req
		if err := json.Unmarshal(body, &req); err != nil {
			return nil, ErrMalformed.Says("%s: %v", c.subject, err)
		}
		rep, err := answer(ctx, req)
		if err != nil {
			return nil, err
		}
		return json.Marshal(rep)
	}}
}

// Local carries calls to endpoints in the same process, encoded and decoded as over the wire: for tests of a caller.
func Local(endpoints ...Endpoint) Carrier {
	local := make(local, len(endpoints))
	for _, e := range endpoints {
		local[e.Subject] = e
	}
	return local
}

type local map[string]Endpoint

func (l local) Carry(ctx context.Context, r Request) ([]byte, error) {
	e, ok := l[r.Subject]
	if !ok {
		return nil, Down(r.Subject)
	}
	return e.Answer(ctx, r.Body)
}

// ErrDown says that no replica of the subgraph answers; match it with errors.Is.
var ErrDown = fault.New(fault.Unavailable, "SERVICE_DOWN", "a part of the shop does not answer")

// Down returns ErrDown, naming the subgraph that the subject belongs to.
func Down(subject string) error {
	return ErrDown.Says("%s does not answer right now", subgraphOf(subject))
}
