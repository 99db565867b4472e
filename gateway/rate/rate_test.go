package rate

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/souk-shop/souk/internal/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func limiter(t *testing.T, c Config) *Limiter {
	t.Helper()
	l, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func from(address string) Caller { return Caller{Address: netip.MustParseAddr(address)} }

func TestABudgetIsSpentAndComesBack(t *testing.T) {
	held := clock.Hold(noon)
	l := limiter(t, Config{Address: Budget{PerSecond: 10, Burst: 100}, Store: NewMemory(held)})
	who := from("192.0.2.1")
	for _, step := range []struct {
		after     time.Duration
		points    int
		allowed   bool
		available int
		wait      time.Duration
	}{
		{0, 60, true, 40, 0},
		{0, 40, true, 0, 0},
		{0, 1, false, 0, 100 * time.Millisecond},
		{99 * time.Millisecond, 1, false, 0, time.Millisecond},
		{time.Millisecond, 1, true, 0, 0},
		{5 * time.Second, 80, false, 50, 3 * time.Second},
		{3 * time.Second, 80, true, 0, 0},
		{time.Hour, 100, true, 0, 0},                     // a burst, never more
		{time.Second, 1_000, false, 10, 9 * time.Second}, // dearer than the budget is: all of it
		{9 * time.Second, 1_000, true, 0, 0},
	} {
		held.Advance(step.after)
		d := l.Take(t.Context(), who, step.points, 0)
		if d.Allowed != step.allowed || d.Available != step.available || d.Wait != step.wait || d.Requested != step.points {
			t.Errorf("%+v: %+v", step, d)
		}
		if want := (Cost{Requested: step.points, Throttle: Status{100, step.available, 10}}); d.Cost() != want {
			t.Errorf("%+v, want %+v", d.Cost(), want)
		}
	}
}

// An account's and an address's budget are charged together, or neither is.
func TestTwoBudgets(t *testing.T) {
	l := limiter(t, Config{Account: Budget{1, 10}, Address: Budget{1, 25}, Store: NewMemory(clock.Hold(noon))})
	ann := Caller{Account: "acc_ann", Address: netip.MustParseAddr("192.0.2.1")}
	bob := Caller{Account: "acc_bob", Address: ann.Address}
	guest := Caller{Address: ann.Address}
	for _, step := range []struct {
		who       Caller
		points    int
		reason    string
		available int
	}{
		{ann, 10, "", 0},
		{ann, 1, ReasonAccount, 0},
		{bob, 10, "", 0},
		{guest, 6, ReasonAddress, 5}, // ann's refusal took nothing of these
		{guest, 5, "", 0},
		{Caller{Account: "acc_cid", Address: ann.Address}, 1, ReasonAddress, 0},
		{Caller{Account: "acc_cid", Address: netip.MustParseAddr("192.0.2.2")}, 10, "", 0}, // and neither did his
	} {
		if d := l.Take(t.Context(), step.who, step.points, 0); d.Reason != step.reason || d.Allowed != (step.reason == "") || d.Available != step.available {
			t.Errorf("%+v: %+v", step, d)
		}
	}
}

// What is common to all callers is drawn from by each, after their own budgets: who has none left takes nothing from the others.
func TestACommonBudget(t *testing.T) {
	held := clock.Hold(noon)
	l := limiter(t, Config{Address: Budget{1, 30}, Common: map[string]Budget{"sale": {2, 5}}, Store: NewMemory(held)})
	hot, cold := Draw{"sale", "sale_1"}, Draw{"sale", "sale_2"}
	for i, step := range []struct {
		who       string
		points    int
		draws     []Draw
		reason    string
		available int
		wait      time.Duration
	}{
		{"192.0.2.1", 10, []Draw{hot}, "", 20, 0},
		{"192.0.2.1", 10, []Draw{hot, hot}, "", 10, 0},
		{"192.0.2.1", 20, []Draw{hot}, ReasonAddress, 10, 10 * time.Second}, // nothing of the sale's
		{"192.0.2.2", 10, []Draw{hot, cold, hot}, "", 20, 0},
		{"192.0.2.3", 10, []Draw{hot}, "sale", 30, 500 * time.Millisecond}, // nothing of the caller's
		{"192.0.2.3", 10, []Draw{hot, hot, hot, hot, hot, hot, hot}, "sale", 30, 2500 * time.Millisecond},
		{"192.0.2.3", 10, []Draw{cold}, "", 20, 0},
		{"192.0.2.3", 1, []Draw{{"street", "any"}}, "", 19, 0}, // not bounded
	} {
		d := l.Take(t.Context(), from(step.who), step.points, 0, step.draws...)
		if d.Reason != step.reason || d.Allowed != (step.reason == "") || d.Available != step.available || d.Wait != step.wait || d.Common != (step.reason == "sale") {
			t.Errorf("%d: %+v", i, d)
		}
	}
	if d := l.Take(t.Context(), from("192.0.2.4"), 10, 7, hot); d.Reason != "sale" || d.Available != 23 || d.Wait != 500*time.Millisecond {
		t.Errorf("the trouble of it: %+v", d)
	}
	held.Advance(500 * time.Millisecond)
	if d := l.Take(t.Context(), from("192.0.2.5"), 1, 0, hot); !d.Allowed {
		t.Errorf("%+v", d)
	}
}

// To be refused may cost something, and what is spent is never more than there is.
func TestTrouble(t *testing.T) {
	l := limiter(t, Config{Account: Budget{1, 100}, Address: Budget{1, 30}, Store: NewMemory(clock.Hold(noon))})
	ann := Caller{Account: "acc_ann", Address: netip.MustParseAddr("192.0.2.1")}
	l.Spend(t.Context(), ann, 5)
	for i, want := range []struct {
		available int
		wait      time.Duration
	}{{15, 15 * time.Second}, {5, 25 * time.Second}, {0, 30 * time.Second}, {0, 30 * time.Second}} {
		if d := l.Take(t.Context(), ann, 1_000, 10); d.Allowed || d.Reason != ReasonAccount && d.Reason != ReasonAddress {
			t.Errorf("%d: %+v", i, d)
		} else if d := l.Peek(Caller{Address: ann.Address}, 30); d.Available != want.available || d.Wait != want.wait {
			t.Errorf("%d: %+v, want %+v", i, d, want)
		}
	}
	if d := l.Peek(Caller{Account: ann.Account}, 100); d.Available != 55 {
		t.Errorf("%+v", d)
	}
}

func TestPeekTakesNothing(t *testing.T) {
	l := limiter(t, Config{Address: Budget{1, 2}, Store: NewMemory(clock.Hold(noon))})
	who := from("192.0.2.1")
	for range 5 {
		if !l.Peek(who, 2).Allowed {
			t.Fatal("refused")
		}
	}
	l.Take(t.Context(), who, 2, 0)
	if d := l.Peek(who, 1); d.Allowed || d.Wait != time.Second {
		t.Errorf("%+v", d)
	}
}

func TestWhoSharesABudget(t *testing.T) {
	l := limiter(t, Config{Address: Budget{1, 1}, Store: NewMemory(clock.Hold(noon))})
	for _, c := range []struct {
		address string
		allowed bool
	}{
		{"2001:db8:1:1::1", true},
		{"2001:db8:1:1:ffff::2", false}, // one household
		{"2001:db8:1:2::1", true},
		{"192.0.2.1", true},
		{"::ffff:192.0.2.1", false},
		{"192.0.2.2", true},
		{"fe80::1%eth0", true},
		{"fe80::1%eth1", false},
	} {
		if d := l.Take(t.Context(), from(c.address), 1, 0); d.Allowed != c.allowed {
			t.Errorf("%s: %+v", c.address, d)
		}
	}
	for range 3 {
		if !l.Take(t.Context(), Caller{}, 1, 0).Allowed || !l.Take(t.Context(), Caller{Account: "acc_ann"}, 1, 0).Allowed {
			t.Error("refused without a budget")
		}
	}
}

// However many ask at once, exactly what is there is given, and callers with keys in the same shards never wait for each other for ever.
func TestManyAtOnce(t *testing.T) {
	l := limiter(t, Config{Account: Budget{1, 500}, Address: Budget{1, 1_000}, Store: NewMemory(clock.Hold(noon))})
	var taken atomic.Int64
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			for j := range 200 {
				who := Caller{Account: fmt.Sprint("acc_", (i+j)%4), Address: netip.MustParseAddr("192.0.2.1")}
				if l.Take(context.Background(), who, 1, 0).Allowed {
					taken.Add(1)
				}
			}
		})
	}
	all.Wait()
	if n := taken.Load(); n != 1_000 {
		t.Errorf("%d points of 1,000 were taken", n)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	held := clock.Hold(noon)
	m := NewMemory(held)
	fill := func(generation, n int) {
		for i := range n {
			m.Take(t.Context(), []Charge{{Key: fmt.Sprint(generation, "-", i), Take: time.Second, Room: time.Minute}})
		}
	}
	fill(1, 2*shards*crowd)
	if n := m.size(); n > shards*crowd {
		t.Errorf("%d buckets", n)
	}
	held.Advance(time.Hour)
	fill(2, shards*crowd/8)
	if n := m.size(); n > shards*crowd/4 {
		t.Errorf("%d buckets are remembered though most have drained", n)
	}
}

