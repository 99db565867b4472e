package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	clientpostgres "github.com/souk-shop/souk/clients/postgres"
	shop "github.com/souk-shop/souk/clients/souk"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/quietport"
	"github.com/souk-shop/souk/subgraphs/accounts"
	"github.com/souk-shop/souk/subgraphs/accounts/argon2id"
	accountstore "github.com/souk-shop/souk/subgraphs/accounts/postgres"
	"github.com/souk-shop/souk/subgraphs/accounts/tokens"
)

// A bazaar is a shop of several processes on engines of this one.
type bazaar struct {
	dir     string
	engines *engines
	url     string              // of PostgreSQL
	env     func(string) string // as the shop's processes have it
	base    string              // where its gateway is
	private string              // host:port of what only operators see

	parts    []*exec.Cmd
	balancer *balancer
	people   []person
	apart    bool     // those who watch are a process of their own
	watchers audience // the last; nil while there is none
	doorKB   float64  // of the gateway's process, before they came

	seller, staff     *shop.Client
	category, variant string
	warehouse         string
}

// A person is an account that wants a unit.
type person struct{ account, token string }

func openBazaar(ctx context.Context, dir string, p *process) (*bazaar, error) {
	e, err := startEngines(ctx, filepath.Join(dir, "data"), 0, p)
	if err != nil {
		return nil, err
	}
	m := &bazaar{dir: dir, engines: e, apart: true, url: e.postgres.URL("souk")}
	gateway, err1 := quietport.Address()
	private, err2 := quietport.Address()
	if err := errors.Join(err1, err2); err != nil {
		m.close()
		return nil, err
	}
	m.base, m.private = "http://"+gateway, private
	engines := e.environment(p.getenv, m.base, m.dir)
	m.env = func(name string) string {
		switch name {
		case "SOUK_ADDR":
			return gateway
		case "SOUK_PRIVATE_ADDR":
			return private
		case "SOUK_LOG_LEVEL":
			return "warn"
		}
		return engines(name)
	}
	return m, nil
}

func (m *bazaar) close() {
	m.shut()
	m.engines.stop()
}

// open starts the shop: in one process, or with flash sales in so many processes of their own, which the gateway finds behind
// one address.
func (m *bazaar) open(ctx context.Context, processes int) error {
	all := strings.Split(partNames(), ", ")
	if processes == 0 {
		if err := m.serve(nil, all...); err != nil {
			return err
		}
		return m.ready(ctx)
	}
	var at []string
	for range processes {
		addr, err := quietport.Address()
		if err != nil {
			return err
		}
		at = append(at, addr)
		if err := m.serve([]string{"SOUK_ADDR=" + addr, "SOUK_PRIVATE_ADDR=127.0.0.1:0"}, "flashsale"); err != nil {
			return err
		}
	}
	var err error
	if m.balancer, err = balance(at); err != nil {
		return err
	}
	others := slices.DeleteFunc(all, func(p string) bool { return p == "flashsale" })
	if err := m.serve([]string{"SOUK_FLASHSALE_URL=http://" + m.balancer.Addr().String()}, others...); err != nil {
		return err
	}
	return m.ready(ctx)
}

func (m *bazaar) ready(ctx context.Context) error {
	if err := awaitReady(ctx, m.base); err != nil {
		return fmt.Errorf("%w\n%s", err, lastLines(m.logFile(), 20))
	}
	return nil
}

func (m *bazaar) logFile() string { return filepath.Join(m.dir, "souk.log") }

