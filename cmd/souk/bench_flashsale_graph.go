package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	clientpostgres "github.com/souk-shop/souk/clients/postgres"
	"github.com/souk-shop/souk/clients/psp/fake"
	shop "github.com/souk-shop/souk/clients/souk"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/devstores/postgres"
	"github.com/souk-shop/souk/subgraphs/accounts/tokens"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	judged "github.com/souk-shop/souk/subgraphs/flashsale/history"
)

const (
	graphCallers = 10              // of each sale
	graphAtOnce  = 4               // sales
	graphKill    = 5               // every so many sales PostgreSQL is killed
	graphHold    = 5 * time.Second // the least there is
	graphExpiry  = "5s"            // of an order
	graphJudge   = "judge"         // what its connections to PostgreSQL are called, which nobody cuts
	quietPause   = 50 * time.Millisecond
	graphQuiet   = 2 * time.Minute // within which everything of a sale has to come to its end
)

// A graphShop is a whole shop whose answers are judged: its callers know nothing but the address of its gateway.
type graphShop struct {
	*bazaar
	killPostgres func(context.Context) error // and start it again

	keys   *tokens.Keys
	tables map[string]*pgxpool.Pool // of flashsale, orders and accounts, for who prepares sales and takes the census
}

// openGraphShop opens what it takes to prepare sales in a shop, and to take a census.
func openGraphShop(ctx context.Context, b *bazaar) (_ *graphShop, err error) {
	s := &graphShop{bazaar: b, tables: map[string]*pgxpool.Pool{}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	at, err := url.Parse(b.url)
	if err != nil {
		return nil, err
	}
	q := at.Query()
	q.Set("application_name", graphJudge)
	at.RawQuery = q.Encode()
	for _, part := range []string{"accounts", "flashsale", "orders"} {
		if s.tables[part], err = clientpostgres.Open(ctx, at.String(), part); err != nil {
			return nil, err
		}
	}
	if err := b.populate(ctx, 0); err != nil {
		return nil, err
	}
	keys, done, err := openSigner(ctx, b.postgresURL)
	if err != nil {
		return nil, err
	}
	done() // it has read its keys
	s.keys = keys
	return s, nil
}

// close leaves the shop open.
func (s *graphShop) close() {
	for _, pool := range s.tables {
		pool.Close()
	}
}

// A graphRun is one history in the making.
type graphRun struct {
	*judged.Recorder
	shop    *graphShop
	seed    uint64
	ops     int
	cuts    bool // connections to PostgreSQL are cut
	kills   bool // PostgreSQL is killed
	doors   *chaosDoors
	sale    flashsale.Sale // as it was set up
	people  []graphPerson
	looking []string // tokens of those who look at the counts, one for each caller: who is signed in twice shares answers
	asked   atomic.Int64

	mu       sync.Mutex
	bookings []flashsale.Booking // that anybody was shown
	keys     map[string]string   // of bookings
	orders   map[string][]*graphOrder
	lost     []func(context.Context) bool // checkouts whose outcome somebody has yet to ask for
	odd      map[string]int               // answers that do not say what is wrong
}

type graphPerson struct {
	chaosPerson
	token string
}

// A graphOrder is what a buyer knows of one checkout of a booking.
type graphOrder struct{ key, id string }

// prepare sets a sale up for about so many operations.
func (s *graphShop) prepare(ctx context.Context, seed uint64, ops int, kills bool) (*graphRun, error) {
	r := &graphRun{
		Recorder: judged.NewRecorder(clock.System), shop: s, seed: seed, ops: ops, cuts: seed%2 == 1, kills: kills,
		doors: newDoors([]string{s.base}, 4*graphCallers), keys: map[string]string{}, orders: map[string][]*graphOrder{}, odd: map[string]int{},
	}
	if err := r.setUp(ctx, rand.New(rand.NewPCG(seed, 0))); err != nil {
		return nil, fmt.Errorf("set up a sale: %w", err)
	}
	return r, nil
}

// record runs the sale and returns what its callers asked and were told. The last operation is a census.
func (r *graphRun) record(ctx context.Context) ([]judged.Operation, error) {
	defer r.doors.http.CloseIdleConnections()
	var g errgroup.Group
	if r.kills {
		g.Go(func() error {
			for r.asked.Load() < int64(r.ops/4) && ctx.Err() == nil {
				sleepFor(ctx, quietPause)
			}
			return r.shop.killPostgres(ctx)
		})
	}
	// What nobody has paid for comes back between the halves, so that the second begins with units to sell.
	for half := range 2 {
		var callers sync.WaitGroup
		for i := range graphCallers {
			rnd := rand.New(rand.NewPCG(r.seed, uint64(1+half*graphCallers+i)))
			callers.Go(func() { r.call(ctx, i, rnd, int64(r.ops*(half+1)/2)) })
		}
		callers.Wait()
		if err := r.quiet(ctx); err != nil {
			return nil, err
		}
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("kill PostgreSQL: %w", err)
	}
	err := r.census(ctx)
	for try := 0; err != nil && try < 100; try++ { // PostgreSQL may be down for another sale's sake
		sleepFor(ctx, 10*quietPause)
		err = r.census(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("census: %w", err)
	}
	for what, n := range r.odd {
		return nil, fmt.Errorf("%d answers that no client can act on: %s", n, what)
	}
	return r.Operations(), ctx.Err()
}

// graphCards has few of the slow ones, which take seconds, for there are many orders.
var graphCards = cards{{79, fake.Succeeds}, {12, fake.IsDeclined}, {5, fake.NeedsAction}, {3, fake.IsSlow}, {1, fake.IsSilent}}

// setUp offers two variants, so few units of them that most who come find none.
func (r *graphRun) setUp(ctx context.Context, rnd *rand.Rand) error {
	people, err := populate(ctx, r.shop.tables["accounts"], rnd, 4+r.ops/12+graphCallers, graphCards)
	if err != nil {
		return err
	}
	for i, p := range people {
		if token := tokenFor(r.shop.keys, p.account); i < graphCallers {
			r.looking = append(r.looking, token)
		} else {
			r.people = append(r.people, graphPerson{p, token})
		}
	}
	units := []int{1 + r.ops/80 + rnd.IntN(1+r.ops/80), 1 + r.ops/80 + rnd.IntN(1+r.ops/80)}
	goods, err := r.shop.stockUp(ctx, units...)
	if err != nil {
		return err
	}
	r.sale = flashsale.Sale{LimitPerAccount: 1 + rnd.IntN(2), HoldTime: graphHold}
	var offers []values
	for i, v := range goods {
		r.sale.Offers = append(r.sale.Offers, flashsale.Offer{VariantID: v, LimitPerAccount: 1, Quantity: units[i], Remaining: units[i]})
		offers = append(offers, values{"variantId": v, "price": values{"amount": bookingPrice, "currencyCode": "USD"}, "quantity": units[i], "limitPerAccount": 1})
	}
	type saved struct {
		FlashSaleSave struct {
			FlashSale  struct{ ID string }
			UserErrors shop.UserErrors
		}
	}
	now := time.Now().UTC()
	got, err := shop.Do[saved](ctx, r.shop.seller, saleSave, values{"input": values{
		"title": "A sale for the record", "admission": "OPEN_DOOR", "startsAt": now, "endsAt": now.Add(24 * time.Hour), "holdSeconds": int(graphHold / time.Second),
		"limitPerAccount": r.sale.LimitPerAccount, "offers": offers, "idempotencyKey": newKey(),
	}})
	r.sale.ID = got.FlashSaleSave.FlashSale.ID
	return errors.Join(err, got.FlashSaleSave.UserErrors.Err())
}

// quiet waits until nothing is under way any more: whoever checked out knows what came of it, no unit is held, and no order is on its
// way. What does not end is left to the judgement.
func (r *graphRun) quiet(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, graphQuiet)
	defer cancel()
	r.mu.Lock()
	lost := r.lost
	r.lost = nil
	r.mu.Unlock()
	for _, known := range lost {
		for !known(ctx) && ctx.Err() == nil {
			sleepFor(ctx, quietPause)
		}
	}
	for ctx.Err() == nil {
		var held, open int
		err := errors.Join(
			r.shop.tables["flashsale"].QueryRow(ctx, `SELECT count(*) FROM bookings WHERE sale_id = $1 AND status = 'HELD'`, r.sale.ID).Scan(&held),
			r.shop.tables["orders"].QueryRow(ctx, `SELECT count(*) FROM orders WHERE booking_id = ANY($1) AND NOT (stock_settled AND payment_settled)`, r.bookingIDs()).Scan(&open),
		)
		if err == nil && held == 0 && open == 0 {
			return nil
		}
		sleepFor(ctx, quietPause)
	}
	if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return nil
	}
	return ctx.Err()
}