func TestParseBudget(t *testing.T) {
	for text, want := range map[string]Budget{"500/10000": {500, 10_000}, "1/1": {1, 1}, "off": {}, "1000000/1000000000": {1e6, 1e9}} {
		if b, err := ParseBudget(text); err != nil || b != want {
			t.Errorf("%s: %v %v", text, b, err)
		}
	}
	for _, text := range []string{"", "500", "0/5", "5/0", "-1/5", "a/b", "1/2/3", "1000001/1", "1/1000000001", "5 /6"} {
		if b, err := ParseBudget(text); err == nil {
			t.Errorf("%q is %v", text, b)
		}
	}
}

func TestAddressOf(t *testing.T) {
	for _, c := range []struct {
		socket    string
		proxies   int
		forwarded []string
		want      string
	}{
		{"192.0.2.1:99", 0, []string{"198.51.100.1"}, "192.0.2.1"},
		{"[2001:db8::1]:99", 0, nil, "2001:db8::1"},
		{"192.0.2.1:99", 1, nil, "192.0.2.1"},
		{"192.0.2.1:99", 1, []string{"198.51.100.1"}, "198.51.100.1"},
		{"192.0.2.1:99", 1, []string{"10.0.0.1, 198.51.100.1"}, "198.51.100.1"}, // the first was made up
		{"192.0.2.1:99", 1, []string{"10.0.0.1", "198.51.100.1"}, "198.51.100.1"},
		{"192.0.2.1:99", 2, []string{"10.0.0.1, 198.51.100.1, 203.0.113.1"}, "198.51.100.1"},
		{"192.0.2.1:99", 3, []string{"198.51.100.1"}, "198.51.100.1"},
		{"192.0.2.1:99", 1, []string{"[2001:db8::1]:443"}, "2001:db8::1"},
		{"192.0.2.1:99", 1, []string{"[2001:db8::1]"}, "2001:db8::1"},
		{"192.0.2.1:99", 1, []string{"unknown"}, "192.0.2.1"},
		{"@", 0, nil, "invalid IP"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.socket
		r.Header["X-Forwarded-For"] = c.forwarded
		if got := AddressOf(r, c.proxies).String(); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func BenchmarkTake(b *testing.B) {
	l, err := New(Config{Account: Budget{1e6, 1e9}, Address: Budget{1e6, 1e9}, Store: NewMemory(clock.System)})
	if err != nil {
		b.Fatal(err)
	}
	who := Caller{Account: "acc_ann", Address: netip.MustParseAddr("192.0.2.1")}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l.Take(context.Background(), who, 1, 0)
		}
	})
}

