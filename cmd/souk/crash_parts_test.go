package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/souk-shop/souk/internal/call"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/quietport"
)

// With this variable set the test binary serves the part it names, as souk serve does, until it is killed.
const victimPart = "SOUK_CRASH_PART"

// livePart serves a part. Its standard input says at which of the calls that it answers to stand still: "call before" or "call after",
// and what the request contains; then "go". It says when it is ready, when it stands there, and when that call is answered.
func livePart(ctx context.Context, name string) error {
	e, err := openEnv(config{os.Getenv}, slog.New(slog.DiscardHandler), "")
	if err != nil {
		return err
	}
	defer e.Close()
	p, _ := partNamed(name)
	b := &breakpoint{said: bufio.NewReader(os.Stdin)}
	stopped := part{p.name, func(ctx context.Context, e *env) (*service, error) {
		s, err := p.start(ctx, e)
		if err == nil {
			for i := range s.calls {
				s.calls[i] = b.wrap(s.calls[i])
			}
		}
		return s, err
	}}
	return e.run(ctx, []part{stopped}, func(name string) (net.Listener, error) { return net.Listen("tcp", e.addr(name, true)) }, func(context.Context) error {
		fmt.Println("ready")
		go b.listen()
		return nil
	})
}

// A breakpoint is where a part stands still, once.
type breakpoint struct {
	said  *bufio.Reader
	mu    sync.Mutex
	at    string // "souk.call.… before"
	about string
	goOn  chan struct{}
}

func (b *breakpoint) listen() {
	for {
		line, err := b.said.ReadString('\n')
		if err != nil {
			return
		}
		b.mu.Lock()
		if words := strings.Fields(line); words[0] == "go" {
			close(b.goOn)
		} else {
			b.at, b.about, b.goOn = words[0]+" "+words[1], words[2], make(chan struct{})
			fmt.Println("armed")
		}
		b.mu.Unlock()
	}
}

func (b *breakpoint) wrap(e call.Endpoint) call.Endpoint {
	answer := e.Answer
	e.Answer = func(ctx context.Context, body []byte) ([]byte, error) {
		b.mu.Lock()
		when, ours := strings.CutPrefix(b.at, e.Subject+" ")
		ours = ours && bytes.Contains(body, []byte(b.about))
		if ours {
			b.at = ""
		}
		goOn := b.goOn
		b.mu.Unlock()
		stand := func(here string) {
			if ours && when == here {
				fmt.Println("here")
				<-goOn
			}
		}
		stand("before")
		said, err := answer(context.WithoutCancel(ctx), body)
		stand("after")
		if ours {
			fmt.Println("done")
		}
		return said, err
	}
	return e
}

// An apart is a part of the shop in a process of its own.
type apart struct {
	t     *testing.T
	name  string
	env   []string
	cmd   *exec.Cmd
	tell  io.WriteCloser
	heard *bufio.Reader
}

func (p *apart) start() {
	p.t.Helper()
	self, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	p.cmd = exec.Command(self)
	p.cmd.Env, p.cmd.Stderr = append(withoutSettings(os.Environ()), p.env...), p.t.Output()
	if p.tell, err = p.cmd.StdinPipe(); err != nil {
		p.t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	p.heard = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.hear("ready")
}

func (p *apart) say(format string, args ...any) {
	p.t.Helper()
	if _, err := fmt.Fprintf(p.tell, format+"\n", args...); err != nil {
		p.t.Fatal(err)
	}
}

func (p *apart) hear(want string) {
	p.t.Helper()
	late := time.AfterFunc(patience, func() { p.cmd.Process.Kill() })
	defer late.Stop()
	if line, err := p.heard.ReadString('\n'); err != nil || strings.TrimSpace(line) != want {
		p.t.Fatalf("%s says %q instead of %q: %v", p.name, line, want, err)
	}
}

func (p *apart) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		p.t.Fatal(err)
	}
	_ = p.cmd.Wait() // killed, as asked for
}

