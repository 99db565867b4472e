// Package call declares a call from one subgraph to another: its subject on the bus and the shape of question and answer.
// It knows no transport, so contracts can be read and domain code can name them without one.
package call

// A Call is a question that one subgraph answers for the others.
type Call[Req, Rep any] struct {
	Subject string
	// Repeatable tells that asking twice is the same as asking once, so that a lost answer may be asked for again.
	// A question that changes something is repeatable when it carries an idempotency key.
	Repeatable bool
}

// New declares a call that may be repeated. All calls between subgraphs should be of this kind.
func New[Req, Rep any](subject string) Call[Req, Rep] {
	return Call[Req, Rep]{Subject: subject, Repeatable: true}
}