// A wrong proof costs an account an eighth of its budget, and more than it has: it is overdrawn by that and never by more. The address pays
// as far as it has, and nothing when the account alone was refused.
func TestForfeit(t *testing.T) {
	l := limiter(t, Config{Account: Budget{1, 80}, Address: Budget{1, 30}, Store: NewMemory(clock.Hold(noon))})
	ann := Caller{Account: "acc_ann", Address: netip.MustParseAddr("192.0.2.1")}
	for i, want := range []struct{ forfeited, account, address int }{{10, 70, 28}, {10, 60, 26}, {20, 40, 22}, {60, 0, 10}} {
		d := l.Forfeit(t.Context(), ann, want.forfeited/10, 2, Decision{Requested: 1})
		if d.Forfeited != want.forfeited || d.Available != min(want.account, want.address) || d.Cost().Forfeited != want.forfeited {
			t.Errorf("%d: %+v", i, d)
		}
		for who, left := range map[Caller]int{{Account: ann.Account}: want.account, {Address: ann.Address}: want.address} {
			if d := l.Peek(who, 0); d.Available != left {
				t.Errorf("%d: %+v: %+v, want %d", i, who, d, left)
			}
		}
	}
	overdrawn := l.Peek(ann, 1)
	if overdrawn.Allowed || overdrawn.Reason != ReasonAccount || overdrawn.Wait != 21*time.Second {
		t.Errorf("%+v", overdrawn)
	}
	for range 3 {
		l.Forfeit(t.Context(), ann, 1, 0, Decision{})
		if d := l.Take(t.Context(), ann, 1, 5); d.Allowed || d.Wait != overdrawn.Wait {
			t.Errorf("%+v", d)
		}
	}
	if d := l.Peek(Caller{Address: ann.Address}, 10); !d.Allowed {
		t.Errorf("the address paid for what the account was refused: %+v", d)
	}

	// Where there is nothing to take from, nothing is taken.
	for _, who := range []Caller{{}, {Account: "acc_bob"}} {
		l := limiter(t, Config{Address: Budget{1, 30}, Store: NewMemory(clock.Hold(noon))})
		if d := l.Forfeit(t.Context(), who, 1, 2, Decision{Allowed: true, Requested: 7}); d != (Decision{Allowed: true, Requested: 7}) {
			t.Errorf("%+v", d)
		}
	}
}