// serve starts a process of some parts.
func (m *bazaar) serve(env []string, parts ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(m.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	cmd := exec.Command(self, append([]string{"serve"}, parts...)...)
	cmd.Env = withoutSettings(os.Environ())
	for _, s := range settings {
		if v := m.env(s.name); v != "" {
			cmd.Env = append(cmd.Env, s.name+"="+v)
		}
	}
	cmd.Env = append(cmd.Env, env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us, who end them in order
	if err := cmd.Start(); err != nil {
		return err
	}
	m.parts = append(m.parts, cmd)
	return nil
}

// shut ends the shop's processes as Ctrl-C does, and by force what does not heed it.
func (m *bazaar) shut() {
	var wg sync.WaitGroup
	for _, cmd := range m.parts {
		cmd.Process.Signal(syscall.SIGINT)
		late := time.AfterFunc(longestStop, func() { cmd.Process.Kill() })
		wg.Go(func() { cmd.Wait(); late.Stop() })
	}
	wg.Wait()
	m.parts = nil
	if m.balancer != nil {
		m.balancer.Close()
		m.balancer = nil
	}
}

func (m *bazaar) postgresURL(string) (string, error) { return m.url, nil }

// accountsOf opens the accounts' tables. Nobody becomes staff through the graph, and a hundred thousand people do not register
// while somebody waits.
func (m *bazaar) accountsOf(ctx context.Context, do func(*accountstore.Store, *tokens.Keys, func(from pgx.CopyFromSource) error) error) error {
	pool, err := clientpostgres.Open(ctx, m.url, "accounts")
	if err != nil {
		return err
	}
	defer pool.Close()
	store := accountstore.NewStore(pool)
	keys, err := tokens.Open(ctx, store, clock.System)
	if err != nil {
		return err
	}
	return do(store, keys, func(from pgx.CopyFromSource) error {
		_, err := pool.CopyFrom(ctx, pgx.Identifier{"accounts"}, []string{"id", "email", "password_hash", "display_name", "created_at"}, from)
		return err
	})
}

// populate makes the people of the sale and those who run it. The accounts are rows of the accounts' own table, none of which has
// a password that fits; the tokens are those that the shop issues, signed with its own key, but good for longer.
func (m *bazaar) populate(ctx context.Context, count int) error {
	err := m.accountsOf(ctx, func(store *accountstore.Store, keys *tokens.Keys, add func(pgx.CopyFromSource) error) error {
		a := accounts.New(store, argon2id.New(argon2id.Recommended), keys, clock.System)
		for email, role := range map[string]accounts.Role{seller: accounts.RoleSeller, staff: accounts.RoleStaff} {
			if _, err := a.EnsureAccount(ctx, email, benchPassword, "Aladdin's Lamps", role); err != nil {
				return err
			}
		}
		now := time.Now()
		m.people = make([]person, count)
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(4)
		for lot := range slices.Chunk(m.people, 1000) {
			g.Go(func() (err error) {
				for i := range lot {
					lot[i].account = id.New(id.Account)
					lot[i].token, err = keys.Sign(accounts.Claims{
						AccountID: lot[i].account, SessionID: newKey(), Scopes: []string{}, IssuedAt: now, ExpiresAt: now.Add(2 * time.Hour),
					})
					if err != nil || ctx.Err() != nil {
						return errors.Join(err, ctx.Err())
					}
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		return add(pgx.CopyFromSlice(count, func(i int) ([]any, error) {
			who := m.people[i].account
			return []any{who, strings.ToLower(who) + "@bench.souk.test", "$argon2id$none", "Ann", now}, nil
		}))
	})
	if err != nil {
		return err
	}
	graph := shop.New(m.base + "/graphql")
	if m.seller, err = graph.SignIn(ctx, seller, benchPassword); err != nil {
		return err
	}
	m.staff, err = graph.SignIn(ctx, staff, benchPassword)
	return err
}

// setUp puts so many units of a new variant on sale, from now on.
func (m *bazaar) setUp(ctx context.Context, units int) (sale string, err error) {
	goods, err := m.stockUp(ctx, units)
	if err != nil {
		return "", err
	}
	m.variant = goods[0]
	return m.offer(ctx, units)
}

// stockUp makes a product with a variant for each number, and so many units of it.
func (m *bazaar) stockUp(ctx context.Context, units ...int) (variants []string, err error) {
	if m.warehouse == "" {
		house, err := mutate[struct{ Warehouse struct{ ID string } }](ctx, m.staff, "seller/WarehouseSave", values{"input": values{
			"code": "MSP", "name": "Minneapolis", "pincode": "55425", "country": "US", "latitude": 44.85, "longitude": -93.24,
		}})
		if err != nil {
			return nil, err
		}
		category, err := mutate[struct{ Category struct{ Slug string } }](ctx, m.seller, "seller/CategoryEnsure", values{"path": []string{"Electronics", "Phones"}})
		if err != nil {
			return nil, err
		}
		m.warehouse, m.category = house.Warehouse.ID, category.Category.Slug
	}
	var offered, changes []values
	for i := range units {
		v := values{"sku": newKey(), "price": values{"amount": "19.90", "currencyCode": "USD"}, "weightGrams": 300}
		if len(units) > 1 {
			v["options"] = []values{{"name": "Colour", "value": fmt.Sprintf("Shade %d", i+1)}}
		}
		offered = append(offered, v)
	}
	saved, err := mutate[struct {
		Product struct {
			Variants struct{ Nodes []struct{ ID string } }
		}
	}](ctx, m.seller, "seller/ProductSave", values{"input": values{
		"title": "Midnight Lamp", "description": "The one that everybody wants.", "brand": "Aladdin", "categorySlug": m.category, "variants": offered,
	}})
	if err != nil {
		return nil, err
	}
	for i, v := range saved.Product.Variants.Nodes {
		variants = append(variants, v.ID)
		changes = append(changes, values{"variantId": v.ID, "warehouseId": m.warehouse, "delta": units[i]})
	}
	_, err = mutate[struct{}](ctx, m.seller, "seller/StockAdjust", values{"input": values{
		"changes": changes, "reason": "for the sale", "idempotencyKey": newKey(),
	}})
	return variants, err
}

const saleSave = `mutation ($input: FlashSaleSaveInput!) { flashSaleSave(input: $input) { flashSale { id } userErrors { code message field } } }`

func (m *bazaar) offer(ctx context.Context, units int) (string, error) {
	type saved struct {
		FlashSaleSave struct {
			FlashSale  struct{ ID string }
			UserErrors shop.UserErrors
		}
	}
	now := time.Now().UTC()
	got, err := shop.Do[saved](ctx, m.seller, saleSave, values{"input": values{
		"title": "Midnight Sale", "admission": "OPEN_DOOR", "startsAt": now, "endsAt": now.Add(24 * time.Hour), "holdSeconds": int(saleHold / time.Second),
		"offers":         []values{{"variantId": m.variant, "price": values{"amount": bookingPrice, "currencyCode": "USD"}, "quantity": units}},
		"idempotencyKey": newKey(),
	}})
	return got.FlashSaleSave.FlashSale.ID, errors.Join(err, got.FlashSaleSave.UserErrors.Err())
}

// saleCounts is how a sale stands.
type saleCounts struct {
	Remaining int   `json:"remaining"`
	Held      int   `json:"held"`
	Sold      int   `json:"sold"`
	Seq       int64 `json:"seq"`
}

func (m *bazaar) counts(ctx context.Context, sale string) (saleCounts, error) {
	got, err := shop.Do[struct{ FlashSale struct{ Live saleCounts } }](ctx, m.seller,
		`query ($id: ID!) { flashSale(id: $id) { live { remaining held sold seq } } }`, values{"id": sale})
	return got.FlashSale.Live, err
}

// shares is CPU time by whose it is.
type shares struct{ shop, postgres, clients, watchers time.Duration }

func (s shares) minus(o shares) shares {
	return shares{s.shop - o.shop, s.postgres - o.postgres, s.clients - o.clients, s.watchers - o.watchers}
}

// cpu tells what the shop's processes took so far, PostgreSQL, the process of those who watch, and this one: the clients, with the
// engines that are no processes of their own.
func (m *bazaar) cpu() (s shares) {
	of := cpuOf(os.Getpid())
	s.clients, s.postgres = of.own, of.children
	for _, cmd := range m.parts {
		is := cpuTime(cmd.Process.Pid)
		s.shop += is
		s.postgres -= is
	}
	if m.watchers != nil {
		s.watchers = m.watchers.used()
		s.postgres -= s.watchers
	}
	return s
}

const profileSeconds = 5

// profile begins to watch the CPU of the process with the gateway, if that is wanted; what it returns waits for the profile.
func (m *bazaar) profile(ctx context.Context, dir string, processes int) (wait func() error) {
	if dir == "" {
		return func() error { return nil }
	}
	done := make(chan error, 1)
	go func() {
		done <- keep(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", m.private, profileSeconds), filepath.Join(dir, fmt.Sprintf("flashsale-%d.pprof", processes)))
	}()
	return func() error { return <-done }
}

// keep writes what a URL answers into a file.
func keep(ctx context.Context, url, file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, res.Status)
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, res.Body)
	return errors.Join(err, f.Close())
}
