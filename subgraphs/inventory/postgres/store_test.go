package postgres_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/forget"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/inventory"
	"github.com/souk-shop/souk/subgraphs/inventory/postgres"
)

// The seller of everything in these tests.
var sel = viewer.Viewer{AccountID: id.New(id.Account), SellerID: id.New(id.Seller), Scopes: []string{viewer.ScopeSeller}}

// sellsAll is a catalogue in which every variant is sel's.
type sellsAll struct{}

func (sellsAll) Items(_ context.Context, variantIDs []string) (items []inventory.Item, _ error) {
	for _, v := range variantIDs {
		items = append(items, inventory.Item{VariantID: v, ProductID: "prod_" + v[4:], SellerID: sel.SellerID, SKU: v})
	}
	return items, nil
}

// A store is what both ways of calling offer: alone, and in a crowd.
type store interface {
	inventory.Store
	Audit(context.Context) ([]string, error)
}

type shop struct {
	t     testing.TB
	pool  *pgxpool.Pool
	store store
	inv   *inventory.Inventory
	clock *clock.Held
}

func setup(t *testing.T, options ...pgtest.Option) *shop {
	t.Parallel()
	return open(t, options...)
}

func open(t testing.TB, options ...pgtest.Option) *shop {
	s := &shop{t: t, pool: pgtest.New(t, postgres.Migrations, options...), clock: clock.Hold(time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC))}
	s.store = postgres.NewStore(s.pool)
	if strings.HasPrefix(t.Name(), "TestInACrowd") {
		s.store = postgres.NewStore(s.pool).Gather(1, nil)
	}
	s.inv = inventory.New(s.store, sellsAll{}, s.clock)
	return s
}

var staff = viewer.Viewer{AccountID: id.New(id.Account), Scopes: []string{viewer.ScopeStaff}}

func (s *shop) warehouse(code string) string {
	s.t.Helper()
	w, err := s.inv.SaveWarehouse(s.t.Context(), staff, inventory.Warehouse{Code: code, Name: code, Pincode: "560001", Country: "IN"})
	if err != nil {
		s.t.Fatal(err)
	}
	return w.ID
}

func (s *shop) adjust(variant, warehouse string, delta int) error {
	_, err := s.inv.Adjust(s.t.Context(), sel, []inventory.Change{{VariantID: variant, WarehouseID: warehouse, Delta: delta}}, "test", id.New(id.Event))
	return err
}

// stocked returns a new variant with so many units in each of the warehouses.
func (s *shop) stocked(units int, warehouses ...string) string {
	s.t.Helper()
	v := id.New(id.Variant)
	for _, w := range warehouses {
		if err := s.adjust(v, w, units); err != nil {
			s.t.Fatal(err)
		}
	}
	return v
}

func lines(quantity int, variants ...string) (ls []events.HoldLine) {
	for _, v := range variants {
		ls = append(ls, events.HoldLine{VariantID: v, Quantity: quantity})
	}
	return ls
}

func (s *shop) request(ls ...events.HoldLine) events.HoldRequest {
	return events.HoldRequest{
		IdempotencyKey: id.New(id.Event), OrderID: id.New(id.Order), AccountID: id.New(id.Account),
		Lines: ls, ExpiresAt: s.clock.Now().Add(15 * time.Minute),
	}
}

// held holds and returns the reservation's id.
func (s *shop) held(ls ...events.HoldLine) string {
	s.t.Helper()
	reply, err := s.inv.Hold(s.t.Context(), s.request(ls...))
	if err != nil || reply.ReservationID == "" {
		s.t.Fatalf("%+v, %v", reply, err)
	}
	return reply.ReservationID
}

func (s *shop) stock(variant string) inventory.Stock {
	s.t.Helper()
	all, err := s.inv.StockOf(s.t.Context(), []string{variant})
	if err != nil {
		s.t.Fatal(err)
	}
	return all[0]
}

func (s *shop) want(variant string, onHand, held int) {
	s.t.Helper()
	if got := s.stock(variant); got.OnHand != onHand || got.Held != held {
		s.t.Errorf("%d on hand, %d held; want %d, %d", got.OnHand, got.Held, onHand, held)
	}
}

