// Package events is the contract between subgraphs that nobody queries: what they tell each other over NATS.
//
// Events say what has become true, in the past tense, with absolute values and a version that rises, so that a
// consumer may see one twice or late and still end up right. They are saved in the transaction that makes them true and delivered
// at least once. Calls are questions that one subgraph answers for the others; each may be repeated.
//
// Fields are only ever added. A consumer ignores what it does not know.
package events

import "time"

// Stream is the JetStream stream that holds every event.
const Stream = "SOUK"

// Subjects is what the stream holds.
const Subjects = "souk.event.>"

// An At is embedded in every event.
type At struct {
	At time.Time `json:"at"` // when it became true
}
