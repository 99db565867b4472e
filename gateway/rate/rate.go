// Package rate bounds what one caller may ask for in a while: points per second, with a burst saved up, for each account and each
// address. It also bounds what all callers together may ask of one thing, such as a sale. It decides before any subgraph is asked.
//
// A bucket is kept as the time until it has drained (the generic cell rate algorithm): one number, which gateways can share.
package rate

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
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

// fits tells whether there is room at a level.
func (c Charge) fits(level time.Duration) bool { return level+c.Take <= c.Room }

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

// A Draw is what a caller takes from a bucket that all callers have in common.
type Draw struct {
	Bucket string // its kind, such as "sale"
	Value  string // which of them
}

// Reasons for a refusal, as metrics tell them; beside them the kinds of common buckets.
const (
	ReasonAccount = "account"
	ReasonAddress = "address"
)

// forfeits empty an account's full budget: who is refused for a wrong proof once or twice is served on, who tries his luck is soon not.
const forfeits = 8

// A Decision says whether a caller may go on, and what is left.
type Decision struct {
	Allowed   bool
	Reason    string        // of a refusal: whose budget is spent
	Common    bool          // of a refusal: the budget is not the caller's own
	Wait      time.Duration // until the same would be allowed, if nobody else takes
	Requested int
	Forfeited int    // points taken from the account beside those requested
	Budget    Budget // the one of the caller's that decided, or has least left
	Available int    // points of it
}

// Cost is a decision as answers show it, under extensions.cost.
type Cost struct {
	Requested int    `json:"requested"`
	Forfeited int    `json:"forfeited,omitempty"`
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
	return Cost{Requested: d.Requested, Forfeited: d.Forfeited, Throttle: Status{Maximum: d.Budget.Burst, Available: d.Available, Restore: d.Budget.PerSecond}}
}

// Config is what a Limiter needs; a zero budget bounds nothing.
type Config struct {
	Account, Address Budget
	Common           map[string]Budget // by kind of bucket, of draws rather than points; a kind that is not here is not bounded
	Store            Store
	Metrics          prometheus.Registerer // nil means none
}

// A Limiter decides who may go on.
type Limiter struct {
	config   Config
	refusals *prometheus.CounterVec
	forfeits prometheus.Counter
}

// New returns a Limiter.
func New(c Config) (*Limiter, error) {
	l := &Limiter{config: c, refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "souk", Subsystem: "gateway", Name: "rate_refusals_total", Help: "Requests refused because a budget was spent, by whose.",
	}, []string{"reason"}), forfeits: prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: "souk", Subsystem: "gateway", Name: "rate_forfeits_total", Help: "Proofs that subgraphs refused and callers paid extra for.",
	})}
	for _, reason := range append(slices.Collect(maps.Keys(c.Common)), ReasonAccount, ReasonAddress) {
		l.refusals.WithLabelValues(reason)
	}
	if c.Metrics != nil {
		for _, collector := range []prometheus.Collector{l.refusals, l.forfeits} {
			if err := c.Metrics.Register(collector); err != nil {
				return nil, err
			}
		}
	}
	return l, nil
}

// Take charges points to a caller's budgets and takes the draws from the common ones, or refuses and takes nothing: what one caller may
// not ask for leaves the others their share. What costs more than a budget ever holds takes all of it. To be refused costs the caller
// the trouble that was had before it was known, so that nobody gives it for free; where only the account's budget is spent, it costs the
// account, and those who share its address nothing.
func (l *Limiter) Take(ctx context.Context, who Caller, points, trouble int, draws ...Draw) Decision {
	return l.decide(who, points, draws, func(charges []Charge) ([]time.Duration, bool) {
		levels, ok := l.config.Store.Take(ctx, charges)
		if ok || trouble == 0 {
			return levels, ok
		}
		_, own := l.owed(who, trouble)
		if len(own) == 2 && !charges[0].fits(levels[0]) && charges[1].fits(levels[1]) {
			own = own[:1]
		}
		if len(own) > 0 {
			after, _ := l.config.Store.Take(ctx, own)
			copy(levels, after) // which are the first
		}
		return levels, ok
	})
}

