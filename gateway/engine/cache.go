package engine

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"sync/atomic"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"
)

type digest [sha256.Size]byte

// digestOf tells texts apart even when somebody tries to make two alike. Lengths keep neighbours from flowing together.
func digestOf(parts ...string) digest {
	h := sha256.New()
	var size [8]byte
	for _, p := range parts {
		for i, n := 0, len(p); i < len(size); i++ {
			size[i] = byte(n >> (8 * i))
		}
		h.Write(size[:])
		h.Write([]byte(p))
	}
	return digest(h.Sum(nil))
}

// largestCache is about how many bytes one cache may hold. Documents are as large as clients make them, so their number
// alone bounds nothing.
const largestCache = 64 << 20

// A cache holds the most recently used results of some work, bounded in number and in bytes, and does the same work once
// when many ask for it at once.
type cache[V interface{ bytes() int }] struct {
	entries      *lru.Cache[digest, V]
	held         atomic.Int64 // bytes
	working      singleflight.Group
	log          *slog.Logger
	hits, misses prometheus.Counter
}

func newCache[V interface{ bytes() int }](size int, lookups *prometheus.CounterVec, log *slog.Logger, name string) (*cache[V], error) {
	c := &cache[V]{log: log, hits: lookups.WithLabelValues(name, "hit"), misses: lookups.WithLabelValues(name, "miss")}
	var err error
	c.entries, err = lru.NewWithEvict(size, func(_ digest, v V) { c.held.Add(-int64(v.bytes())) })
	return c, err
}

func (c *cache[V]) add(key digest, v V) {
	c.held.Add(int64(v.bytes()))
	c.entries.Add(key, v)
	for c.held.Load() > largestCache {
		if _, _, any := c.entries.RemoveOldest(); !any {
			return
		}
	}
}

// get returns what work made for the key, earlier or now. Failures are not kept. A caller that gives up does not stop the
// work, since others may be waiting for it.
func (c *cache[V]) get(ctx context.Context, key digest, work func() (V, error)) (V, error) {
	if v, ok := c.entries.Get(key); ok {
		c.hits.Inc()
		return v, nil
	}
	c.misses.Inc()
	done := c.working.DoChan(string(key[:]), func() (any, error) {
		if v, ok := c.entries.Get(key); ok {
			return v, nil
		}
		v, err := contained(c.log, work)
		if err == nil {
			c.add(key, v)
		}
		return v, err
	})
	select {
	case <-ctx.Done():
		var none V
		return none, ctx.Err()
	case r := <-done:
		v, _ := r.Val.(V)
		return v, r.Err
	}
}
