package rate

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/redis/rueidis"

	"github.com/souk-shop/souk/clients/redis"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/redistest"
)

func connect(t testing.TB, s *redistest.Server, c clock.Clock, log *slog.Logger) *Redis {
	t.Helper()
	conn, err := redis.Open(s.URL, redistest.Patience, c, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	r, err := NewRedis(conn, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// hours make a bucket whose points do not come back during a test.
func hours(key string, take, room int) []Charge {
	return []Charge{{Key: key, Take: time.Duration(take) * time.Hour, Room: time.Duration(room) * time.Hour}}
}

func decidedAlone(t *testing.T, r *Redis) float64 {
	t.Helper()
	var m dto.Metric
	if err := r.alone.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

var silent = slog.New(slog.DiscardHandler)

func TestTwoGatewaysShareOneBudget(t *testing.T) {
	s := redistest.New(t)
	s.Start(t)
	gateways := []*Redis{connect(t, s, clock.System, silent), connect(t, s, clock.System, silent)}
	var taken atomic.Int64
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for range 100 {
				if _, ok := gateways[i%2].Take(t.Context(), hours("account:ann", 1, 500)); ok {
					taken.Add(1)
				}
			}
		})
	}
	all.Wait()
	if n := taken.Load(); n != 500 {
		t.Errorf("%d of 500 were taken", n)
	}
	for i, g := range gateways {
		if n := decidedAlone(t, g); n != 0 {
			t.Errorf("gateway %d decided %v times alone", i, n)
		}
		levels, ok := g.Take(t.Context(), hours("account:bob", 1, 2))
		if !ok || levels[0].Round(time.Minute) != time.Duration(i+1)*time.Hour {
			t.Errorf("gateway %d: %v %v", i, levels, ok)
		}
	}
}

// Both buckets of a charge are poured into, or neither is; a bucket is forgotten once it has drained.
func TestRedisTakesAllOrNothing(t *testing.T) {
	s := redistest.New(t)
	s.Start(t)
	r, other := connect(t, s, clock.System, silent), connect(t, s, clock.System, silent)
	both := append(hours("account:ann", 1, 1), hours("address:here", 1, 5)...)
	if _, ok := r.Take(t.Context(), both); !ok {
		t.Fatal("refused")
	}
	levels, ok := other.Take(t.Context(), both)
	if ok || levels[0].Round(time.Minute) != time.Hour || levels[1].Round(time.Minute) != time.Hour {
		t.Errorf("%v %v", levels, ok)
	}
	for _, key := range []string{"account:ann", "address:here"} {
		var ms int64
		err := r.conn.Ask(t.Context(), func(ctx context.Context, client rueidis.Client) (err error) {
			ms, err = client.Do(ctx, client.B().Pttl().Key(prefix+key).Build()).AsInt64()
			return err
		})
		if left := time.Duration(ms) * time.Millisecond; err != nil || left.Round(time.Minute) != time.Hour {
			t.Errorf("%s goes after %v (%v)", key, left, err)
		}
	}
}

// What was done already is charged as far as there is room, by either store in the same way.
func TestMostOfIt(t *testing.T) {
	s := redistest.New(t)
	s.Start(t)
	for name, store := range map[string]Store{"Redis": connect(t, s, clock.System, silent), "memory": NewMemory(clock.Hold(noon))} {
		charges := append(hours("account:ann", 4, 5), hours("address:here", 4, 10)...)
		charges[0].Most, charges[1].Most = true, true
		for i, want := range [][2]time.Duration{{4, 4}, {5, 8}, {5, 10}, {5, 10}} {
			levels, ok := store.Take(t.Context(), charges)
			if !ok || levels[0].Round(time.Minute) != want[0]*time.Hour || levels[1].Round(time.Minute) != want[1]*time.Hour {
				t.Errorf("%s, %d: %v %v", name, i, levels, ok)
			}
		}
	}
}

// While Redis is away nobody is refused for that, what is known stays known, and one line a minute says so.
func TestRedisGoesAndComesBack(t *testing.T) {
	s := redistest.New(t)
	var lines bytes.Buffer
	var mu sync.Mutex
	held := clock.Hold(noon)
	r := connect(t, s, held, slog.New(slog.NewTextHandler(&locked{&lines, &mu}, nil)))
	said := func() int {
		mu.Lock()
		defer mu.Unlock()
		return strings.Count(lines.String(), "each process decides alone")
	}
	for i := range 3 {
		if _, ok := r.Take(t.Context(), hours("early", 1, 3)); !ok {
			t.Fatalf("refused at %d, before Redis was there", i)
		}
	}
	if _, ok := r.Take(t.Context(), hours("early", 1, 3)); ok {
		t.Error("alone, a gateway knows no bounds")
	}
	if n := decidedAlone(t, r); n != 3 {
		t.Errorf("%v decisions alone", n)
	}
	if n := said(); n != 1 {
		t.Errorf("%d lines within a minute", n)
	}

	s.Start(t)
	await(t, r.conn.There)
	if _, ok := r.Take(t.Context(), hours("late", 2, 3)); !ok {
		t.Error("refused")
	}
	if n := decidedAlone(t, r); n != 3 {
		t.Errorf("%v decisions alone", n)
	}

	s.Kill()
	held.Advance(time.Minute)
	if _, ok := r.Take(t.Context(), hours("late", 2, 3)); ok {
		t.Error("what Redis had answered was forgotten")
	}
	if _, ok := r.Take(t.Context(), hours("late", 1, 3)); !ok {
		t.Error("refused because Redis is away")
	}
	if n := said(); n != 2 {
		t.Errorf("%d lines after a minute", n)
	}
}

// await looks until it is so; the retry that makes it so comes within a second.
func await(t *testing.T, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !so() {
		select {
		case <-ctx.Done():
			t.Fatal("it never comes")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

type locked struct {
	buf *bytes.Buffer
	mu  *sync.Mutex
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func BenchmarkTakeOfRedis(b *testing.B) {
	s := redistest.New(b)
	s.Start(b)
	r := connect(b, s, clock.System, silent)
	b.SetParallelism(64)
	var n atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		key := fmt.Sprint("account:", n.Add(1))
		for pb.Next() {
			r.Take(context.Background(), []Charge{{Key: key, Take: time.Microsecond, Room: time.Hour}})
		}
	})
}
