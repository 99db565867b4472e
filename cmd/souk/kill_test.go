package main

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// With this variable set to a folder the test binary is the whole shop on it, until it is killed.
const victimShop = "SOUK_CRASH_SHOP"

// liveShop prints where the graph is once it is there.
func liveShop(ctx context.Context, dir string) error {
	p := &process{getenv: func(string) string { return "" }, stdout: os.Stdout, stderr: os.Stderr, log: slog.New(slog.DiscardHandler)}
	return devCommand{Addr: "127.0.0.1:0", Data: dir}.run(ctx, p, func(ctx context.Context, e *env, base string) error {
		if err := people(ctx, e); err != nil {
			return err
		}
		_, err := fmt.Println(base)
		return err
	})
}

// S116: who has the answer has the booking, though the process that gave it and PostgreSQL are killed by SIGKILL right then.
func TestS116ABookingOutlivesTheKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	shop := exec.Command(self)
	shop.Env, shop.Stderr = append(os.Environ(), victimShop+"="+dir), os.Stderr
	out, err := shop.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := shop.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = shop.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	s := &testShop{t: t, breakers: map[string]*breaker{}, base: strings.TrimSpace(line)}
	s.seller, s.staff = s.signIn("seller@souk.test"), s.signIn("staff@souk.test")
	s.stockUp()
	lamp := s.sell("Unlucky Lamp", "19.90", 1, 5)
	sale := s.flashSale(lamp.variants[0], "9.90", 2)
	ann, bob := s.buyer(), s.buyer()
	placed := text(bob.payBooking(text(bob.book(sale).at("flashSaleBook.result.id")), "9.90", "4242").at("checkoutComplete.result.order.id"))
	booking := text(ann.book(sale).at("flashSaleBook.result.id"))
	kill(t, postmaster(t, dir), shop.Process.Pid)
	_ = shop.Wait() // killed, as asked for

	stop := s.start(dir, func(string) string { return "" }, slog.New(slog.DiscardHandler))
	ann.base, bob.base = s.base, s.base
	found := ann.do(`query ($id: ID!) { node(id: $id) { ... on FlashSaleBooking { status } } }`, vars{"id": booking})
	if booking == "" || text(found.at("node.status")) != "HELD" {
		t.Errorf("booking %q: %v", booking, found.data)
	}
	if got := s.guest().do(flashSaleOf, vars{"id": sale}); number(got.at("flashSale.live.held")) != 1 || number(got.at("flashSale.live.sold")) != 1 {
		t.Errorf("%v", got.data)
	}
	bob.until(orderOf, vars{"id": placed}, func(a answer) bool { return text(a.at("order.paymentStatus")) == "CAPTURED" })
	if got := ann.payBooking(booking, "9.90", "4242"); text(got.at("checkoutComplete.result.kind")) != "CheckoutPlaced" {
		t.Errorf("%v", got.data)
	}
	s.agrees()
	stop()
}

// postmaster returns the process of the PostgreSQL that runs on a folder.
func postmaster(t *testing.T, dir string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "postgres", "cluster", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// kill kills processes, and waits until the first is gone for good.
func kill(t *testing.T, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(patience); syscall.Kill(pids[0], 0) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not die")
		}
	}
}