// Spend charges points for what was done already, or what is left when that is less.
func (l *Limiter) Spend(ctx context.Context, who Caller, points int) {
	if _, charges := l.owed(who, points); len(charges) > 0 {
		l.config.Store.Take(ctx, charges)
	}
}

// Forfeit charges a caller for proofs that turned out to be wrong: the account so much that a few of them empty its budget, the address,
// which may be many people's, no more than so many points each. It returns d with what that was, and what is left.
func (l *Limiter) Forfeit(ctx context.Context, who Caller, proofs, points int, d Decision) Decision {
	l.forfeits.Add(float64(proofs))
	buckets, charges := l.owed(who, proofs*points)
	if len(charges) == 0 {
		return d
	}
	if buckets[0].reason == ReasonAccount {
		d.Forfeited = proofs * max(1, buckets[0].Burst/forfeits)
		charges[0] = buckets[0].owed(charges[0].Key, d.Forfeited)
	}
	levels, _ := l.config.Store.Take(ctx, charges)
	for i, level := range levels {
		if left := buckets[i].left(level); i == 0 || left < d.Available {
			d.Budget, d.Available = buckets[i].Budget, left
		}
	}
	return d
}

// owed makes out what a caller is charged for what was done already.
func (l *Limiter) owed(who Caller, points int) ([]bucket, []Charge) {
	buckets, charges := l.bill(who, points, nil)
	for i := range charges {
		charges[i] = buckets[i].owed(charges[i].Key, points)
	}
	return buckets, charges
}

// owed is a charge that is never refused. It takes what is left, and from an account, which is nobody else's, all of it: the account is
// overdrawn then, by as much as the last charge and never more, so that whoever goes on asking is refused for a while before his request
// is read.
func (b bucket) owed(key string, points int) Charge {
	c := Charge{Key: key, Take: b.time(min(points, b.Burst)), Room: b.room(), Most: true}
	if b.reason == ReasonAccount {
		c.Room += c.Take
	}
	return c
}

// Peek tells whether points are left, charging nothing and asking no other machine. It may let through what Take refuses, never the
// other way round.
func (l *Limiter) Peek(who Caller, points int) Decision {
	return l.decide(who, points, nil, l.config.Store.Peek)
}

func (l *Limiter) decide(who Caller, points int, draws []Draw, ask func([]Charge) ([]time.Duration, bool)) Decision {
	d := Decision{Allowed: true, Requested: points}
	buckets, charges := l.bill(who, points, draws)
	if len(charges) == 0 {
		return d
	}
	levels, ok := ask(charges)
	for i, level := range levels {
		wait := max(0, level+charges[i].Take-charges[i].Room)
		if buckets[i].common { // whose state is no business of one caller's
			if !ok && wait > d.Wait {
				d.Wait, d.Reason, d.Common = wait, buckets[i].reason, true
			}
			continue
		}
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
	common bool   // to all callers
}

// bill makes out what a caller is charged, and where: the caller's own budgets first.
func (l *Limiter) bill(who Caller, points int, draws []Draw) (buckets []bucket, charges []Charge) {
	add := func(key string, b bucket, points int) {
		buckets = append(buckets, b)
		charges = append(charges, Charge{Key: key, Take: b.time(min(points, b.Burst)), Room: b.room()})
	}
	if who.Account != "" && l.config.Account != (Budget{}) {
		add("account:"+who.Account, bucket{Budget: l.config.Account, reason: ReasonAccount}, points)
	}
	if who.Address.IsValid() && l.config.Address != (Budget{}) {
		add("address:"+network(who.Address), bucket{Budget: l.config.Address, reason: ReasonAddress}, points)
	}
	for i, d := range draws {
		if b := l.config.Common[d.Bucket]; b != (Budget{}) && !slices.Contains(draws[:i], d) {
			add(d.Bucket+":"+d.Value, bucket{Budget: b, reason: d.Bucket, common: true}, count(draws[i:], d))
		}
	}
	return buckets, charges
}

func count(draws []Draw, one Draw) (n int) {
	for _, d := range draws {
		if d == one {
			n++
		}
	}
	return n
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
