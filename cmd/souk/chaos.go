package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	clientpostgres "github.com/souk-shop/souk/clients/postgres"
	shop "github.com/souk-shop/souk/clients/souk"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/subgraphs/accounts"
	"github.com/souk-shop/souk/subgraphs/accounts/argon2id"
	accountstore "github.com/souk-shop/souk/subgraphs/accounts/postgres"
)

type chaosCommand struct {
	Units    int     `help:"Units in the sale." default:"10000"`
	Accounts int     `help:"How many want one." default:"100000"`
	Minutes  float64 `help:"How long they come, with faults all the while." default:"6"`
	Seed     uint64  `help:"Draws the faults and what people do; 0 draws one."`
	Kills    int     `help:"How often PostgreSQL is killed." default:"5"`
	Network  int     `help:"How often each fault of the network happens." default:"3"`
	Watchers int     `help:"Sockets that watch the counts, at each gateway." default:"20"`
	Together bool    `help:"Run what has little to do with the sale as one process."`
	Keep     bool    `help:"Keep logs and data also when nothing is wrong."`
	JSON     bool    `name:"json" help:"Print one JSON document instead of text."`

	program string // what is run; "" for this one
}

const (
	chaosPrice = "9.90"
	chaosHold  = 5 // seconds
)

// errChaos is why souk chaos ends with 1.
var errChaos = errors.New("the shop did not come through")

// Run sells while everything breaks, and judges what is left. It fails when anything is wrong then.
func (c chaosCommand) Run(ctx context.Context, p *process) error {
	if c.Units < 1 || c.Accounts < 1 || c.Minutes <= 0 || c.Minutes > 60 || c.Kills < 0 || c.Network < 0 {
		return errors.New("--units, --accounts and --minutes have to be more than nothing, and --minutes at most 60")
	}
	if c.Seed == 0 {
		c.Seed = rand.Uint64N(1_000_000) + 1
	}
	if c.program == "" {
		var err error
		if c.program, err = os.Executable(); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp("", "souk-chaos-")
	if err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // PostgreSQL may run as somebody else
		return err
	}
	run := &chaosRun{chaosCommand: c, process: p, report: &chaosReport{
		Version: version(), Machine: thisMachine(), Seed: c.Seed, Units: c.Units, Accounts: c.Accounts, Findings: []string{},
	}}
	if err := run.do(ctx, dir); err != nil {
		return fmt.Errorf("%w (logs and data are in %s)", err, dir)
	}
	write := run.report.writeText
	if c.JSON {
		write = run.report.writeJSON
	}
	found := len(run.report.Findings) > 0
	if found || c.Keep {
		run.report.Logs = dir
	} else if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := write(p.stdout); err != nil || !found {
		return err
	}
	return errChaos
}

// A chaosRun is one run of souk chaos.
type chaosRun struct {
	chaosCommand
	*process
	report *chaosReport
}

func (r *chaosRun) say(format string, args ...any) {
	fmt.Fprintf(r.stderr, "chaos: "+format+"\n", args...)
}

func (r *chaosRun) do(ctx context.Context, dir string) error {
	r.say("seed %d; logs in %s", r.Seed, filepath.Join(dir, "logs"))
	rng := rand.New(rand.NewPCG(r.Seed, 0))
	s, err := openChaosShop(ctx, dir, r.Together, r.program, rand.New(rand.NewPCG(r.Seed, 1)))
	if err != nil {
		return fmt.Errorf("the shop does not start: %w", err)
	}
	defer s.close()
	here := func(string) (string, error) { return s.databases, nil }
	seller, variant, err := r.stockUp(ctx, s, here)
	if err != nil {
		return fmt.Errorf("goods: %w", err)
	}
	pool, err := pgxpool.New(ctx, s.databases)
	if err != nil {
		return err
	}
	people, err := populate(ctx, pool, rng, r.Accounts, chaosCards)
	pool.Close()
	if err != nil {
		return fmt.Errorf("accounts: %w", err)
	}
	keys, done, err := openSigner(ctx, here)
	if err != nil {
		return err
	}
	defer done()
	crowd := newChaosCrowd(r.Seed, s, people, keys)
	crowd.variant = variant
	if crowd.sale, err = r.openSale(ctx, seller, variant); err != nil {
		return fmt.Errorf("sale: %w", err)
	}
	dust, err := openAftermath(ctx, s, crowd.sale)
	if err != nil {
		return err
	}
	defer dust.close()
	audience := watchChaos(bases(s.gateways), crowd.sale, r.Watchers, r.Units)
	defer audience.close()
	if err := r.storm(ctx, s, crowd, rng); err != nil {
		return err
	}
	return r.judge(ctx, s, crowd, dust, audience, seller)
}

