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
	Subject    string
	Body       []byte // JSON
	Repeatable bool   // may be sent again when no answer came
}

// A Call is a question that one subgraph answers: declared once, in package events, used by both sides.
type Call[Req, Rep any] struct {
	subject    string
	repeatable bool
}

// New declares a call. Its subject is call.SUBGRAPH.VERB: outside souk.>, whose every message the event stream keeps.
func New[Req, Rep any](subject string) Call[Req, Rep] {
	if parts := strings.Split(subject, "."); len(parts) != 3 || parts[0] != "call" || parts[1] == "" || parts[2] == "" {
		panic(fmt.Sprintf("the subject of a call is call.SUBGRAPH.VERB, not %q", subject))
	}
	return Call[Req, Rep]{subject: subject}
}

// Repeatable declares that answering twice does no more than answering once, so that a lost call may be sent again.
func (c Call[Req, Rep]) Repeatable() Call[Req, Rep] {
	c.repeatable = true
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
	answer, err := by.Carry(ctx, Request{Subject: c.subject, Body: body, Repeatable: c.repeatable})
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

// Down returns ErrDown, naming the subgraph.
func Down(subject string) error {
	parts := strings.SplitN(subject, ".", 3)
	return ErrDown.Says("%s does not answer right now", parts[min(1, len(parts)-1)])
}
