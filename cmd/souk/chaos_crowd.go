package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/clients/psp/fake"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/subgraphs/accounts"
	accountstore "github.com/souk-shop/souk/subgraphs/accounts/postgres"
	"github.com/souk-shop/souk/subgraphs/accounts/tokens"
)

// A chaosPerson is somebody who wants a unit.
type chaosPerson struct{ account, address, method, card string }

// Cards are how people pay, out of a hundred.
type cards []struct {
	share int
	token string
}

var chaosCards = cards{{72, fake.Succeeds}, {10, fake.IsDeclined}, {8, fake.NeedsAction}, {6, fake.IsSlow}, {4, fake.IsSilent}}

func (all cards) draw(rng *rand.Rand) string {
	n := rng.IntN(100)
	for _, c := range all {
		if n -= c.share; n < 0 {
			return c.token
		}
	}
	return fake.Succeeds
}

// populate opens accounts with an address and a way to pay, all in a few statements: signing up one by one would take longer than
// the sale, and is not what is to be shown.
func populate(ctx context.Context, pool *pgxpool.Pool, rng *rand.Rand, n int, pay cards) ([]chaosPerson, error) {
	people := make([]chaosPerson, n)
	for i := range people {
		people[i] = chaosPerson{id.New(id.Account), id.New(id.Address), id.New(id.PaymentMethod), pay.draw(rng)}
	}
	now := time.Now()
	for _, t := range []struct {
		table   pgx.Identifier
		columns []string
		row     func(i int, p chaosPerson) []any
	}{
		{pgx.Identifier{"accounts", "accounts"}, []string{"id", "email", "password_hash", "display_name", "created_at"}, func(_ int, p chaosPerson) []any {
			return []any{p.account, strings.ToLower(p.account) + "@chaos.souk.test", "$argon2id$nobody signs in with it", "Ann", now}
		}},
		{pgx.Identifier{"accounts", "addresses"}, []string{"id", "account_id", "position", "name", "line1", "line2", "city", "region", "pincode", "country", "phone", "is_default"}, func(_ int, p chaosPerson) []any {
			return []any{p.address, p.account, 1, "Ann", "1 Market Street", "", "Bloomington", "MN", "55425", "US", "", true}
		}},
		{pgx.Identifier{"payments", "methods"}, []string{"id", "account_id", "provider", "token", "kind", "label", "is_default", "created_at"}, func(_ int, p chaosPerson) []any {
			return []any{p.method, p.account, fake.Name, p.card, "CARD", "Card ending in " + p.card[4:], true, now}
		}},
	} {
		_, err := pool.CopyFrom(ctx, t.table, t.columns, pgx.CopyFromSlice(n, func(i int) ([]any, error) { return t.row(i, people[i]), nil }))
		if err != nil {
			return nil, fmt.Errorf("%v: %w", t.table, err)
		}
	}
	return people, nil
}

// openSigner returns what signs access tokens as the shop does, with its own key.
func openSigner(ctx context.Context, databaseURL func(string) (string, error)) (*tokens.Keys, func(), error) {
	pool, err := openPart(ctx, databaseURL, "accounts")
	if err != nil {
		return nil, nil, err
	}
	keys, err := tokens.Open(ctx, accountstore.NewStore(pool), clock.System)
	return keys, pool.Close, err
}

// A chaosCrowd is all who want a unit, and what they were told.
type chaosCrowd struct {
	seed     uint64
	sale     string
	variant  string
	people   []chaosPerson
	doors    *chaosDoors
	keys     *tokens.Keys
	bank     *chaosBank
	patience time.Duration // of one who waits for an answer

	mu       sync.Mutex
	came     int
	answers  map[string]int // of booking, by kind
	ends     map[string]int // how it went on for who booked
	troubles map[string]int
	odd      map[string]int
	unknown  int
	gaveUp   int
	promises []chaosPromise
	broken   []string // answers that contradict each other
	bookings []chaosMoment
	quiet    struct {
		since   time.Time // the last booking, or when there was none to be had
		longest time.Duration
	}
}

// A chaosPromise is what somebody was told, and has to be true in the end.
type chaosPromise struct {
	account, booking string
	order            string // placed; "" if that was not said
}

// A chaosMoment is when somebody asked for what they got, and when they knew.
type chaosMoment struct{ asked, told time.Time }

func newChaosCrowd(seed uint64, s *chaosShop, people []chaosPerson, keys *tokens.Keys) *chaosCrowd {
	return &chaosCrowd{
		seed: seed, people: people, doors: newDoors(bases(s.gateways), 96), keys: keys, bank: s.bank, patience: 45 * time.Second,
		answers: map[string]int{}, ends: map[string]int{}, troubles: map[string]int{}, odd: map[string]int{},
	}
}

func bases(addresses []string) (urls []string) {
	for _, a := range addresses {
		urls = append(urls, "http://"+a)
	}
	return urls
}

const mostPresent = 500 // people at once; others come when some have left