// storm lets people and faults come at once, and returns when all have gone.
func (r *chaosRun) storm(ctx context.Context, s *chaosShop, crowd *chaosCrowd, rng *rand.Rand) error {
	span := time.Duration(r.Minutes * float64(time.Minute))
	faults := drawFaults(rng, span, s.processes(), r.Kills, r.Network)
	for _, f := range faults {
		r.say("%s", f)
	}
	began := time.Now()
	struck := make([]chaosStruck, len(faults))
	at := make([]time.Time, len(faults))
	var failed error
	var mu sync.Mutex
	var storm sync.WaitGroup
	for i, f := range faults {
		storm.Go(func() {
			sleepFor(ctx, time.Until(began.Add(f.After)))
			if ctx.Err() != nil {
				return
			}
			at[i] = time.Now()
			err := s.strike(ctx, f)
			back := time.Since(at[i])
			struck[i] = chaosStruck{seconds(at[i].Sub(began)), f.Kind, f.Target, seconds(f.For), seconds(back), nil}
			r.say("%6.1f s  %s: back after %.2f s", time.Since(began).Seconds(), f.Kind+" "+f.Target, back.Seconds())
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = errors.Join(failed, fmt.Errorf("%s: %w", f, err))
			}
		})
	}
	coming, cancel := context.WithTimeout(ctx, span*3/2)
	crowd.rush(coming, span)
	cancel()
	storm.Wait()
	r.report.Rush = seconds(time.Since(began))
	for i := range struck {
		if next, any := crowd.nextBooking(at[i]); any {
			in := seconds(next)
			struck[i].NextBooking = &in
		}
	}
	r.report.Faults = struck
	s.bank.sound.Store(true)
	return errors.Join(failed, ctx.Err())
}

// judge waits until the shop has finished everything, and looks for what cannot be true.
func (r *chaosRun) judge(ctx context.Context, s *chaosShop, c *chaosCrowd, d *chaosAftermath, a *chaosAudience, seller *shop.Client) error {
	r.say("the dust settles")
	if err := s.ready(ctx); err != nil {
		return err
	}
	took, err := d.settle(ctx, r.say)
	r.report.Settled = seconds(took)
	find := func(format string, args ...any) {
		r.report.Findings = append(r.report.Findings, fmt.Sprintf(format, args...))
	}
	if err != nil {
		find("it does not settle: %s", err)
	}
	if err := d.verdict(ctx, c, r.report); err != nil {
		return err
	}
	now, _, err := d.counts(ctx)
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(longestRecovery); a.behind(now) > 0 && time.Now().Before(deadline) && ctx.Err() == nil; {
		sleepFor(ctx, 100*time.Millisecond)
	}
	if n := a.behind(now); n > 0 {
		find("%d of %d watchers have not seen the counts as they are: %+v", n, len(a.seen), now)
	}
	a.close()
	if err := r.callOff(ctx, d, c, seller); err != nil {
		find("calling the sale off: %s", err)
	}
	r.tell(s, c, a)
	return nil
}

// callOff ends the sale and waits until what it did not sell is back in stock.
func (r *chaosRun) callOff(ctx context.Context, d *chaosAftermath, c *chaosCrowd, seller *shop.Client) error {
	if _, err := mutateText[struct{}](ctx, seller, chaosEnd, values{"id": c.sale}); err != nil {
		return err
	}
	if _, err := d.settle(ctx, r.say); err != nil {
		return err
	}
	return d.inStock(ctx, c.variant, r.report)
}

