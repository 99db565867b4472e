package main

import (
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/souk-shop/souk/clients/psp"
	"github.com/souk-shop/souk/clients/psp/fake"
	"github.com/souk-shop/souk/internal/money"
)

// A sale in which everything dies once: PostgreSQL twice, every process, the network in every way, while the bank hangs up and
// buyers ask again. What is right in the end does not depend on how fast this machine is.
func TestChaos(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "souk")
	// Not this test's own program: with the race detector a dozen of it take more than two cores have.
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute) // a hang, not a slow machine
	defer cancel()
	var out, progress bytes.Buffer
	run := exec.CommandContext(ctx, program, "chaos", "--json", "--together", "--seed", "7",
		"--units", "300", "--accounts", "2000", "--minutes", "0.35", "--kills", "2", "--network", "1", "--watchers", "5")
	run.Stdout, run.Stderr = &out, &progress
	run.Cancel = func() error { return run.Process.Signal(os.Interrupt) }
	run.WaitDelay = time.Minute
	err := run.Run()
	var r chaosReport
	if json.Unmarshal(out.Bytes(), &r) != nil {
		t.Fatalf("no report: %v\n%s\n%s", err, &out, &progress)
	}
	var text strings.Builder
	r.writeText(&text)
	t.Logf("%s\n%s", &progress, &text)
	if err != nil {
		t.Errorf("%v; logs are in %s", err, r.Logs)
	}
	if len(r.Findings) > 0 || r.Sold+r.Remaining != 300 || r.Oversold != 0 || r.Lost != 0 || r.Captures != r.Booked {
		t.Errorf("%d findings: %q", len(r.Findings), r.Findings)
	}
	if r.Booked == 0 || r.Bookings == 0 || len(r.Faults) != 16 {
		t.Errorf("%d booked, %d faults: it shows nothing", r.Booked, len(r.Faults))
	}
}

// The seed draws everything, every process dies once, and all of it happens while people come.
func TestFaultsAreDrawn(t *testing.T) {
	t.Parallel()
	processes := []string{"orders", "gateway-1", "gateway-2"}
	draw := func(seed uint64) []chaosFault {
		return drawFaults(rand.New(rand.NewPCG(seed, 0)), time.Minute, processes, 5, 2)
	}
	faults := draw(1)
	if !slices.Equal(faults, draw(1)) || slices.Equal(faults, draw(2)) {
		t.Error("not the seed decides")
	}
	count := map[string]int{}
	for i, f := range faults {
		count[f.Kind]++
		if f.Kind == faultKill {
			count[f.Target]++
		}
		if f.After < 6*time.Second || f.After > 49*time.Second || i > 0 && f.After < faults[i-1].After {
			t.Errorf("%s", f)
		}
	}
	for what, want := range map[string]int{"orders": 1, "gateway-1": 1, "gateway-2": 1, enginePostgres: 5, faultRestart: 1, faultCut: 2, faultLatency: 2, faultTimeout: 2, faultReset: 2, faultSlowClose: 2} {
		if count[what] != want {
			t.Errorf("%s: %d times, want %d", what, count[what], want)
		}
	}
}

// A buyer may meet with an outage that has a name, and with nothing else.
func TestOddAnswersAreFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		body   string
		kind   string
		odd    bool
	}{
		{200, `{"data":{"a":1}}`, "", false},
		{200, `{"data":null,"errors":[{"message":"m","extensions":{"code":"STORE_UNAVAILABLE"}}]}`, "STORE_UNAVAILABLE", false},
		{200, `{"data":null,"errors":[{"message":"m","extensions":{"code":"INTERNAL"}}]}`, "INTERNAL", true},
		{200, `{"data":null,"errors":[{"message":"m"}]}`, "", true},
		{502, `bad gateway`, "HTTP 502", true},
	} {
		var data struct{ A int }
		trouble := readAnswer(c.status, []byte(c.body), &data)
		switch {
		case trouble == nil:
			if c.odd || c.kind != "" || data.A != 1 {
				t.Errorf("%s: no trouble", c.body)
			}
		case trouble.kind != c.kind || (trouble.odd != "") != c.odd:
			t.Errorf("%s: %+v", c.body, trouble)
		}
	}
}

// What cannot be true is found, whoever says it: a buyer, the bank, the stream of events.
func TestTheJudgeFindsWhatIsPlanted(t *testing.T) {
	t.Parallel()
	s := openShop(t, nil)
	lamp := s.sell("Judged Lamp", "19.90", 1, 3)
	sale := s.flashSale(lamp.variants[0], "9.90", 3)
	ann := s.buyer()
	booking := text(ann.book(sale).at("flashSaleBook.result.id"))
	order := text(ann.payBooking(booking, "9.90", "4242").at("checkoutComplete.result.order.id"))
	s.agrees()

	ctx := t.Context()
	at, err := s.config.postgresURL("flashsale")
	if err != nil {
		t.Fatal(err)
	}
	provider, err := fake.New(fake.Config{Secret: []byte("secret")})
	if err != nil {
		t.Fatal(err)
	}
	dollars := money.Money{Amount: 990, Currency: "USD"}
	if _, err := provider.Authorize(ctx, psp.Authorization{Key: "pay_strange", Token: fake.Succeeds, Amount: dollars}); err != nil {
		t.Fatal(err)
	}
	d := &chaosAftermath{sale: sale, shop: &chaosShop{bank: &chaosBank{Provider: provider}}}
	t.Cleanup(d.close)
	if d.pool, err = pgxpool.New(ctx, at); err != nil {
		t.Fatal(err)
	}
	if d.books, err = openBooks(ctx, s.config.postgresURL); err != nil {
		t.Fatal(err)
	}
	if d.nc, err = nats.Connect(s.config.get("SOUK_NATS_URL")); err != nil {
		t.Fatal(err)
	}
	if d.js, err = jetstream.New(d.nc); err != nil {
		t.Fatal(err)
	}
	if _, err := d.js.Publish(ctx, "souk.dead.tester", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	var account string
	if err := d.pool.QueryRow(ctx, `SELECT account_id FROM flashsale.bookings WHERE id = $1`, booking).Scan(&account); err != nil {
		t.Fatal(err)
	}
	r := &chaosReport{Units: 2}
	c := &chaosCrowd{promises: []chaosPromise{
		{account, booking, order},
		{account, booking, "ord_other"},
		{account, "fsb_nowhere", ""},
		{"acc_other", booking, ""},
	}}
	if err := d.verdict(ctx, c, r); err != nil {
		t.Fatal(err)
	}
	all := strings.Join(r.Findings, "\n")
	for _, want := range []string{
		"of 2 units in the sale, 1 are sold, 2 left", "booking fsb_nowhere, which is not there", "was told that order ord_other is placed",
		"acc_other was told of booking " + booking, "the bank has payment pay_strange", "order " + order + " has a unit and 0 captures", "souk.dead.tester",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not in\n%s", want, all)
		}
	}
	if r.Lost != 2 || r.Booked != 1 || len(r.Findings) != 8 {
		t.Errorf("%d lost, %d booked, %d findings:\n%s", r.Lost, r.Booked, len(r.Findings), all)
	}
}
