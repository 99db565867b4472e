// Package rate bounds what one caller may ask for in a while: points per second, with a burst saved up, for each account and each
// address. It decides before any subgraph is asked.
//
// A bucket is kept as the time until it has drained (the generic cell rate algorithm): one number, which gateways can share.
package rate

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A Budget is what one caller may ask for; the zero Budget knows no bounds.
type Budget struct {
	PerSecond int // points that come back
	Burst     int // points there are at most
}

// ParseBudget reads "points per second/burst", such as 500/10000; "off" bounds nothing.
func ParseBudget(text string) (Budget, error) {
	if text == "off" {
		return Budget{}, nil
	}
	perSecond, burst, ok := strings.Cut(text, "/")
	b := Budget{}
	var errs [2]error
	b.PerSecond, errs[0] = strconv.Atoi(perSecond)
	b.Burst, errs[1] = strconv.Atoi(burst)
	if !ok || errs[0] != nil || errs[1] != nil || b.PerSecond < 1 || b.PerSecond > 1e6 || b.Burst < 1 || b.Burst > 1e9 {
		return Budget{}, fmt.Errorf("%q is no budget: points per second/burst, such as 500/10000, or off", text)
	}
	return b, nil
}

// room is how long a full bucket takes to drain.
func (b Budget) room() time.Duration { return b.time(b.Burst) }

// time is how long points take to come back, to the microsecond that stores keep.
func (b Budget) time(points int) time.Duration {
	micros := (int64(points)*1e6 + int64(b.PerSecond) - 1) / int64(b.PerSecond)
	return time.Duration(micros) * time.Microsecond
}

// left is how many points there are in a bucket that drains for so long.
func (b Budget) left(level time.Duration) int {
	return max(0, int(math.Floor((b.room()-level).Seconds()*float64(b.PerSecond)+1e-6)))
}

// A Charge asks for room in one bucket.
type Charge struct {
	Key        string
	Take, Room time.Duration // whole microseconds
	Most       bool          // rather than be refused, take what there is
}

// A Store keeps buckets. It always answers, and is safe for concurrent use.
type Store interface {
	// Take pours into all buckets, or into none when one of them has no room. It tells the level of each afterwards: how long it
	// will take to drain.
	Take(ctx context.Context, charges []Charge) (levels []time.Duration, taken bool)
	// Peek tells the levels without taking, as far as this process knows by itself: others may have taken more.
	Peek(charges []Charge) (levels []time.Duration, room bool)
}

// A Caller is who asks, and from where.
type Caller struct {
	Account string     // "" is a guest
	Address netip.Addr // the zero Addr is nobody knows where
}

// Reasons for a refusal, as metrics tell them.
const (
	ReasonAccount = "account"
	ReasonAddress = "address"
)

// A Decision says whether a caller may go on, and what is left.
type Decision struct {
	Allowed   bool
	Reason    string        // of a refusal: whose budget is spent
	Wait      time.Duration // until the same would be allowed, if nobody else takes
	Requested int
	Budget    Budget // the one that decided, or has least left
	Available int    // points of it
}

// Cost is a decision as answers show it, under extensions.cost.
type Cost struct {
	Requested int    `json:"requested"`
	Throttle  Status `json:"throttleStatus"`
}

// Status is what is left of a budget.
type Status struct {
	Maximum   int `json:"maximumAvailable"`
	Available int `json:"currentlyAvailable"`
	Restore   int `json:"restoreRate"`
}

// Cost returns the decision as answers show it.
func (d Decision) Cost() Cost {
	return Cost{Requested: d.Requested, Throttle: Status{Maximum: d.Budget.Burst, Available: d.Available, Restore: d.Budget.PerSecond}}
}

// Config is what a Limiter needs; a zero budget bounds nothing.
type Config struct {
	Account, Address Budget
	Store            Store
	Metrics          prometheus.Registerer // nil means none
}

// A Limiter decides who may go on.
type Limiter struct {
	config   Config
	refusals *prometheus.CounterVec
}

// New returns a Limiter.
func New(c Config) (*Limiter, error) {
	l := &Limiter{config: c, refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "souk", Subsystem: "gateway", Name: "rate_refusals_total", Help: "Requests refused because a budget was spent, by whose.",
	}, []string{"reason"})}
	for _, reason := range []string{ReasonAccount, ReasonAddress} {
		l.refusals.WithLabelValues(reason)
	}
	if c.Metrics != nil {
		if err := c.Metrics.Register(l.refusals); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// Take charges points to a caller's budgets, or refuses. What costs more than a budget ever holds takes all of it. To be refused costs
// the trouble that was had before it was known, so that nobody gives it for free.
func (l *Limiter) Take(ctx context.Context, who Caller, points, trouble int) Decision {
	return l.decide(who, points, func(charges []Charge) ([]time.Duration, bool) {
		levels, ok := l.config.Store.Take(ctx, charges)
		if !ok && trouble > 0 {
			levels, _ = l.config.Store.Take(ctx, l.most(who, trouble))
		}
		return levels, ok
	})
}

// Spend charges points for what was done already, or what is left when that is less.
func (l *Limiter) Spend(ctx context.Context, who Caller, points int) {
	if charges := l.most(who, points); len(charges) > 0 {
		l.config.Store.Take(ctx, charges)
	}
}

func (l *Limiter) most(who Caller, points int) []Charge {
	_, charges := l.bill(who, points)
	for i := range charges {
		charges[i].Most = true
	}
	return charges
}

// Peek tells whether points are left, charging nothing and asking no other machine. It may let through what Take refuses, never the
// other way round.
func (l *Limiter) Peek(who Caller, points int) Decision {
	return l.decide(who, points, l.config.Store.Peek)
}

func (l *Limiter) decide(who Caller, points int, ask func([]Charge) ([]time.Duration, bool)) Decision {
	d := Decision{Allowed: true, Requested: points}
	buckets, charges := l.bill(who, points)
	if len(charges) == 0 {
		return d
	}
	levels, ok := ask(charges)
	for i, level := range levels {
		wait := max(0, level+charges[i].Take-charges[i].Room)
		left := buckets[i].left(level)
		if i == 0 || ok && left < d.Available || !ok && wait > d.Wait {
			d.Wait, d.Reason, d.Budget, d.Available = wait, buckets[i].reason, buckets[i].Budget, left
		}
	}
	if ok {
		d.Wait, d.Reason = 0, ""
		return d
	}
	d.Allowed = false
	l.refusals.WithLabelValues(d.Reason).Inc()
	return d
}

// A bucket is one of a caller's budgets.
type bucket struct {
	Budget
	reason string // of a refusal when it is spent
}

// bill makes out what a caller is charged, and where.
func (l *Limiter) bill(who Caller, points int) (buckets []bucket, charges []Charge) {
	add := func(key, reason string, b Budget) {
		buckets = append(buckets, bucket{b, reason})
		charges = append(charges, Charge{Key: key, Take: b.time(min(points, b.Burst)), Room: b.room()})
	}
	if who.Account != "" && l.config.Account != (Budget{}) {
		add("account:"+who.Account, ReasonAccount, l.config.Account)
	}
	if who.Address.IsValid() && l.config.Address != (Budget{}) {
		add("address:"+network(who.Address), ReasonAddress, l.config.Address)
	}
	return buckets, charges
}

// network is whom an address stands for: one household has 2^64 addresses of IPv6.
func network(a netip.Addr) string {
	if a.Is4() || a.Is4In6() {
		return a.Unmap().String()
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil {
		return a.String()
	}
	return p.String()
}
