package once

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/souk-shop/souk/clients/redis"
	"github.com/souk-shop/souk/internal/clock"
)

const prefix = "souk:once:"

// One script rather than SET NX GET, which Redis knows since 7.0 only.
var claimScript = rueidis.NewLuaScript(`
local holder = redis.call('GET', KEYS[1])
if holder then return holder end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]`)

// Redis is a Store that processes share.
//
// While Redis is away each process decides alone, from what it has seen: a name may then go to one holder in each process, never to
// two in one. Nobody is turned away for that. A sale whose door shuts with a cache loses all its buyers; one whose challenges can be
// spent once per process loses nothing, as an account has one ticket and its share of units whatever it has solved.
type Redis struct {
	memory *Memory
	conn   *redis.Conn
}

// NewRedis returns a store on a connection.
func NewRedis(conn *redis.Conn, c clock.Clock) *Redis {
	return &Redis{memory: NewMemory(c), conn: conn}
}

// Claim is Store's.
func (r *Redis) Claim(ctx context.Context, name, value string, ttl time.Duration) (string, error) {
	if ttl <= 0 {
		return "", errTTL
	}
	if holder, ok := r.memory.holder(name); ok {
		return holder, nil
	}
	k := keyOf(name)
	var holder string
	err := r.conn.Ask(ctx, func(ctx context.Context, client rueidis.Client) (err error) {
		ms := strconv.FormatInt(max(1, ttl.Milliseconds()), 10)
		holder, err = claimScript.Exec(ctx, client, []string{prefix + string(k[:])}, []string{value, ms}).ToString()
		return err
	})
	if err != nil {
		return r.memory.Claim(ctx, name, value, ttl)
	}
	if holder == value {
		// Noted for when Redis is away or comes back empty; without room, then not. Who was alone a moment ago may have been given
		// the name meanwhile, and keeps it.
		if noted, err := r.memory.Claim(ctx, name, value, ttl); err == nil {
			return noted, nil
		}
	}
	return holder, nil
}
