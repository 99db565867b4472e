package rate

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"

	"github.com/souk-shop/souk/clients/redis"
	"github.com/souk-shop/souk/internal/clock"
)

// prefix has a hash tag: all buckets are in one slot, since one script may need two of them.
const prefix = "{souk:rate}:"

//go:embed take.lua
var takeText string

var takeScript = rueidis.NewLuaScript(takeText)

// Redis keeps buckets that all gateways share. What it answers is also remembered here: a bucket known to be full needs no question,
// and while Redis is away this process decides alone, from there on. Nobody is refused because Redis does not answer.
type Redis struct {
	memory *Memory
	conn   *redis.Conn
	alone  prometheus.Counter
}

// NewRedis returns a store on a connection.
func NewRedis(conn *redis.Conn, c clock.Clock, metrics prometheus.Registerer) (*Redis, error) {
	s := &Redis{
		memory: NewMemory(c), conn: conn,
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
	return s, nil
}

// Take is Store's.
func (s *Redis) Take(ctx context.Context, charges []Charge) ([]time.Duration, bool) {
	if levels, room := s.memory.Peek(charges); !room {
		return levels, false
	}
	levels, taken, err := s.ask(ctx, charges)
	if err != nil {
		s.alone.Inc()
		return s.memory.Take(ctx, charges)
	}
	s.memory.learn(charges, levels)
	return levels, taken
}

// Peek is Store's.
func (s *Redis) Peek(charges []Charge) ([]time.Duration, bool) { return s.memory.Peek(charges) }

// ask has Redis decide.
func (s *Redis) ask(ctx context.Context, charges []Charge) ([]time.Duration, bool, error) {
	keys, args := make([]string, len(charges)), make([]string, 0, 3*len(charges))
	for i, c := range charges {
		keys[i] = prefix + c.Key
		most := "0"
		if c.Most {
			most = "1"
		}
		args = append(args, strconv.FormatInt(c.Take.Microseconds(), 10), strconv.FormatInt(c.Room.Microseconds(), 10), most)
	}
	var said []int64
	err := s.conn.Ask(ctx, func(ctx context.Context, client rueidis.Client) (err error) {
		said, err = takeScript.Exec(ctx, client, keys, args).AsIntSlice()
		return err
	})
	if err != nil {
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
