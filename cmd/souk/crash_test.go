package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/souk-shop/souk/clients/postgres"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	salestore "github.com/souk-shop/souk/subgraphs/flashsale/postgres"
	"github.com/souk-shop/souk/subgraphs/inventory"
	inventorystore "github.com/souk-shop/souk/subgraphs/inventory/postgres"
	"github.com/souk-shop/souk/subgraphs/orders"
	"github.com/souk-shop/souk/subgraphs/orders/jobs"
	orderstore "github.com/souk-shop/souk/subgraphs/orders/postgres"
	"github.com/souk-shop/souk/subgraphs/payments"
	paymentstore "github.com/souk-shop/souk/subgraphs/payments/postgres"
)

var update = flag.Bool("update", false, "write what tests write anew: docs/crash-matrix.md")

// The test binary is its own victim: with this variable set it does one step of one case, and is killed on the way.
const victim = "SOUK_CRASH_VICTIM"

func TestMain(m *testing.M) {
	if step := os.Getenv(victim); step != "" {
		if err := live(context.Background(), step); err != nil {
			fmt.Fprintln(os.Stderr, "victim:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if dir := os.Getenv(victimShop); dir != "" {
		if err := liveShop(context.Background(), dir); err != nil {
			fmt.Fprintln(os.Stderr, "victim:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if name := os.Getenv(victimPart); name != "" {
		if err := livePart(context.Background(), name); err != nil {
			fmt.Fprintln(os.Stderr, "victim:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) > 2 && os.Args[1] == "bench" && os.Args[2] == "gallery" { // those who watch a sale, in a process of their own
		if err := souk(context.Background(), os.Args[1:], os.Getenv, os.Stdout, os.Stderr); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A crash is one row of the matrix: who does what, in a process that is killed before or after its n-th write.
type crash struct {
	Story           string
	At              int
	After           bool
	URL, Bank       string
	Now             time.Time
	Variant         string
	Account, Method string
	Sale, Booking   string
	Key             string
}

// A saleStep is one step in the life of a sale: what there is before it, what the process does that is killed, and how it may end.
type saleStep struct {
	name  string
	what  string
	sets  func(ctx context.Context, f *floor, c *crash) error
	does  func(ctx context.Context, f *floor, c crash) error
	ends  []string // when nobody asks again
	again []string // when whoever asked asks again at once
}

func (c crash) who() viewer.Viewer { return viewer.Viewer{AccountID: c.Account} }

// patience is short where it will not help: nothing else may depend on how fast the machine is.
func (c crash) patience() time.Duration {
	if c.Story == noAnswer {
		return 150 * time.Millisecond
	}
	return time.Minute
}

const noAnswer = "checkout, no answer"

func (c crash) plan(units int) flashsale.Plan {
	return flashsale.Plan{
		SaleID: c.Sale, Title: "A sale", LimitPerAccount: 1, HoldTime: 4 * time.Minute, StartsAt: c.Now.Add(time.Minute), EndsAt: c.Now.Add(28 * 24 * time.Hour),
		Offers: []flashsale.PlannedOffer{{VariantID: c.Variant, Price: money.Money{Amount: 990, Currency: "USD"}, Quantity: units, LimitPerAccount: 1}},
	}
}

// onSale sets up a sale of five, which is open from two minutes on; booked also books one.
func onSale(ctx context.Context, f *floor, c *crash) error {
	s, err := f.sales.Save(ctx, theSeller, c.plan(5), id.New(id.Event))
	c.Sale = s.ID
	return err
}

func opened(ctx context.Context, f *floor, c *crash) error {
	if err := onSale(ctx, f, c); err != nil {
		return err
	}
	f.clock.Advance(2 * time.Minute)
	return f.sales.SweepNow(ctx)
}

func booked(ctx context.Context, f *floor, c *crash) error {
	if err := opened(ctx, f, c); err != nil {
		return err
	}
	res, err := f.sales.Book(ctx, c.who(), c.Sale, "", id.New(id.Event))
	if err == nil {
		c.Booking = res.Booking.ID
	}
	return err
}

func payingBy(token string) func(context.Context, *floor, *crash) error {
	return func(ctx context.Context, f *floor, c *crash) error {
		m, err := f.payments.AddMethod(ctx, c.who(), token, payments.Card, true)
		c.Method = m.ID
		return errors.Join(err, booked(ctx, f, c))
	}
}

// pay checks out, and then does what the queue of jobs does. The first is what the buyer asks for.
func pay(ctx context.Context, f *floor, c crash) error {
	out, err := f.checkout.Complete(ctx, c.who(), orders.Input{
		BookingID: c.Booking, AddressID: "adr_01M80CVGGHD5GXZDTNDW7CZDS7", PaymentMethodID: c.Method, ExpectedTotal: money.Money{Amount: 990, Currency: "USD"}, Key: c.Key,
	})
	if err != nil || out.Order == nil {
		return err
	}
	_, err = f.checkout.Advance(orders.InBackground(ctx), out.Order.ID)
	return err
}

const (
	soldToThem = "15 in stock, 4 left, 0 held, 1 sold; booking BOOKED; order PLACED; payment CAPTURED"
	ranOut     = "15 in stock, 5 left, 0 held, 0 sold; booking EXPIRED"
	gaveBack   = "15 in stock, 5 left, 0 held, 0 sold; booking RELEASED"
	untouched  = "15 in stock, 5 left, 0 held, 0 sold"
)

var saleSteps = []saleStep{
	{"set-up", "`flashSaleSave` of a new sale of 5 of the 20 in stock",
		func(context.Context, *floor, *crash) error { return nil },
		func(ctx context.Context, f *floor, c crash) error {
			_, err := f.sales.Save(ctx, theSeller, c.plan(5), c.Key)
			return err
		},
		[]string{"20 in stock", untouched}, []string{untouched}},
	{"more units", "`flashSaleSave` of 8 instead of 5", onSale, func(ctx context.Context, f *floor, c crash) error {
		_, err := f.sales.Save(ctx, theSeller, c.plan(8), c.Key)
		return err
	}, []string{untouched, "12 in stock, 8 left, 0 held, 0 sold"}, []string{"12 in stock, 8 left, 0 held, 0 sold"}},
	{"fewer units", "`flashSaleSave` of 2 instead of 5", onSale, func(ctx context.Context, f *floor, c crash) error {
		_, err := f.sales.Save(ctx, theSeller, c.plan(2), c.Key)
		return err
	}, []string{untouched, "18 in stock, 2 left, 0 held, 0 sold"}, []string{"18 in stock, 2 left, 0 held, 0 sold"}},
	{"calling off", "`flashSaleCancel`", onSale, func(ctx context.Context, f *floor, c crash) error {
		_, err := f.sales.Cancel(ctx, theSeller, c.Sale)
		return err
	}, []string{untouched, "20 in stock, 0 left, 0 held, 0 sold"}, []string{"20 in stock, 0 left, 0 held, 0 sold"}},
	{"booking", "`flashSaleBook`", opened, func(ctx context.Context, f *floor, c crash) error {
		_, err := f.sales.Book(ctx, c.who(), c.Sale, "", c.Key)
		return err
	}, []string{untouched, ranOut}, []string{ranOut}},
	{"release", "`flashSaleRelease`", booked, func(ctx context.Context, f *floor, c crash) error {
		_, err := f.sales.Release(ctx, c.who(), c.Booking)
		return err
	}, []string{ranOut, gaveBack}, []string{gaveBack}},
	{"expiry", "the sweep, when a hold has run out", func(ctx context.Context, f *floor, c *crash) error {
		err := booked(ctx, f, c)
		f.clock.Advance(5 * time.Minute)
		return err
	}, func(ctx context.Context, f *floor, _ crash) error { return f.sales.SweepNow(ctx) }, []string{ranOut}, []string{ranOut}},
	{"checkout, paid", "`checkoutComplete` with a booking, and the money taken", payingBy("tok_4242"), pay,
		[]string{ranOut, soldToThem}, []string{soldToThem}},
	{"checkout, declined", "the same with a card that is declined", payingBy("tok_0002"), pay,
		[]string{ranOut, gaveBack + "; order CANCELLED", gaveBack + "; order CANCELLED; payment FAILED"}, []string{gaveBack + "; order CANCELLED; payment FAILED"}},
	{noAnswer, "the same with a bank that never answers, until the order gives up", payingBy("tok_0044"), func(ctx context.Context, f *floor, c crash) error {
		err := pay(ctx, f, c)
		f.clock.Advance(orderExpiry)
		return errors.Join(err, pay(ctx, f, c))
	}, []string{ranOut, gaveBack + "; order CANCELLED", gaveBack + "; order CANCELLED; payment TIMED_OUT", gaveBack + "; order CANCELLED; payment VOIDED"},
		[]string{gaveBack + "; order CANCELLED; payment TIMED_OUT", gaveBack + "; order CANCELLED; payment VOIDED"}},
}

func saleStepNamed(name string) saleStep {
	return saleSteps[slices.IndexFunc(saleSteps, func(s saleStep) bool { return s.name == name })]
}

// live is the process that is killed. One that gets to the end lists what it wrote.
func live(ctx context.Context, step string) error {
	var c crash
	if err := json.Unmarshal([]byte(step), &c); err != nil {
		return err
	}
	trip := &tripwire{at: c.At, after: c.After}
	pools, err := openTables(ctx, c.URL)
	if err != nil {
		return err
	}
	defer pools.close()
	f, err := openFloor(pools, c.Bank, c.patience(), c.Now, trip)
	if err != nil {
		return err
	}
	if err := saleStepNamed(c.Story).does(ctx, f, c); err != nil {
		return err
	}
	f.payments.Rest()
	fmt.Println(strings.Join(trip.passed, "\n"))
	return f.close()
}

// A process that is killed before or after any of its writes leaves what another one brings to its end: exactly one of the states that
// it may end in, with every unit accounted for: S118, a fault at any step of the saga, and the unit returns. The table of all that is
// docs/crash-matrix.md, written with -update.
func TestCrashMatrix(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	for part, migrations := range map[string]fs.FS{"flashsale": salestore.Migrations, "inventory": inventorystore.Migrations, "orders": orderstore.Migrations, "payments": paymentstore.Migrations} {
		pool, err := postgres.Open(t.Context(), url, part)
		if err != nil {
			t.Fatal(err)
		}
		if err = postgres.Migrate(t.Context(), pool, migrations); err == nil && part == "orders" {
			err = jobs.Migrate(t.Context(), pool)
		}
		pool.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	pools, err := openTables(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pools.close)
	w := &crashes{t: t, url: url, pools: pools, dir: t.TempDir(), now: time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)}
	var table strings.Builder
	table.WriteString(crashIntro)
	for _, s := range saleSteps {
		fmt.Fprintf(&table, "\n## %s\n\n%s. May end as: %s.\n\n", strings.ToUpper(s.name[:1])+s.name[1:], strings.ToUpper(s.what[:1])+s.what[1:], strings.Join(unique(slices.Concat(s.ends, s.again)), "; or "))
		table.WriteString("| killed | what is found | in the end, when nobody asks again | in the end, when they ask again at once |\n|---|---|---|---|\n")
		writes := w.writes(s)
		for n, name := range writes {
			for _, after := range []bool{false, true} {
				when := map[bool]string{false: "before", true: "after"}[after]
				found, end := w.kill(s, n+1, after, false)
				foundAgain, endAgain := w.kill(s, n+1, after, true)
				if foundAgain != found {
					t.Errorf("%s, %s %s: found %q and then %q", s.name, when, name, found, foundAgain)
				}
				if !slices.Contains(s.ends, end) {
					t.Errorf("%s, killed %s %d %s: ended as %q", s.name, when, n+1, name, end)
				}
				if !slices.Contains(s.again, endAgain) {
					t.Errorf("%s, killed %s %d %s, asked again: ended as %q", s.name, when, n+1, name, endAgain)
				}
				fmt.Fprintf(&table, "| %s %d %s | %s | %s | %s |\n", when, n+1, name, found, end, endAgain)
			}
		}
	}
	w.agree()
	file := filepath.Join("..", "..", "docs", "crash-matrix.md")
	if *update && !t.Failed() {
		if err := os.WriteFile(file, []byte(table.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if is, err := os.ReadFile(file); err != nil || string(is) != table.String() {
		t.Errorf("docs/crash-matrix.md is not what happens (%v): run `go test ./cmd/souk -run TestCrashMatrix -update` and read the difference", err)
	}
	t.Logf("%d processes killed", w.killed)
}

const crashIntro = `# What is left when a process is killed

Written by ` + "`go test ./cmd/souk -run TestCrashMatrix -update`" + `; the test fails while this page is not what happens.

What is killed is one process that holds flash sales, stock, orders and payments, as all of a small shop is one: they call each other
directly, and not over NATS, and no gateway is in front. [Where flash sales and orders are processes of their own](crash-matrix-processes.md),
and one of them dies, is another page; what comes of a whole shop while everything is killed in turn is ` + "`make chaos`" + `'s.

For every write of every step below, such a process on a real PostgreSQL is killed by SIGKILL right before it and right after it. Then
another process does what the shop does by itself, or whoever asked also asks again with the same key. Each row says what the killed process
left, and how it ended. What only reads is no row: killed there is killed between the writes around it. In the end ` + "`souk check`" + ` finds
nothing in the database that all of this happened in, and every unit is in stock, in the sale, or sold.
`

// crashes is where all of it takes place.
type crashes struct {
	t         *testing.T
	url, dir  string
	pools     tables
	now       time.Time // no two cases share a moment
	n, killed int
}

func (w *crashes) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// set prepares a case: goods of its own, a buyer of its own.
func (w *crashes) set(s saleStep) crash {
	w.t.Helper()
	w.n++
	w.now = w.now.Add(2 * time.Hour)
	c := crash{
		Story: s.name, URL: w.url, Bank: filepath.Join(w.dir, fmt.Sprintf("bank-%d", w.n)), Now: w.now,
		Variant: id.New(id.Variant), Account: id.New(id.Account), Key: id.New(id.Event),
	}
	ctx := w.t.Context()
	f, err := openFloor(w.pools, c.Bank, c.patience(), c.Now, nil)
	w.must(err)
	shelf, err := f.stock.SaveWarehouse(ctx, theStaff, inventory.Warehouse{Code: "BLR-1", Name: "Shelf", Pincode: "560001", Country: "IN"})
	w.must(err)
	_, err = f.stock.Adjust(ctx, theSeller, []inventory.Change{{VariantID: c.Variant, WarehouseID: shelf.ID, Delta: 20}}, "", id.New(id.Event))
	w.must(err)
	w.must(s.sets(ctx, f, &c))
	c.Now = f.clock.Now()
	w.must(f.close())
	return c
}

// victim runs a case in a process of its own, and returns what it printed. It is false when the process was killed.
func (w *crashes) victim(c crash) (string, bool) {
	w.t.Helper()
	step, err := json.Marshal(c)
	w.must(err)
	self, err := os.Executable()
	w.must(err)
	cmd := exec.CommandContext(w.t.Context(), self)
	var said, why bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), victim+"="+string(step)), &said, &why
	err = cmd.Run()
	if err == nil {
		return said.String(), true
	}
	var ended *exec.ExitError
	if !errors.As(err, &ended) || ended.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		w.t.Fatalf("%s, %d %v: %v: %s", c.Story, c.At, c.After, err, why.String())
	}
	w.killed++
	return "", false
}

// writes lets a case live, and lists what it writes.
func (w *crashes) writes(s saleStep) []string {
	w.t.Helper()
	said, lived := w.victim(w.set(s))
	if !lived {
		w.t.Fatal("killed by nobody")
	}
	return strings.Split(strings.TrimSpace(said), "\n")
}

// kill kills a case at a write, and returns what is found then and in the end.
func (w *crashes) kill(s saleStep, at int, after, again bool) (found, end string) {
	w.t.Helper()
	c := w.set(s)
	c.At, c.After = at, after
	if _, lived := w.victim(c); lived {
		w.t.Fatalf("%s lives on after write %d", s.name, at)
	}
	ctx := w.t.Context()
	f, err := openFloor(w.pools, c.Bank, c.patience(), c.Now, nil)
	w.must(err)
	defer func() { w.must(f.close()) }()
	found = w.look(f, c)
	if again {
		for range 3 { // a while of it may be up to others, such as the bank
			if err = s.does(ctx, f, c); err == nil {
				break
			}
			w.must(f.goOn(ctx, 1, 20*time.Second))
		}
		w.must(err)
	}
	_ = f.goOn(ctx, 3, 20*time.Second)  // some of it has to be tried again
	_ = f.goOn(ctx, 1, 270*time.Second) // orders give up,
	_ = f.goOn(ctx, 1, 10*time.Minute)  // and holds run out
	w.must(f.goOn(ctx, 2, 40*time.Second))
	return found, w.look(f, c)
}

// look says how a case stands, in the words of the table.
func (w *crashes) look(f *floor, c crash) string {
	w.t.Helper()
	return standing(w.t, f.pools, c.Variant, c.Account)
}

// standing says how the units of a variant stand, and what an account has of them.
func standing(t *testing.T, pools tables, variant, account string) string {
	t.Helper()
	one := func(part, sql string, args ...any) string {
		var is *string
		err := pools[part].QueryRow(t.Context(), `SELECT string_agg(is_so, ', ' ORDER BY is_so) FROM (`+sql+`) AS found (is_so)`, args...).Scan(&is)
		if err != nil {
			t.Fatal(err)
		}
		if is == nil {
			return ""
		}
		return *is
	}
	var says []string
	add := func(format, is string) {
		if is != "" {
			says = append(says, fmt.Sprintf(format, is))
		}
	}
	units := one("inventory", `SELECT (on_hand - held)::text FROM stock WHERE variant_id = $1`, variant) + " in stock"
	if pool := one("flashsale", `SELECT format('%s left, %s held, %s sold', remaining, held, sold) FROM pools WHERE variant_id = $1`, variant); pool != "" {
		units += ", " + pool
	}
	add("%s", units)
	add("change %s", one("flashsale", `SELECT decision FROM changes WHERE decision = 'PENDING' AND plan->'Offers'->0->>'VariantID' = $1`, variant))
	add("%s on their way back", one("flashsale", `SELECT n.quantity::text FROM transfers t, jsonb_to_recordset(t.lines) AS n ("variantId" text, quantity integer)
		WHERE t.done_at IS NULL AND n."variantId" = $1`, variant))
	add("booking %s", one("flashsale", `SELECT status || CASE WHEN order_id <> '' AND status = 'HELD' THEN ' for an order' ELSE '' END FROM bookings WHERE variant_id = $1`, variant))
	add("order %s", one("orders", `SELECT status FROM orders WHERE account_id = $1`, account))
	add("payment %s", one("payments", `SELECT status FROM payments WHERE account_id = $1`, account))
	return strings.Join(says, "; ")
}

// agree checks all that happened with what souk check looks at.
func (w *crashes) agree() {
	w.t.Helper()
	var said strings.Builder
	err := souk(w.t.Context(), []string{"check"}, func(name string) string {
		return map[string]string{"SOUK_POSTGRES_URL": w.url}[name]
	}, &said, io.Discard)
	if err != nil || !strings.Contains(said.String(), " 0 under way, 0 findings") {
		w.t.Errorf("souk check: %v\n%s", err, said.String())
	}
}

func unique(all []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(s string) bool {
		was := seen[s]
		seen[s] = true
		return was
	})
}
