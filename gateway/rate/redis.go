package rate

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"

	"github.com/souk-shop/souk/internal/clock"
)

const (
	patience = 100 * time.Millisecond // for one decision
	retry    = time.Second            // between attempts to reach a Redis that is away
	quiet    = time.Minute            // between two lines about it

	// prefix has a hash tag: all buckets are in one slot, since one script may need two of them.
	prefix = "{souk:rate}:"
)

//go:embed take.lua
var takeText string

var takeScript = rueidis.NewLuaScript(takeText)

// Redis keeps buckets that all gateways share. What it answers is also remembered here: a bucket known to be full needs no question,
// and while Redis is away this process decides alone, from there on. Nobody is refused because Redis does not answer.
type Redis struct {
	memory  *Memory
	options rueidis.ClientOption
	log     *slog.Logger
	clock   clock.Clock
	client  atomic.Pointer[rueidis.Client] // nil while away
	lost    chan struct{}                  // somebody found it away
	alone   prometheus.Counter
	logged  atomic.Int64 // when, in nanoseconds

	stop context.CancelFunc
	gone chan struct{}
}

// OpenRedis returns a store on the Redis at a URL, whether it can be reached now or later. End it with Close.
func OpenRedis(url string, c clock.Clock, log *slog.Logger, metrics prometheus.Registerer) (*Redis, error) {
	options, err := rueidis.ParseURL(url)
	if err != nil {
		return nil, errors.New("the URL of Redis is not one: redis://:password@host:6379, rediss://… or unix:///…") // err may quote the password
	}
	options.DisableCache, options.DisableRetry = true, true
	options.Dialer.Timeout, options.ConnWriteTimeout = retry, retry
	s := &Redis{
		memory: NewMemory(c), options: options, log: log, clock: c, lost: make(chan struct{}, 1), gone: make(chan struct{}),
		alone: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "souk", Subsystem: "gateway", Name: "rate_alone_total",
			Help: "Decisions about budgets that this gateway made alone because Redis did not answer.",
		}),
	}
	if metrics != nil {
		if err := metrics.Register(s.alone); err != nil {
			return nil, err
		}
	}
	var ctx context.Context
	ctx, s.stop = context.WithCancel(context.Background())
	first := make(chan struct{})
	go s.keep(ctx, first)
	<-first
	return s, nil
}

// Close ends the connection.
func (s *Redis) Close() error {
	s.stop()
	<-s.gone
	return nil
}

// Take is Store's.
func (s *Redis) Take(ctx context.Context, charges []Charge) ([]time.Duration, bool) {
	if levels, room := s.memory.Peek(charges); !room {
		return levels, false
	}
	levels, taken, err := s.ask(ctx, charges)
	if err != nil {
		s.alone.Inc()
		s.complain(err)
		return s.memory.Take(ctx, charges)
	}
	s.memory.learn(charges, levels)
	return levels, taken
}

// Peek is Store's.
func (s *Redis) Peek(charges []Charge) ([]time.Duration, bool) { return s.memory.Peek(charges) }

var errAway = errors.New("it cannot be reached")

// ask has Redis decide. A caller who hangs up does not make it look as if Redis were away.
func (s *Redis) ask(ctx context.Context, charges []Charge) ([]time.Duration, bool, error) {
	client := s.client.Load()
	if client == nil {
		return nil, false, errAway
	}
	keys, args := make([]string, len(charges)), make([]string, 0, 3*len(charges))
	for i, c := range charges {
		keys[i] = prefix + c.Key
		most := "0"
		if c.Most {
			most = "1"
		}
		args = append(args, strconv.FormatInt(c.Take.Microseconds(), 10), strconv.FormatInt(c.Room.Microseconds(), 10), most)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	said, err := takeScript.Exec(ctx, *client, keys, args).AsIntSlice()
	if err != nil {
		if _, answered := rueidis.IsRedisErr(err); !answered {
			s.client.CompareAndSwap(client, nil)
			select {
			case s.lost <- struct{}{}:
			default:
			}
		}
		return nil, false, err
	}
	if len(said) != len(charges)+1 {
		return nil, false, fmt.Errorf("it answered %d numbers", len(said))
	}
	levels := make([]time.Duration, len(charges))
	for i, micros := range said[1:] {
		levels[i] = time.Duration(micros) * time.Microsecond
	}
	return levels, said[0] == 1, nil
}

// keep keeps a connection that answers, trying again for as long as it takes; first is closed after the first attempt.
func (s *Redis) keep(ctx context.Context, first chan struct{}) {
	defer close(s.gone)
	var client rueidis.Client
	defer func() {
		s.client.Store(nil)
		if client != nil {
			client.Close()
		}
	}()
	for {
		var err error
		if client == nil {
			client, err = rueidis.NewClient(s.options)
		}
		if err == nil {
			trial, cancel := context.WithTimeout(ctx, retry)
			err = client.Do(trial, client.B().Ping().Build()).Error()
			cancel()
		}
		var again <-chan time.Time
		if err == nil {
			usable := client
			s.client.Store(&usable)
		} else if ctx.Err() == nil {
			s.client.Store(nil)
			s.complain(err)
			if client != nil { // made anew, wherever its name leads by then
				client.Close()
				client = nil
			}
			again = time.After(retry)
		}
		if first != nil {
			close(first)
			first = nil
		}
		select {
		case <-ctx.Done():
			return
		case <-s.lost:
		case <-again:
		}
	}
}

// complain writes a line, unless it has lately.
func (s *Redis) complain(err error) {
	now, last := s.clock.Now().UnixNano(), s.logged.Load()
	if last != 0 && now-last < int64(quiet) || !s.logged.CompareAndSwap(last, now) {
		return
	}
	s.log.Warn("rate: Redis does not decide, each gateway does so alone", "error", err)
}
