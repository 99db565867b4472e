package souk

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Errors is what the graph says went wrong beside the data.
type Errors []Error

// An Error is one of them.
type Error struct {
	Message    string `json:"message"`
	Path       []any  `json:"path"`
	Extensions struct {
		Code       string `json:"code"`
		RetryAfter int    `json:"retryAfter"` // seconds, of a THROTTLED request
	} `json:"extensions"`
}

// Code returns the error's stable name.
func (e Error) Code() string { return e.Extensions.Code }

// Error tells what went wrong, and where.
func (e Error) Error() string {
	text := e.Message
	if e.Code() != "" {
		text = e.Code() + ": " + text
	}
	if len(e.Path) > 0 {
		text += " at " + strings.ReplaceAll(strings.Trim(fmt.Sprint(e.Path), "[]"), " ", ".")
	}
	return text
}

// Error joins all that went wrong.
func (es Errors) Error() string {
	said := make([]string, len(es))
	for i, e := range es {
		said[i] = e.Error()
	}
	return strings.Join(said, "; ")
}

// Code returns the code of the first error that the graph gave, "" when it gave none.
func Code(err error) string {
	var refusal UserErrors
	if errors.As(err, &refusal) && len(refusal) > 0 {
		return refusal[0].Code
	}
	var es Errors
	if errors.As(err, &es) && len(es) > 0 {
		return es[0].Code()
	}
	return ""
}

// throttled tells how long to wait with a request that was refused before anything of it ran, because the budget was spent.
func throttled(err error) (time.Duration, bool) {
	var es Errors
	if !errors.As(err, &es) || len(es) == 0 || es[0].Code() != "THROTTLED" || len(es[0].Path) > 0 {
		return 0, false
	}
	return time.Duration(es[0].Extensions.RetryAfter) * time.Second, true
}

// UserErrors is how a mutation was refused; part of every mutation's payload.
type UserErrors []UserError

// A UserError is one reason.
type UserError struct {
	Code    string   `json:"code"`
	Message string   `json:"message"`
	Field   []string `json:"field"`
}

// Err returns the refusal as an error, or nil when there is none.
func (us UserErrors) Err() error {
	if len(us) == 0 {
		return nil
	}
	return us
}

// Error joins the reasons.
func (us UserErrors) Error() string {
	said := make([]string, len(us))
	for i, u := range us {
		said[i] = u.Error()
	}
	return strings.Join(said, "; ")
}

// Error tells a reason, and which field is to blame.
func (u UserError) Error() string {
	text := u.Code + ": " + u.Message
	if len(u.Field) > 0 {
		text += " (" + strings.Join(u.Field, ".") + ")"
	}
	return text
}