// openApart opens a shop whose flash sales and orders are processes of their own; all else is this one.
func openApart(t *testing.T) (s *testShop, sales, orders *apart) {
	t.Helper()
	dir, ctx := t.TempDir(), t.Context()
	engines, err := startEngines(ctx, dir, 0, &process{log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engines.stop)
	gateway, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	settled := map[string]string{"SOUK_LOG_LEVEL": "error"}
	for _, part := range []string{"FLASHSALE", "ORDERS"} {
		at, err := quietport.Address()
		if err != nil {
			t.Fatal(err)
		}
		settled["SOUK_"+part+"_ADDR"], settled["SOUK_"+part+"_URL"] = at, "http://"+at
	}
	base := "http://" + gateway.Addr().String()
	getenv := engines.environment(func(name string) string { return settled[name] }, base, dir)
	var env []string
	for _, setting := range settings {
		if v := getenv(setting.name); v != "" {
			env = append(env, setting.name+"="+v)
		}
	}
	open := func(name string) *apart {
		p := &apart{t: t, name: name, env: append(slices.Clone(env), victimPart+"="+name, "SOUK_ADDR="+settled["SOUK_"+strings.ToUpper(name)+"_ADDR"])}
		p.start()
		t.Cleanup(func() { p.cmd.Process.Kill(); _ = p.cmd.Wait() })
		return p
	}
	sales, orders = open("flashsale"), open("orders")

	log := slog.New(slog.DiscardHandler)
	e, err := openEnv(config{getenv}, log, "")
	if err != nil {
		t.Fatal(err)
	}
	others := slices.DeleteFunc(parts(), func(p part) bool { return p.name == "flashsale" || p.name == "orders" })
	ctx, cancel := context.WithCancel(context.Background())
	ended, ready := make(chan error, 1), make(chan error, 1)
	go func() {
		defer e.Close()
		ended <- e.run(ctx, others, func(part string) (net.Listener, error) {
			if part == "gateway" {
				return gateway, nil
			}
			return net.Listen("tcp", "127.0.0.1:0")
		}, func(ctx context.Context) error {
			err := awaitReady(ctx, base)
			if err == nil {
				err = people(ctx, e)
			}
			ready <- err
			return err
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	select {
	case err = <-ready:
	case err = <-ended:
		ended <- nil
	}
	if err != nil {
		t.Fatalf("the shop did not start: %v", err)
	}
	s = &testShop{t: t, base: base, breakers: map[string]*breaker{}, config: config{getenv}}
	s.seller, s.staff = s.signIn("seller@souk.test"), s.signIn("staff@souk.test")
	s.stockUp()
	return s, sales, orders
}

// An apartStep is a call that orders make and flash sales answer.
type apartStep struct {
	call, what string
	card       string
	placed     bool // the order is there already, and is cancelled
	end        string
}

var apartSteps = []apartStep{
	{"pay", "`checkoutComplete` with a booking: the booking becomes the order's", "4242", false, soldToThem},
	{"confirm", "the same, paid: the unit is sold", "4242", false, soldToThem},
	{"release", "the same, with a card that is declined: the unit goes back", "0002", false, gaveBack + "; order CANCELLED; payment FAILED"},
	{"cancel", "`orderCancel` of what was paid: the unit goes back", "4242", true, "15 in stock, 5 left, 0 held, 0 sold; booking CANCELLED; order CANCELLED; payment REFUNDED"},
}

const apartIntro = `# What is left when one of two processes is killed

Written by ` + "`go test ./cmd/souk -run TestCrashMatrixOfProcesses -update`" + `; the test fails while this page is not what happens.

Flash sales and orders are a process each, as ` + "`souk serve flashsale` and `souk serve orders`" + ` are; the gateway and all other parts are a third, on a real
PostgreSQL and NATS. Whenever orders call flash sales to move a unit, one of the two is killed by SIGKILL: while the question is on its way
(what is left of the two still answers it, if that is flash sales) or while the answer is (all is written). What is found is what the tables say then. The process is started again, and whoever
asked asks again with the same key. ` + "[The other page](crash-matrix.md)" + ` has every write of a process that holds both.

| call | killed | while | what is found | in the end |
|---|---|---|---|---|
`

// Flash sales and orders die apart from each other, on either side of every call between them that moves a unit, and what they leave is
// brought to the one end it may have.
func TestCrashMatrixOfProcesses(t *testing.T) {
	t.Parallel()
	s, sales, orders := openApart(t)
	url, err := s.config.postgresURL("orders")
	if err != nil {
		t.Fatal(err)
	}
	pools, err := openTables(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer pools.close()
	file := filepath.Join("..", "..", "docs", "crash-matrix-processes.md")
	was, err := os.ReadFile(file)
	if err != nil && !*update {
		t.Fatal(err)
	}
	row := func(step apartStep, when string, killed *apart) string {
		found, end := s.killApart(step, when, killed, sales, pools)
		if end != step.end {
			t.Errorf("%s, %s killed %s: ended as %q, want %q", step.call, killed.name, when, end, step.end)
		}
		return fmt.Sprintf("| `%s`, %s | %s | %s | %s | %s |\n", step.call, step.what, killed.name, map[string]string{"before": "the question", "after": "the answer"}[when]+" is on its way", found, end)
	}
	var table strings.Builder
	table.WriteString(apartIntro)
	for _, step := range apartSteps {
		for _, when := range []string{"before", "after"} {
			for _, killed := range []*apart{sales, orders} {
				is := row(step, when, killed)
				for try := 0; try < 2 && !*update && !strings.Contains(string(was), is); try++ { // on a busy machine the others may not have come as far, or farther
					t.Logf("found once: %s", is)
					is = row(step, when, killed)
				}
				table.WriteString(is)
			}
		}
	}
	s.agrees()
	if *update && !t.Failed() {
		if err := os.WriteFile(file, []byte(table.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if !*update && string(was) != table.String() {
		t.Errorf("docs/crash-matrix-processes.md is not what happens: run `go test ./cmd/souk -run TestCrashMatrixOfProcesses -update` and read the difference")
	}
}

// killApart kills one of the processes at a call, and returns what is found then and in the end.
func (s *testShop) killApart(step apartStep, when string, killed, sales *apart, pools tables) (found, end string) {
	s.t.Helper()
	variant := s.sell("Torn Lamp", "19.90", 1, 20).variants[0]
	sale, ann := s.flashSale(variant, "9.90", 5), s.buyer()
	account := text(ann.do(`{ me { id } }`, nil).at("me.id"))
	booking := ann.books(sale)
	look := func() string { return standing(s.t, pools, variant, account) }
	query, in := checkout, map[string]any{
		"bookingId": booking, "addressId": ann.address, "paymentMethodId": ann.card(step.card), "expectedTotal": usd("9.90"), "idempotencyKey": id.New(id.Event),
	}
	if step.placed {
		order := text(ann.do(checkout, vars{"i": in}).at("checkoutComplete.result.order.id"))
		ann.until(orderOf, vars{"id": order}, func(a answer) bool { return text(a.at("order.paymentStatus")) == "CAPTURED" })
		query, in = orderCancel, map[string]any{"orderId": order, "idempotencyKey": id.New(id.Event)}
	}
	sales.say("souk.call.flashsale.%s %s %s", step.call, when, booking)
	sales.hear("armed")
	go ann.send(query, vars{"i": in}) // who asks hears nothing, or that it went wrong
	sales.hear("here")
	killed.kill()
	if killed != sales {
		sales.say("go")
		sales.hear("done")
	}
	found = look()
	killed.start()
	ann.until(query, vars{"i": in}, func(a answer) bool {
		for _, payload := range a.data {
			return len(list(walk(payload, "userErrors"))) == 0
		}
		return false
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(25 * time.Millisecond) {
		if end = look(); end == step.end || time.Now().After(deadline) {
			return found, end
		}
	}
}
