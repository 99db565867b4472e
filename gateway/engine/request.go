package engine

import (
	"encoding/json"
	"strings"

	"github.com/wundergraph/graphql-go-tools/v2/pkg/ast"
)

// Request is one GraphQL request, as a transport decoded it.
type Request struct {
	Query         string          `json:"query"`
	DocumentID    string          `json:"documentId"` // of a document that the server knows, in place of Query
	OperationName string          `json:"operationName"`
	Variables     json.RawMessage `json:"variables"`
	Extensions    json.RawMessage `json:"extensions"`
}

// Kind is what an operation does.
type Kind int

// The kinds of operations.
const (
	Query Kind = iota
	Mutation
	Subscription
)

func (k Kind) String() string { return [...]string{"query", "mutation", "subscription"}[k] }

func kindOf(t ast.OperationType) Kind {
	switch t {
	case ast.OperationTypeMutation:
		return Mutation
	case ast.OperationTypeSubscription:
		return Subscription
	}
	return Query
}

// The codes under extensions.code of errors that the gateway itself raises.
const (
	CodeParse           = "GRAPHQL_PARSE_FAILED"
	CodeValidation      = "GRAPHQL_VALIDATION_FAILED"
	CodeInput           = "BAD_USER_INPUT"
	CodeTooLarge        = "OPERATION_TOO_LARGE"
	CodeUnauthenticated = "UNAUTHENTICATED"
	CodeForbidden       = "FORBIDDEN"
	CodeSubgraph        = "SUBGRAPH_UNAVAILABLE"
	CodeSubgraphError   = "SUBGRAPH_ERROR"   // a subgraph reported an error and gave it no code
	CodeUnexpectedNull  = "UNEXPECTED_NULL"  // nothing where the schema promises something
	CodeUnexpectedValue = "UNEXPECTED_VALUE" // a value that does not fit the schema
	CodeTooManyErrors   = "TOO_MANY_ERRORS"  // stands for those that are not shown
	CodeTooComplex      = "OPERATION_TOO_COMPLEX"
	CodeThrottled       = "THROTTLED" // the caller's budget is spent
	CodeInternal        = "INTERNAL"
)

// Location is a place in a document; both numbers begin with 1.
type Location struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

// Error is one entry of a response's errors list.
type Error struct {
	Message    string         `json:"message"`
	Locations  []Location     `json:"locations,omitempty"`
	Path       []any          `json:"path,omitempty"`
	Extensions map[string]any `json:"extensions,omitempty"`
}

// Code returns extensions.code.
func (e Error) Code() string {
	c, _ := e.Extensions["code"].(string)
	return c
}

// Errors is a GraphQL errors list, printable as JSON; every entry has extensions.code.
type Errors []Error

func (es Errors) Error() string {
	messages := make([]string, len(es))
	for i, e := range es {
		messages[i] = e.Message
	}
	return strings.Join(messages, "; ")
}

func failure(code, message string) Errors {
	return Errors{{Message: message, Extensions: map[string]any{"code": code}}}
}

func internal() Errors { return failure(CodeInternal, "something went wrong on our side") }
