// Package fault names the few ways a request can go wrong, by what the caller can do about it.
package fault

import (
	"errors"
	"fmt"
)

// A Kind is what the caller can do about an error.
type Kind string

const (
	Invalid         Kind = "INVALID"         // fix the input
	NotFound        Kind = "NOT_FOUND"       // ask for something else
	Conflict        Kind = "CONFLICT"        // look again, then retry
	Unauthenticated Kind = "UNAUTHENTICATED" // sign in
	Forbidden       Kind = "FORBIDDEN"       // ask someone who may
	Unavailable     Kind = "UNAVAILABLE"     // retry later
	Internal        Kind = "INTERNAL"        // nothing; we have been told
)

// An Error is safe to show to a customer. It travels over the bus as JSON.
type Error struct {
	Kind    Kind     `json:"kind"`
	Code    string   `json:"code"`            // stable, for programs
	Message string   `json:"message"`         // for people
	Field   []string `json:"field,omitempty"` // path of the input to blame
}

// New makes an error of a kind; code is stable and upper case, message is for people.
func New(k Kind, code, message string) *Error {
	return &Error{Kind: k, Code: code, Message: message}
}

// At says which input field is to blame.
func (e *Error) At(field ...string) *Error {
	at := *e
	at.Field = field
	return &at
}

// Says replaces the message with one that knows the details.
func (e *Error) Says(format string, args ...any) *Error {
	said := *e
	said.Message = fmt.Sprintf(format, args...)
	return &said
}

// Error returns the message for people.
func (e *Error) Error() string { return e.Message }

// Is makes errors.Is match on the code, whatever the message and field say.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Kind == e.Kind && t.Code == e.Code
}

// ForUser returns the error when the customer can do something about it by other input:
// such errors are listed under userErrors, all others are top-level errors.
func ForUser(err error) (*Error, bool) {
	var e *Error
	if !errors.As(err, &e) {
		return nil, false
	}
	switch e.Kind {
	case Invalid, NotFound, Conflict:
		return e, true
	}
	return nil, false
}

// KindOf returns the kind of err, Internal for what nobody named.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}
