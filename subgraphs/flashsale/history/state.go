package history

import (
	"slices"

	"github.com/souk-shop/souk/subgraphs/flashsale"
)

// A mark is how one booking stands: its status, and which of the orders that tried to pay for it does. Zero is no booking yet.
type mark uint16

const statusBits = 3

var statuses = []flashsale.BookingStatus{"", flashsale.Held, flashsale.Booked, flashsale.Released, flashsale.Expired, flashsale.Undone}

func markOf(s flashsale.BookingStatus, order mark) mark {
	return mark(slices.Index(statuses, s)) | order<<statusBits
}

func (m mark) status() flashsale.BookingStatus { return statuses[m&(1<<statusBits-1)] }
func (m mark) order() mark                     { return m >> statusBits }
func (m mark) sold() bool                      { return m.status() == flashsale.Booked || m.status() == flashsale.Undone } // if only for a while
func (m mark) counts() bool                    { return m.status() == flashsale.Held || m.status() == flashsale.Booked }

const chunk = 32

// A state is a sale between two steps. It never changes: with returns another, which shares what is the same. States that are
// equal have the same hash, kept as they are made.
type state struct {
	marks []*[chunk]mark
	units []units // by variant
	hash  uint64
	moved int // how many lines of the log have come true, where it is followed; the marks say so too
}

type units struct{ remaining, held, sold int32 }

func (s *state) at(slot int) mark { return s.marks[slot/chunk][slot%chunk] }

func (s *state) with(slot, variant int, m mark) *state {
	was := s.at(slot)
	next := &state{marks: slices.Clone(s.marks), units: slices.Clone(s.units), hash: s.hash ^ mix(slot, was) ^ mix(slot, m), moved: s.moved}
	part := *s.marks[slot/chunk]
	part[slot%chunk] = m
	next.marks[slot/chunk] = &part
	next.units[variant].count(was, -1)
	next.units[variant].count(m, 1)
	return next
}

func (u *units) count(m mark, n int32) {
	switch m.status() {
	case flashsale.Held:
		u.held, u.remaining = u.held+n, u.remaining-n
	case flashsale.Booked:
		u.sold, u.remaining = u.sold+n, u.remaining-n
	}
}

func (s *state) equal(o *state) bool {
	if s.hash != o.hash {
		return false
	}
	for i, part := range s.marks {
		if part != o.marks[i] && *part != *o.marks[i] {
			return false
		}
	}
	return true // the units follow from the marks
}

// mix spreads a mark in its slot over 64 bits (splitmix64).
func mix(slot int, m mark) uint64 {
	if m == 0 {
		return 0
	}
	x := uint64(slot)<<16 | uint64(m)
	x = (x + 0x9e3779b97f4a7c15) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
