// Package argon2id hashes passwords with Argon2id (RFC 9106), as many at a time as the machine has room for.
package argon2id

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/argon2"

	"github.com/souk-shop/souk/internal/fault"
)

// A Cost is how much work a guess takes.
type Cost struct {
	Memory uint32 // KiB
	Passes uint32
	Lanes  uint8
}

// below tells whether a guess takes less work than at another cost.
func (c Cost) below(o Cost) bool { return c.Memory < o.Memory || c.Passes < o.Passes }

// Recommended is OWASP's advice for Argon2id: 19 MiB, two passes, one lane.
var Recommended = Cost{Memory: 19 << 10, Passes: 2, Lanes: 1}

const (
	saltSize = 16
	hashSize = 32
	perSlot  = 32 // callers that may wait for a slot; at 25 ms each, the last waits less than a second
)

// ErrBusy says that too many wait already; waiting longer would only make it worse.
var ErrBusy = fault.New(fault.Unavailable, "BUSY", "too many people are signing in right now; try again in a moment")

// A Hasher hashes and verifies passwords, one at a time on each processor.
type Hasher struct {
	cost    Cost
	nobody  string
	slots   chan struct{}
	waiting atomic.Int64
	most    int64 // callers that may wait
	ran     atomic.Int64
}

// New returns a hasher whose new hashes have this cost.
func New(cost Cost) *Hasher {
	slots := runtime.GOMAXPROCS(0)
	h := &Hasher{cost: cost, slots: make(chan struct{}, slots), most: int64(slots) * perSlot}
	h.nobody = encode(cost, random(saltSize), random(hashSize)) // no password is known to make it
	return h
}

// Hash returns a hash of the password in PHC string format, which names its own cost.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	salt := random(saltSize)
	sum, err := h.derive(ctx, password, salt, h.cost)
	if err != nil {
		return "", err
	}
	return encode(h.cost, salt, sum), nil
}

// Verify tells whether the password made the hash, and whether the hash cost less than a new one would.
// It does the same work for the empty hash, which nothing matches.
func (h *Hasher) Verify(ctx context.Context, hash, password string) (match, weak bool, err error) {
	if hash == "" {
		hash = h.nobody
	}
	cost, salt, want, err := decode(hash)
	if err != nil {
		return false, false, err
	}
	got, err := h.derive(ctx, password, salt, cost)
	if err != nil {
		return false, false, err
	}
	return subtle.ConstantTimeCompare(got, want) == 1, cost.below(h.cost), nil
}

// Derivations returns how often Argon2id ran.
func (h *Hasher) Derivations() int64 { return h.ran.Load() }

// derive waits for a slot and does the work.
func (h *Hasher) derive(ctx context.Context, password string, salt []byte, cost Cost) ([]byte, error) {
	if err := h.enter(ctx); err != nil {
		return nil, err
	}
	defer func() { <-h.slots }()
	h.ran.Add(1)
	return argon2.IDKey([]byte(password), salt, cost.Passes, cost.Memory, cost.Lanes, hashSize), nil
}

func (h *Hasher) enter(ctx context.Context) error {
	select {
	case h.slots <- struct{}{}:
		return nil
	default:
	}
	defer h.waiting.Add(-1)
	if h.waiting.Add(1) > h.most {
		return ErrBusy
	}
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return ErrBusy
		}
		return ctx.Err()
	}
}

var b64 = base64.RawStdEncoding

func encode(c Cost, salt, sum []byte) string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.Memory, c.Passes, c.Lanes, b64.EncodeToString(salt), b64.EncodeToString(sum))
}

func decode(hash string) (c Cost, salt, sum []byte, err error) {
	refused := errors.New("not a hash of Argon2id") // which must not be shown
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return c, nil, nil, refused
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.Memory, &c.Passes, &c.Lanes); err != nil || c.Passes < 1 || c.Lanes < 1 {
		return c, nil, nil, refused
	}
	if salt, err = b64.DecodeString(parts[4]); err != nil {
		return c, nil, nil, refused
	}
	if sum, err = b64.DecodeString(parts[5]); err != nil || len(sum) != hashSize {
		return c, nil, nil, refused
	}
	return c, salt, sum, nil
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}
