package id

import (
	"crypto/rand"

	"github.com/oklog/ulid/v2"
)

// RangeSize is how many ids there are in a range.
const RangeSize = 32 * 32

const (
	letters   = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	tailChars = 2
)

var tails = func() (all [RangeSize]string) {
	for n := range all {
		all[n] = string([]byte{letters[n/32], letters[n%32]})
	}
	return all
}()

// Range returns what the ids of things that are made together begin with: Range and Tail(n) is the id of the n-th. With 70 random
// bits in every millisecond no two ranges are the same, also of different machines.
func Range(p Prefix) string {
	// Not ulid.Make: what that makes in one millisecond differs in the last bits, which a range leaves out.
	u := ulid.MustNew(ulid.Now(), rand.Reader).String()
	return string(p) + "_" + u[:len(u)-tailChars]
}

// Tail returns what the n-th id of a range ends with, from 0.
func Tail(n int) string { return tails[n] }

// Split returns the range that an id is of, and the tail. What is too short to be an id is a tail.
func Split(s string) (of, tail string) {
	n := max(len(s)-tailChars, 0)
	return s[:n], s[n:]
}
