package once

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/souk-shop/souk/clients/redis"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/redistest"
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func connect(t testing.TB, s *redistest.Server) *Redis {
	t.Helper()
	conn, err := redis.Open(s.URL, redistest.Patience, clock.System, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return NewRedis(conn, clock.System)
}

// Every Store behaves so. The pair are two processes that share one, or one twice.
func TestStores(t *testing.T) {
	stores := map[string]func(t *testing.T) [2]Store{
		"memory": func(*testing.T) [2]Store { m := NewMemory(clock.System); return [2]Store{m, m} },
		"Redis": func(t *testing.T) [2]Store {
			s := redistest.New(t)
			s.Start(t)
			return [2]Store{connect(t, s), connect(t, s)}
		},
		"Redis that is away": func(t *testing.T) [2]Store {
			alone := connect(t, redistest.New(t))
			return [2]Store{alone, alone}
		},
	}
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := open(t)
			claim := func(t *testing.T, s Store, name, value string, ttl time.Duration) string {
				t.Helper()
				holder, err := s.Claim(t.Context(), name, value, ttl)
				if err != nil {
					t.Fatal(err)
				}
				return holder
			}
			t.Run("the first wins, and may ask again", func(t *testing.T) {
				for i, value := range []string{"ann", "bob", "ann", "cem"} {
					if holder := claim(t, pair[i%2], "nonce", value, time.Hour); holder != "ann" {
						t.Errorf("%s was told %q", value, holder)
					}
				}
				if holder := claim(t, pair[0], "another", "bob", time.Hour); holder != "bob" {
					t.Errorf("another name: %q", holder)
				}
			})
			t.Run("until its time is up", func(t *testing.T) {
				claim(t, pair[0], "brief", "ann", 20*time.Millisecond)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				for claim(t, pair[0], "brief", "bob", time.Hour) != "bob" {
					select {
					case <-ctx.Done():
						t.Fatal("it never comes free")
					case <-time.After(time.Millisecond):
					}
				}
				if holder := claim(t, pair[1], "brief", "ann", time.Hour); holder != "bob" {
					t.Errorf("%q", holder)
				}
			})
			t.Run("names of any length and kind", func(t *testing.T) {
				for _, name := range []string{"", "\x00", string(make([]byte, 1<<20)), "a\r\nb", "ü"} {
					if holder := claim(t, pair[0], name, "ann "+name[:min(8, len(name))], time.Hour); claim(t, pair[1], name, "bob", time.Hour) != holder {
						t.Errorf("%.8q", name)
					}
				}
			})
			t.Run("for no time", func(t *testing.T) {
				if holder, err := pair[0].Claim(t.Context(), "zero", "ann", 0); err == nil {
					t.Errorf("%q", holder)
				}
			})
			t.Run("many at once", func(t *testing.T) {
				for round := range 20 {
					var all sync.WaitGroup
					var winners atomic.Int64
					holders := [16]string{}
					for i := range 16 {
						all.Go(func() {
							me := fmt.Sprint("claimant ", i)
							holder, err := pair[i%2].Claim(t.Context(), fmt.Sprint("race ", round), me, time.Hour)
							if err != nil {
								t.Error(err)
							}
							if holders[i] = holder; holder == me {
								winners.Add(1)
							}
						})
					}
					all.Wait()
					for _, holder := range holders {
						if holder != holders[0] || winners.Load() != 1 {
							t.Fatalf("%d winners: %v", winners.Load(), holders)
						}
					}
				}
			})
		})
	}
}

// Memory is bounded: what is new is refused rather than what is known forgotten, until something has run out.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	at := clock.Hold(noon)
	m := NewMemory(at)
	m.crowd = 128
	given, full := []string{}, 0
	for i := range 3 * shards * m.crowd {
		name := fmt.Sprint(i)
		if _, err := m.Claim(t.Context(), name, "ann", time.Minute); errors.Is(err, ErrFull) {
			full++
		} else if err != nil {
			t.Fatal(err)
		} else {
			given = append(given, name)
		}
	}
	if len(given) != shards*m.crowd || full != 2*len(given) {
		t.Errorf("%d given, %d refused", len(given), full)
	}
	for _, name := range given {
		if holder, err := m.Claim(t.Context(), name, "bob", time.Minute); err != nil || holder != "ann" {
			t.Fatalf("%s was forgotten: %q %v", name, holder, err)
		}
	}
	at.Advance(time.Minute)
	for i := range shards * m.crowd / 2 {
		if _, err := m.Claim(t.Context(), fmt.Sprint("later ", i), "bob", time.Minute); err != nil {
			t.Fatal(err)
		}
	}
}

// What a process was told stays so while Redis is away, and after it came back knowing nothing.
func TestRedisGoesAndComesBackEmpty(t *testing.T) {
	t.Parallel()
	s := redistest.New(t)
	s.Start(t)
	here, there := connect(t, s), connect(t, s)
	expect := func(r *Redis, name, value, want string) {
		t.Helper()
		if holder, err := r.Claim(t.Context(), name, value, time.Hour); err != nil || holder != want {
			t.Errorf("%s for %s: %q %v", name, value, holder, err)
		}
	}
	expect(here, "nonce", "ann", "ann")
	expect(there, "nonce", "bob", "ann")
	expect(here, "unseen there", "ann", "ann")
	s.Kill()
	expect(here, "nonce", "bob", "ann")
	expect(here, "alone", "ann", "ann")
	expect(here, "alone", "bob", "ann")
	expect(there, "alone", "bob", "bob") // once in each process, as promised
	s.Start(t)
	await(t, here.conn.There)
	await(t, there.conn.There)
	expect(here, "nonce", "bob", "ann")
	expect(there, "alone", "ann", "bob")
	expect(here, "after", "ann", "ann")
	expect(there, "after", "bob", "ann")
}

// Claims leave Redis by themselves.
func TestClaimsRunOut(t *testing.T) {
	t.Parallel()
	s := redistest.New(t)
	s.Start(t)
	r := connect(t, s)
	if _, err := r.Claim(t.Context(), "nonce", "ann", time.Hour); err != nil {
		t.Fatal(err)
	}
	k := keyOf("nonce")
	err := r.conn.Ask(t.Context(), func(ctx context.Context, client rueidis.Client) error {
		ms, err := client.Do(ctx, client.B().Pttl().Key(prefix+string(k[:])).Build()).AsInt64()
		if left := time.Duration(ms) * time.Millisecond; left.Round(time.Minute) != time.Hour {
			t.Errorf("goes after %v", left)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

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
