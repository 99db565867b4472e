package engine

import (
	"context"
	"crypto/sha256"

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

// A cache holds the most recently used results of some work, and does the same work once when many ask for it at once.
type cache[V any] struct {
	entries      *lru.Cache[digest, V]
	working      singleflight.Group
	hits, misses prometheus.Counter
}

func newCache[V any](size int, lookups *prometheus.CounterVec, name string) (*cache[V], error) {
	entries, err := lru.New[digest, V](size)
	if err != nil {
		return nil, err
	}
	return &cache[V]{entries: entries, hits: lookups.WithLabelValues(name, "hit"), misses: lookups.WithLabelValues(name, "miss")}, nil
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
		v, err := contained(work)
		if err == nil {
			c.entries.Add(key, v)
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