func (s *shop) sound() {
	s.t.Helper()
	damage, err := s.store.Audit(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, d := range damage {
		s.t.Error(d)
	}
}

func code(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Code
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func ref(reservation string) events.ReservationRequest {
	return events.ReservationRequest{ReservationID: reservation}
}

func TestTheLifeOfAHold(t *testing.T) {
	s := setup(t)
	w := s.warehouse("BLR-1")
	v := s.stocked(5, w)

	sold := s.held(lines(2, v)...)
	s.want(v, 5, 2)
	for range 2 { // twice is once
		if r, err := s.inv.Commit(t.Context(), ref(sold)); err != nil || r.Status != "COMMITTED" {
			t.Fatal(r, err)
		}
		s.want(v, 3, 0)
	}
	if _, err := s.inv.Release(t.Context(), ref(sold)); code(err) != "HOLD_COMMITTED" {
		t.Error("sold units came back:", err)
	}

	back := s.held(lines(3, v)...)
	s.want(v, 3, 3)
	for range 2 {
		if r, err := s.inv.Release(t.Context(), ref(back)); err != nil || r.Status != "RELEASED" {
			t.Fatal(r, err)
		}
		s.want(v, 3, 0)
	}
	if _, err := s.inv.Commit(t.Context(), ref(back)); code(err) != "HOLD_EXPIRED" {
		t.Error("released units were sold:", err)
	}
	if _, err := s.inv.Commit(t.Context(), ref(id.New(id.Reservation))); code(err) != "NOT_FOUND" {
		t.Error(err)
	}

	late := s.held(lines(1, v)...)
	s.clock.Advance(15 * time.Minute)
	if _, err := s.inv.Commit(t.Context(), ref(late)); code(err) != "HOLD_EXPIRED" {
		t.Error("a hold whose time was up was sold:", err)
	}
	s.want(v, 3, 1)
	for _, want := range []int{1, 0} {
		if n, err := s.store.Expire(t.Context(), s.clock.Now(), 10); err != nil || n != want {
			t.Fatal(n, err)
		}
		s.want(v, 3, 0)
	}
	if r, err := s.inv.Release(t.Context(), ref(late)); err != nil || r.Status != "EXPIRED" {
		t.Error(r, err)
	}
	moves, err := s.inv.History(t.Context(), sel, v, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var story []inventory.Kind
	for i, m := range moves {
		story = append(story, m.Kind)
		if m.Seq != int64(i+1) {
			t.Errorf("movement %d has seq %d", i+1, m.Seq)
		}
	}
	want := []inventory.Kind{inventory.Adjust, inventory.Hold, inventory.Commit, inventory.Hold, inventory.Release, inventory.Hold, inventory.Expire}
	if len(story) != len(want) {
		t.Fatalf("%v, want %v", story, want)
	}
	for i := range want {
		if story[i] != want[i] {
			t.Fatalf("%v, want %v", story, want)
		}
	}
	s.sound()
}

// One hold that cannot be ended, for somebody has tampered with the stock, keeps no other from ending.
func TestTheSweeperGetsPastDamage(t *testing.T) {
	s := setup(t)
	w := s.warehouse("BLR-1")
	broken, fine := s.stocked(1, w), s.stocked(1, w)
	stuck := s.held(lines(1, broken)...)
	s.clock.Advance(time.Second)
	s.held(lines(1, fine)...)
	if _, err := s.pool.Exec(t.Context(), `BEGIN; SET LOCAL session_replication_role = replica; UPDATE levels SET held = 0 WHERE variant_id = '`+broken+`'; COMMIT`); err != nil {
		t.Fatal(err)
	}
	s.clock.Advance(15 * time.Minute)
	ctx, stop := context.WithCancel(t.Context())
	var reported error
	if err := s.inv.Sweep(ctx, func(err error) { reported = err; stop() }); err != nil {
		t.Fatal(err)
	}
	if reported == nil || !strings.Contains(reported.Error(), stuck) {
		t.Errorf("reported %v, want %s", reported, stuck)
	}
	s.want(fine, 1, 0)
}

func TestAnswersAreForgottenInTheEnd(t *testing.T) {
	s := setup(t)
	v := s.stocked(10, s.warehouse("BLR-1"))
	old := s.request(lines(1, v)...)
	first, err := s.inv.Hold(t.Context(), old)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after time.Duration
		again bool
	}{{29 * 24 * time.Hour, true}, {2 * 24 * time.Hour, false}} {
		s.clock.Advance(c.after)
		for range forget.Parts {
			if _, err := s.inv.ForgetAnswers(t.Context(), s.clock.Now().Add(-30*24*time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		old.ExpiresAt = s.clock.Now().Add(time.Minute)
		if r, err := s.inv.Hold(t.Context(), old); err != nil || (r.ReservationID == first.ReservationID) != c.again {
			t.Errorf("after %s: %+v, %v", c.after, r, err)
		}
	}
}

// A table of many pages is gone through by parts, and nothing is passed over.
func TestEveryOldAnswerIsForgotten(t *testing.T) {
	s := setup(t)
	if _, err := s.pool.Exec(t.Context(), `INSERT INTO hold_answers (key, input, reservation_id, created_at)
		SELECT n, '', 'res', $1::timestamptz - CASE WHEN n % 3 = 0 THEN interval '1 day' ELSE interval '31 days' END FROM generate_series(1, 20000) n`, s.clock.Now()); err != nil {
		t.Fatal(err)
	}
	left := func() (n int) {
		if err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM hold_answers`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for last := left(); last > 6666; last = left() {
		for range forget.Parts / 10 {
			if _, err := s.inv.ForgetAnswers(t.Context(), s.clock.Now().Add(-30*24*time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		if left() == last {
			t.Fatalf("%d are left", last)
		}
	}
	if n := left(); n != 6666 {
		t.Errorf("%d are left, and 6666 are not old", n)
	}
}

func TestAHoldIsForAllOrNothing(t *testing.T) {
	s := setup(t)
	w := s.warehouse("BLR-1")
	a, b := s.stocked(5, w), s.stocked(1, w)
	reply, err := s.inv.Hold(t.Context(), s.request(append(lines(2, a, b), lines(1, "var_01K00000000000000000000000")...)...))
	if err != nil || reply.ReservationID != "" || len(reply.Short) != 2 {
		t.Fatalf("%+v, %v", reply, err)
	}
	for _, short := range reply.Short {
		if short.VariantID == b && (short.Wanted != 2 || short.Available != 1) || short.VariantID == a {
			t.Errorf("%+v", short)
		}
	}
	s.want(a, 5, 0)
	s.want(b, 1, 0)
	if reply, err = s.inv.Hold(t.Context(), s.request(append(lines(1, b), lines(1, b)...)...)); err != nil || len(reply.Short) != 1 || reply.Short[0].Wanted != 2 {
		t.Errorf("two lines of one variant must be summed: %+v, %v", reply, err)
	}
	s.sound()
}

func TestTheSameKeyIsTheSameHold(t *testing.T) {
	s := setup(t)
	w := s.warehouse("BLR-1")
	v := s.stocked(5, w)
	r := s.request(lines(2, v)...)
	first, err := s.inv.Hold(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.inv.Hold(t.Context(), r)
	if err != nil || again.ReservationID != first.ReservationID {
		t.Errorf("%+v after %+v, %v", again, first, err)
	}
	s.clock.Advance(time.Hour) // even when it has ended
	if again, err = s.inv.Hold(t.Context(), r); err != nil || again.ReservationID != first.ReservationID {
		t.Errorf("%+v after %+v, %v", again, first, err)
	}
	other := r
	other.Lines = lines(1, v)
	if _, err := s.inv.Hold(t.Context(), other); code(err) != "IDEMPOTENCY_CONFLICT" {
		t.Error(err)
	}
	tooMany := s.request(lines(10, v)...)
	if short, err := s.inv.Hold(t.Context(), tooMany); err != nil || len(short.Short) != 1 {
		t.Fatal(short, err)
	}
	if err := s.adjust(v, w, 100); err != nil {
		t.Fatal(err)
	}
	if short, err := s.inv.Hold(t.Context(), tooMany); err != nil || len(short.Short) != 1 {
		t.Error("a key must keep its answer, also when it was short:", short, err)
	}
	s.want(v, 105, 2)
}

// Many machines asking the same at the same moment make one hold.
func TestTheSameKeyAtOnceIsOneHold(t *testing.T) {
	s := setup(t)
	v := s.stocked(100, s.warehouse("BLR-1"))
	r := s.request(lines(3, v)...)
	var mu sync.Mutex
	ids := map[string]bool{}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			reply, err := s.inv.Hold(t.Context(), r)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			ids[reply.ReservationID] = true
		})
	}
	wg.Wait()
	if len(ids) != 1 {
		t.Errorf("%d reservations", len(ids))
	}
	s.want(v, 100, 3)
	s.sound()
}

// A key used at once for different variants is decided by its constraint, for no lock is shared.
func TestOneKeyForTwoInputsAtOnce(t *testing.T) {
	s := setup(t)
	w := s.warehouse("BLR-1")
	var wg sync.WaitGroup
	for range 10 {
		r := s.request()
		var held, refused int
		var mu sync.Mutex
		for range 4 {
			mine := r
			mine.Lines = lines(1, s.stocked(1, w))
			wg.Go(func() {
				_, err := s.inv.Hold(t.Context(), mine)
				mu.Lock()
				defer mu.Unlock()
				switch code(err) {
				case "":
					held++
				case "IDEMPOTENCY_CONFLICT":
					refused++
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if held != 1 || refused != 3 {
			t.Errorf("%d held, %d refused", held, refused)
		}
	}
	s.sound()
}

func TestWarehousesThatServe(t *testing.T) {
	s := setup(t)
	near, far := s.warehouse("BLR-1"), s.warehouse("DEL-1")
	v := id.New(id.Variant)
	for w, units := range map[string]int{near: 3, far: 5} {
		if err := s.adjust(v, w, units); err != nil {
			t.Fatal(err)
		}
	}
	whole, err := s.store.ReservationsByID(t.Context(), []string{s.held(lines(4, v)...)})
	if err != nil || len(whole) != 1 || len(whole[0].Lines) != 1 || whole[0].Lines[0].WarehouseID != far {
		t.Errorf("one warehouse has it all: %+v, %v", whole, err)
	}
	split, err := s.store.ReservationsByID(t.Context(), []string{s.held(lines(4, v)...)})
	if err != nil || len(split) != 1 || len(split[0].Lines) != 2 {
		t.Errorf("two warehouses have it together: %+v, %v", split, err)
	}
	s.want(v, 8, 8)
	s.sound()
}