// tell puts into the report what people, watchers and the supervisor saw.
func (r *chaosRun) tell(s *chaosShop, c *chaosCrowd, a *chaosAudience) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := r.report
	out.Came, out.Bookings, out.Answers, out.Ends, out.Troubles = c.came, len(c.bookings), c.answers, c.ends, c.troubles
	out.Unknown, out.GaveUp, out.Quiet = c.unknown, c.gaveUp, seconds(c.quiet.longest)
	out.HangUps, out.Lateness = s.bank.hangUps.Load(), s.bank.lateness.Load()
	out.Watchers, out.Told, out.WatchEnds = len(a.seen), a.messages, a.ends
	out.Findings = append(append(out.Findings, c.broken...), a.broken...)
	for what, n := range c.odd {
		out.Findings = append(out.Findings, fmt.Sprintf("%d times a buyer was answered: %s", n, what))
	}
	out.Restarts = map[string]int{}
	for _, k := range s.keepers {
		for _, end := range k.Ends() {
			if !end.Served {
				out.Restarts[k.Name]++
				continue
			}
			out.Findings = append(out.Findings, fmt.Sprintf("%s ended by itself: %v", k.Name, end.Err))
		}
	}
	out.Findings = append(out.Findings, s.panics()...)
	if c.came > 0 && len(c.bookings) == 0 {
		out.Findings = append(out.Findings, "nobody could book")
	}
}

// stockUp puts one thing on the shelves, as many of it as the sale has.
func (r *chaosRun) stockUp(ctx context.Context, s *chaosShop, databaseURL func(string) (string, error)) (seller *shop.Client, variant string, err error) {
	pool, err := openPart(ctx, databaseURL, "accounts")
	if err != nil {
		return nil, "", err
	}
	defer pool.Close()
	all := accounts.New(accountstore.NewStore(pool), argon2id.New(argon2id.Recommended), nil, clock.System)
	graph := shop.New("http://" + s.gateways[0] + "/graphql")
	as := map[accounts.Role]*shop.Client{}
	for role, email := range map[accounts.Role]string{accounts.RoleSeller: "seller@souk.test", accounts.RoleStaff: "staff@souk.test"} {
		if _, err := all.EnsureAccount(ctx, email, benchPassword, "Aladdin's Lamps", role); err != nil {
			return nil, "", err
		}
		if as[role], err = graph.SignIn(ctx, email, benchPassword); err != nil {
			return nil, "", err
		}
	}
	seller = as[accounts.RoleSeller]
	warehouse, err := mutate[struct{ Warehouse struct{ ID string } }](ctx, as[accounts.RoleStaff], "seller/WarehouseSave", values{"input": values{
		"code": "MSP", "name": "Minneapolis", "pincode": "55425", "country": "US", "latitude": 44.85, "longitude": -93.24,
	}})
	if err != nil {
		return nil, "", err
	}
	category, err := mutate[struct{ Category struct{ Slug string } }](ctx, seller, "seller/CategoryEnsure", values{"path": []string{"Electronics", "Lamps"}})
	if err != nil {
		return nil, "", err
	}
	saved, err := mutate[struct {
		Product struct {
			Variants struct{ Nodes []struct{ ID string } }
		}
	}](ctx, seller, "seller/ProductSave", values{"input": values{
		"title": "Magic Lamp", "description": "A lamp, new in its box.", "categorySlug": category.Category.Slug, "brand": "Aladdin",
		"variants": []values{{"sku": "LAMP-1", "price": values{"amount": "19.90", "currencyCode": "USD"}, "weightGrams": 300}},
	}})
	if err != nil {
		return nil, "", err
	}
	variant = saved.Product.Variants.Nodes[0].ID
	return seller, variant, adjustStock(ctx, seller, "chaos", []stockChange{{variant, warehouse.Warehouse.ID, r.Units}})
}

// openSale puts all units on sale. Holds are short, so that many end in the run.
func (r *chaosRun) openSale(ctx context.Context, seller *shop.Client, variant string) (string, error) {
	now := time.Now().UTC()
	saved, err := mutateText[struct{ FlashSale struct{ ID string } }](ctx, seller, chaosSave, values{"input": values{
		"title": "Chaos", "admission": "OPEN_DOOR", "startsAt": now, "endsAt": now.Add(2 * time.Hour), "holdSeconds": chaosHold, "idempotencyKey": id.New(id.Event),
		"offers": []values{{"variantId": variant, "price": values{"amount": chaosPrice, "currencyCode": "USD"}, "quantity": r.Units}},
	}})
	return saved.FlashSale.ID, err
}

// openPart opens a subgraph's tables.
func openPart(ctx context.Context, databaseURL func(string) (string, error), part string) (*pgxpool.Pool, error) {
	at, err := databaseURL(part)
	if err != nil {
		return nil, err
	}
	if _, err := url.Parse(at); err != nil {
		return nil, err
	}
	return clientpostgres.Open(ctx, narrow(at), part)
}