// rush lets everybody come, evenly over a span of time, and returns when all have left. Who has not come when ctx ends stays at home.
func (c *chaosCrowd) rush(ctx context.Context, span time.Duration) {
	began := time.Now()
	c.quiet.since = began
	present := make(chan struct{}, mostPresent)
	var all sync.WaitGroup
	for n := range c.people {
		if wait := time.Until(began.Add(span * time.Duration(n) / time.Duration(len(c.people)))); wait > 0 {
			sleepFor(ctx, wait)
		}
		select {
		case present <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		all.Go(func() {
			c.visit(context.WithoutCancel(ctx), n)
			<-present
		})
	}
	all.Wait()
}

func (c *chaosCrowd) token(n int) string { return tokenFor(c.keys, c.people[n].account) }

// tokenFor returns an access token that is good for an hour.
func tokenFor(keys *tokens.Keys, account string) string {
	now := time.Now()
	token, err := keys.Sign(accounts.Claims{AccountID: account, SessionID: id.New("ses"), Scopes: []string{}, IssuedAt: now, ExpiresAt: now.Add(time.Hour)})
	if err != nil {
		panic(err) // there is a key, or the shop would not run
	}
	return token
}

// visit is one person at the sale. What they do is drawn from the seed.
func (c *chaosCrowd) visit(ctx context.Context, n int) {
	rng := rand.New(rand.NewPCG(c.seed, uint64(n)))
	c.count(func() { c.came++ })
	token, key := c.token(n), fmt.Sprintf("chaos-%d-1", n)
	for try := 1; try <= 3; try++ {
		booking, again := c.book(ctx, n, token, key, rng)
		if booking != "" {
			c.goOn(ctx, n, token, key, booking, rng)
			return
		}
		if again <= 0 {
			return
		}
		sleepFor(ctx, again)
	}
}

// book asks for a unit. Without one it tells after what time it is worth asking again, 0 for never.
func (c *chaosCrowd) book(ctx context.Context, n int, token, key string, rng *rand.Rand) (booking string, again time.Duration) {
	var got struct {
		FlashSaleBook struct {
			Result struct {
				Kind       string
				ID         string
				Final      bool
				RetryAfter *time.Time
				PollAfter  time.Time
				Booking    struct{ ID string }
			}
			UserErrors []struct{ Code string }
		}
	}
	input := values{"saleId": c.sale, "variantId": c.variant, "idempotencyKey": key}
	asked, known := c.insist(ctx, n, token, chaosBook, values{"input": input}, &got)
	if !known {
		c.count(func() { c.gaveUp++ })
		return "", 0
	}
	told, r := time.Now(), got.FlashSaleBook.Result
	kind := strings.TrimPrefix(r.Kind, "FlashSale")
	if len(got.FlashSaleBook.UserErrors) > 0 {
		kind = got.FlashSaleBook.UserErrors[0].Code
	}
	if kind == "SoldOut" && r.Final {
		kind = "SoldOut for good"
	}
	c.count(func() {
		c.answers[kind]++
		switch kind {
		case "Booking":
			c.bookings = append(c.bookings, chaosMoment{asked, told})
			c.promises = append(c.promises, chaosPromise{account: c.people[n].account, booking: r.ID})
			c.quiet.longest = max(c.quiet.longest, told.Sub(c.quiet.since))
			c.quiet.since = told
		case "SoldOut", "SoldOut for good":
			c.quiet.since = told // nothing to book is no outage
		case "AlreadyBooked":
			c.broken = append(c.broken, fmt.Sprintf("%s was told AlreadyBooked (%s) under the key that booked, if any did", c.people[n].account, r.Booking.ID))
		}
	})
	switch kind {
	case "Booking":
		return r.ID, 0
	case "SoldOut":
		wait := time.Second
		if r.RetryAfter != nil {
			wait = min(max(time.Until(*r.RetryAfter), 200*time.Millisecond), 3*time.Second)
		}
		return "", wait + time.Duration(rng.IntN(500))*time.Millisecond
	case "Throttled":
		return "", max(time.Until(r.PollAfter), 50*time.Millisecond)
	}
	return "", 0
}

// goOn is what follows a booking: some ask again for what they have, some give it back, some just leave, most pay.
func (c *chaosCrowd) goOn(ctx context.Context, n int, token, key, booking string, rng *rand.Rand) {
	switch rng.IntN(20) {
	case 0: // the same key has the same answer
		c.askAgain(ctx, n, token, key, booking, "Booking")
	case 1: // another key has no second unit
		c.askAgain(ctx, n, token, key+"-more", booking, "AlreadyBooked")
	}
	sleepFor(ctx, time.Duration(rng.IntN(1000))*time.Millisecond)
	switch will := rng.IntN(100); {
	case will < 20:
		c.ended("left")
		if will < 5 { // and comes back when the hold has ended: the key still names what it named
			sleepFor(ctx, (chaosHold+2)*time.Second)
			c.askAgain(ctx, n, token, key, booking, "Booking")
		}
	case will < 32:
		var got struct {
			FlashSaleRelease struct{ UserErrors []struct{ Code string } }
		}
		if _, known := c.insist(ctx, n, token, chaosRelease, values{"id": booking}, &got); !known {
			c.ended("release: no answer")
			return
		}
		c.ended("released")
		if will < 24 {
			c.askAgain(ctx, n, token, key, booking, "Booking")
		}
	default:
		c.pay(ctx, n, token, booking, rng)
	}
}

func (c *chaosCrowd) askAgain(ctx context.Context, n int, token, key, booking, want string) {
	var got struct {
		FlashSaleBook struct {
			Result struct {
				Kind, ID string
				Booking  struct{ ID string }
			}
		}
	}
	input := values{"saleId": c.sale, "variantId": c.variant, "idempotencyKey": key}
	if _, known := c.insist(ctx, n, token, chaosBook, values{"input": input}, &got); !known {
		return
	}
	r := got.FlashSaleBook.Result
	kind := strings.TrimPrefix(r.Kind, "FlashSale")
	c.count(func() {
		switch {
		case kind == want && (r.ID == booking || r.Booking.ID == booking):
			c.answers[kind+" (asked again)"]++
		case want == "AlreadyBooked": // it took so long that the hold had ended
			c.answers[kind+" (asked for more)"]++
			if kind == "Booking" {
				c.promises = append(c.promises, chaosPromise{account: c.people[n].account, booking: r.ID})
			}
		default:
			c.broken = append(c.broken, fmt.Sprintf("%s booked %s, and is told %s %s%s under the same key", c.people[n].account, booking, kind, r.ID, r.Booking.ID))
		}
	})
}

// pay checks out, does what the bank asks for, and waits until the order is decided.
func (c *chaosCrowd) pay(ctx context.Context, n int, token, booking string, rng *rand.Rand) {
	p := c.people[n]
	var got struct {
		CheckoutComplete struct {
			Result struct {
				Kind        string
				Order       struct{ ID string }
				RedirectURL string
				Problems    []struct{ Code string }
			}
			UserErrors []struct{ Code string }
		}
	}
	input := values{
		"bookingId": booking, "addressId": p.address, "paymentMethodId": p.method, "expectedTotal": values{"amount": chaosPrice, "currencyCode": "USD"},
		"idempotencyKey": fmt.Sprintf("chaos-%d-pay", n),
	}
	if _, known := c.insist(ctx, n, token, chaosCheckout, values{"input": input}, &got); !known {
		c.ended("checkout: no answer")
		return
	}
	r := got.CheckoutComplete.Result
	switch kind := strings.TrimPrefix(r.Kind, "Checkout"); {
	case len(got.CheckoutComplete.UserErrors) > 0:
		c.ended("checkout: " + got.CheckoutComplete.UserErrors[0].Code)
	case kind == "Placed":
		c.placed(p, booking, r.Order.ID)
	case kind == "Rejected" && len(r.Problems) > 0:
		c.ended("checkout: " + r.Problems[0].Code)
	case kind == "ActionRequired":
		if key := r.RedirectURL[strings.LastIndexByte(r.RedirectURL, '/')+1:]; key != "" {
			switch rng.IntN(4) {
			case 0:
				c.bank.Refuse(key)
			default:
				c.bank.Confirm(key)
			}
		}
		c.awaitOrder(ctx, n, token, booking, r.Order.ID)
	default:
		c.ended("checkout: " + kind)
	}
}

func (c *chaosCrowd) awaitOrder(ctx context.Context, n int, token, booking, order string) {
	for deadline := time.Now().Add(2 * chaosExpiry); time.Now().Before(deadline); sleepFor(ctx, 700*time.Millisecond) {
		var got struct{ Order *struct{ Status string } }
		if _, known := c.insist(ctx, n, token, chaosOrder, values{"id": order}, &got); !known {
			break
		}
		switch {
		case got.Order == nil:
			c.count(func() { c.broken = append(c.broken, "order "+order+" is not there for who ordered it") })
			return
		case got.Order.Status == "PLACED":
			c.placed(c.people[n], booking, order)
			return
		case got.Order.Status != "CREATED":
			c.ended("order: " + got.Order.Status)
			return
		}
	}
	c.ended("order: left before it was decided")
}

func (c *chaosCrowd) placed(p chaosPerson, booking, order string) {
	c.count(func() {
		c.ends["bought"]++
		c.promises = append(c.promises, chaosPromise{p.account, booking, order})
	})
}

func (c *chaosCrowd) ended(how string) { c.count(func() { c.ends[how]++ }) }

func (c *chaosCrowd) count(note func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	note()
}

// nextBooking tells how long after a moment the first booking was made that was asked for after it; false when none was.
func (c *chaosCrowd) nextBooking(after time.Time) (first time.Duration, any bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.bookings {
		if took := m.told.Sub(after); m.asked.After(after) && (!any || took < first) {
			first, any = took, true
		}
	}
	return first, any
}
