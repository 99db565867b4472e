package engine

import "encoding/json"

// Plan describes how the operation is answered.
func (op *Operation) Plan() json.RawMessage { return nil }

// Fetches returns how many requests to subgraphs the plan has.
func (op *Operation) Fetches() int { return 0 }

// Hops returns the length of the longest chain of fetches that wait for each other.
func (op *Operation) Hops() int { return 0 }
