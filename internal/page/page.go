// Package page reads and writes the cursors of Relay connections.
package page

import (
	"encoding/base64"
	"encoding/json"

	"github.com/souk-shop/souk/internal/fault"
)

// Info is what a connection says about the page it returns.
type Info struct {
	HasNextPage     bool
	HasPreviousPage bool
	StartCursor     *string
	EndCursor       *string
}

// The refusals of a page's arguments.
var (
	ErrCursor = fault.New(fault.Invalid, "INVALID_CURSOR", "this cursor was not made by this list").At("after")
	ErrFirst  = fault.New(fault.Invalid, "INVALID_FIRST", "first must be from 1 to 250").At("first")
)

// Most is how many items one page may hold.
const Most = 250

// Size checks the argument first, or returns what is usual without one.
func Size(first *int, usual int) (int, error) {
	if first == nil {
		return usual, nil
	}
	if *first < 1 || *first > Most {
		return 0, ErrFirst
	}
	return *first, nil
}

// Encode makes an opaque cursor of the sort key of an item.
func Encode(key any) string {
	b, err := json.Marshal(key)
	if err != nil {
		panic(err) // a sort key is made of strings, numbers and times
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// Decode reads a cursor into key; a nil cursor leaves key as it is.
func Decode(cursor *string, key any) error {
	if cursor == nil {
		return nil
	}
	b, err := base64.RawURLEncoding.DecodeString(*cursor)
	if err != nil || json.Unmarshal(b, key) != nil {
		return ErrCursor
	}
	return nil
}

// Cut trims rows, read one longer than the page, to the page, and says what is before and after it.
func Cut[T any](rows []T, first int, after *string, cursor func(T) string) ([]T, Info) {
	info := Info{HasPreviousPage: after != nil}
	if len(rows) > first {
		rows, info.HasNextPage = rows[:first], true
	}
	if len(rows) > 0 {
		start, end := cursor(rows[0]), cursor(rows[len(rows)-1])
		info.StartCursor, info.EndCursor = &start, &end
	}
	return rows, info
}