func (r *graphRun) bookingIDs() (ids []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.bookings {
		ids = append(ids, b.ID)
	}
	return ids
}

// census looks at everything when all is quiet, as the tables have it. What names an order in this history is the key of its checkout.
func (r *graphRun) census(ctx context.Context) error {
	done := r.Begin(2*graphCallers, judged.Input{Kind: judged.Census})
	out, err := judged.TakeCensus(ctx, r.shop.tables["flashsale"], r.sale.ID)
	if err != nil {
		return err
	}
	var ordered []string
	for _, b := range out.All {
		ordered = append(ordered, b.OrderID)
	}
	rows, err := r.shop.tables["orders"].Query(ctx, `SELECT order_id, key FROM checkouts WHERE order_id = ANY($1)`, ordered)
	if err != nil {
		return err
	}
	keys := map[string]string{}
	var orderID, key string
	if _, err := pgx.ForEachRow(rows, []any{&orderID, &key}, func() error { keys[orderID] = key; return nil }); err != nil {
		return err
	}
	for i := range out.All {
		if b := &out.All[i]; b.OrderID != "" {
			b.OrderID = or(keys[b.OrderID], b.OrderID)
		}
	}
	done(out)
	return nil
}

// judgeGraph runs sales in a shop of its own, some at once, judges what their buyers were told, and has the books of the shop compared.
func (c flashSaleCommand) judgeGraph(ctx context.Context, dir string, each func(judged.History)) (judged.Report, error) {
	var report judged.Report
	quiet := &process{getenv: func(name string) string {
		return map[string]string{"SOUK_ORDER_EXPIRY": graphExpiry, "SOUK_RATE_SALE": "off"}[name]
	}, stdout: io.Discard, stderr: io.Discard, log: slog.New(slog.DiscardHandler)}
	b, err := openBazaar(ctx, dir, quiet)
	if err != nil {
		return report, err
	}
	defer b.close()
	if err := b.open(ctx, 0); err != nil {
		return report, err
	}
	s, err := openGraphShop(ctx, b)
	if err != nil {
		return report, err
	}
	defer s.close()
	var killing sync.Mutex
	s.killPostgres = func(ctx context.Context) error {
		killing.Lock()
		defer killing.Unlock()
		return b.engines.killPostgres(ctx, postgres.Config{Dir: filepath.Join(dir, "data", "postgres")})
	}
	var g errgroup.Group
	g.SetLimit(graphAtOnce)
	var mu sync.Mutex
	var runs []*graphRun
	for i := range judgedSeeds {
		r, err := s.prepare(ctx, c.Seed+uint64(i), judgedOps, i%graphKill == 1)
		if err != nil {
			return report, err
		}
		runs = append(runs, r)
	}
	for _, r := range runs {
		g.Go(func() error {
			began := time.Now()
			ops, err := r.record(ctx)
			if err != nil {
				return fmt.Errorf("history %d: %w", r.seed, err)
			}
			ran := time.Since(began)
			mu.Lock() // judging takes memory
			defer mu.Unlock()
			h, err := judged.Judge(r.sale, ops, r.seed, ran, time.Minute, os.TempDir())
			if err == nil {
				report.Histories = append(report.Histories, h)
				each(h)
			}
			return err
		})
	}
	err = g.Wait()
	slices.SortFunc(report.Histories, func(x, y judged.History) int { return int(int64(x.Seed) - int64(y.Seed)) })
	return report, errors.Join(err, b.agree(ctx))
}

// agree has the books compared.
func (m *bazaar) agree(ctx context.Context) error {
	books, err := openBooks(ctx, m.postgresURL)
	if err != nil {
		return err
	}
	defer books.close()
	r, err := books.check(ctx)
	if err != nil {
		return err
	}
	if len(r.findings) > 0 {
		return fmt.Errorf("%w: %q", errDisagreement, r.findings)
	}
	return nil
}
