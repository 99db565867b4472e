// Package once gives names away, each to the first who claims it: a solved challenge is spent once, an admission used for one thing.
//
// No invariant of the shop rests on it. It keeps scripts from using one thing many times; what a thing is used for is guarded by the
// database.
package once

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/fault"
)

// A Store remembers who claimed what. It is safe for concurrent use.
type Store interface {
	// Claim gives a name to a value for a while, unless it is another's: the first claim wins, and its value is returned to every
	// later one until the time of the first is up. Claiming again for the same value changes nothing.
	Claim(ctx context.Context, name, value string, ttl time.Duration) (holder string, err error)
}

// The errors of a Store.
var (
	// ErrFull refuses a name that is new while there is no room: to forget another would give it away twice.
	ErrFull = fault.New(fault.Unavailable, "UNAVAILABLE", "too much is going on; try again in a moment")
	errTTL  = errors.New("once: a claim for no time")
)

const (
	shards = 64
	crowd  = 16_384 // names of one shard; about a million in all
)

// Memory is a Store within this process, of a bounded number of names.
type Memory struct {
	clock  clock.Clock
	crowd  int
	shards [shards]shard
}

// A shard is a part of the names under one lock.
type shard struct {
	sync.Mutex
	claims  map[key]claim
	sweepAt int // claims
}

// A key stands for a name, however long that is.
type key [16]byte

type claim struct {
	value string
	until time.Time
}

// NewMemory returns an empty Memory.
func NewMemory(c clock.Clock) *Memory {
	m := &Memory{clock: c, crowd: crowd}
	for i := range m.shards {
		m.shards[i] = shard{claims: map[key]claim{}, sweepAt: 64}
	}
	return m
}

// Claim is Store's. The error is ErrFull, or about a time that is none.
func (m *Memory) Claim(_ context.Context, name, value string, ttl time.Duration) (string, error) {
	if ttl <= 0 {
		return "", errTTL
	}
	k := keyOf(name)
	s := &m.shards[binary.BigEndian.Uint64(k[:])%shards]
	s.Lock()
	defer s.Unlock()
	now := m.clock.Now()
	if c, ok := s.claims[k]; ok && now.Before(c.until) {
		return c.value, nil
	}
	if len(s.claims) >= s.sweepAt {
		s.sweep(now)
		s.sweepAt = min(max(64, 2*len(s.claims)), m.crowd)
	}
	if len(s.claims) >= m.crowd {
		return "", ErrFull
	}
	s.claims[k] = claim{value, now.Add(ttl)}
	return value, nil
}

// holder returns to whom a name is given, as far as this process knows.
func (m *Memory) holder(name string) (string, bool) {
	k := keyOf(name)
	s := &m.shards[binary.BigEndian.Uint64(k[:])%shards]
	s.Lock()
	defer s.Unlock()
	c, ok := s.claims[k]
	return c.value, ok && m.clock.Now().Before(c.until)
}

func keyOf(name string) key {
	sum := sha256.Sum256([]byte(name))
	return key(sum[:16])
}

// sweep forgets what has run out.
func (s *shard) sweep(now time.Time) {
	for k, c := range s.claims {
		if !now.Before(c.until) {
			delete(s.claims, k)
		}
	}
}
