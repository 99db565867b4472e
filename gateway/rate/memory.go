package rate

import (
	"context"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/souk-shop/souk/internal/clock"
)

const (
	shards = 64
	crowd  = 4_096 // buckets of one shard; 262,144 in all
)

// Memory keeps buckets in this process: a bounded number, of which those that have drained are forgotten.
type Memory struct {
	clock  clock.Clock
	seed   maphash.Seed
	shards [shards]shard
}

// A shard is a part of the buckets under one lock.
type shard struct {
	sync.Mutex
	drained map[string]time.Time // when each will have
	sweepAt int                  // buckets
}

// NewMemory returns an empty Memory.
func NewMemory(c clock.Clock) *Memory {
	m := &Memory{clock: c, seed: maphash.MakeSeed()}
	for i := range m.shards {
		m.shards[i] = shard{drained: map[string]time.Time{}, sweepAt: 64}
	}
	return m
}

// Take is Store's.
func (m *Memory) Take(_ context.Context, charges []Charge) ([]time.Duration, bool) {
	return m.visit(charges, true)
}

// Peek is Store's.
func (m *Memory) Peek(charges []Charge) ([]time.Duration, bool) { return m.visit(charges, false) }

func (m *Memory) visit(charges []Charge, take bool) ([]time.Duration, bool) {
	defer m.lock(charges)()
	now := m.clock.Now()
	levels, takes, room := make([]time.Duration, len(charges)), make([]time.Duration, len(charges)), true
	for i, c := range charges {
		levels[i] = max(0, m.of(c.Key).drained[c.Key].Sub(now))
		takes[i] = c.Take
		if c.Most {
			takes[i] = max(0, min(c.Take, c.Room-levels[i]))
		}
		room = room && (c.Most || levels[i]+takes[i] <= c.Room)
	}
	if !take || !room {
		return levels, room
	}
	for i, c := range charges {
		levels[i] += takes[i]
		m.of(c.Key).put(c.Key, now.Add(levels[i]), now)
	}
	return levels, true
}

// learn takes over what somebody else knows of the buckets: they are at least so full.
func (m *Memory) learn(charges []Charge, levels []time.Duration) {
	defer m.lock(charges)()
	now := m.clock.Now()
	for i, c := range charges {
		s := m.of(c.Key)
		if at := now.Add(levels[i]); levels[i] > 0 && at.After(s.drained[c.Key]) {
			s.put(c.Key, at, now)
		}
	}
}

func (m *Memory) index(key string) int { return int(maphash.String(m.seed, key) % shards) }

func (m *Memory) of(key string) *shard { return &m.shards[m.index(key)] }

// lock locks the shards of all charges, in one order so that nobody waits for each other, and returns what unlocks them.
func (m *Memory) lock(charges []Charge) func() {
	indexes := make([]int, len(charges))
	for i, c := range charges {
		indexes[i] = m.index(c.Key)
	}
	slices.Sort(indexes)
	indexes = slices.Compact(indexes)
	for _, i := range indexes {
		m.shards[i].Lock()
	}
	return func() {
		for _, i := range indexes {
			m.shards[i].Unlock()
		}
	}
}

// put enters a bucket, forgetting drained ones when many have come since it last did, and any others when there is no room: a crowd
// of addresses may win its members a new burst, but never memory.
func (s *shard) put(key string, drained, now time.Time) {
	if _, known := s.drained[key]; !known && len(s.drained) >= s.sweepAt {
		for k, at := range s.drained {
			if !at.After(now) {
				delete(s.drained, k)
			}
		}
		for k := range s.drained {
			if len(s.drained) <= crowd*7/8 {
				break
			}
			delete(s.drained, k)
		}
		s.sweepAt = min(max(64, 2*len(s.drained)), crowd)
	}
	s.drained[key] = drained
}

// size is how many buckets are remembered.
func (m *Memory) size() int {
	n := 0
	for i := range m.shards {
		m.shards[i].Lock()
		n += len(m.shards[i].drained)
		m.shards[i].Unlock()
	}
	return n
}
