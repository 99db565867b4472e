package inventory_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/inventory"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func TestState(t *testing.T) {
	for available, want := range map[int]inventory.State{0: inventory.OutOfStock, 1: inventory.Low, 5: inventory.Low, 6: inventory.InStock} {
		if got := (inventory.Stock{OnHand: available + 7, Held: 7}).State(); got != want {
			t.Errorf("%d available: %s, want %s", available, got, want)
		}
	}
}

// shelf has variants a (3 in wh1, 5 in wh2, 1 of each held) and b (2 in wh1).
func shelf() *inventory.Shelf {
	return inventory.NewShelf(noon,
		[]inventory.Stock{{VariantID: "a", Seq: 9, OnHand: 8, Held: 2}, {VariantID: "b", Seq: 1, OnHand: 2}},
		[]inventory.Level{{VariantID: "a", WarehouseID: "wh1", OnHand: 3, Held: 1}, {VariantID: "a", WarehouseID: "wh2", OnHand: 5, Held: 1}, {VariantID: "b", WarehouseID: "wh1", OnHand: 2}})
}

func want(lines ...inventory.Wanted) *inventory.HoldRequest {
	return &inventory.HoldRequest{OrderID: "ord", AccountID: "acc", Wanted: lines, ExpiresAt: noon.Add(time.Minute)}
}

func TestWhichWarehousesServe(t *testing.T) {
	for _, c := range []struct {
		name   string
		wanted []inventory.Wanted
		lines  []inventory.Line
		short  []events.Shortage
	}{
		{"the fullest that has it all", []inventory.Wanted{{VariantID: "a", Quantity: 2}}, []inventory.Line{{VariantID: "a", WarehouseID: "wh2", Quantity: 2}}, nil},
		{"all of one", []inventory.Wanted{{VariantID: "a", Quantity: 4}}, []inventory.Line{{VariantID: "a", WarehouseID: "wh2", Quantity: 4}}, nil},
		{"as few as possible", []inventory.Wanted{{VariantID: "a", Quantity: 5}}, []inventory.Line{{VariantID: "a", WarehouseID: "wh2", Quantity: 4}, {VariantID: "a", WarehouseID: "wh1", Quantity: 1}}, nil},
		{"everything", []inventory.Wanted{{VariantID: "a", Quantity: 6}, {VariantID: "b", Quantity: 2}},
			[]inventory.Line{{VariantID: "a", WarehouseID: "wh2", Quantity: 4}, {VariantID: "a", WarehouseID: "wh1", Quantity: 2}, {VariantID: "b", WarehouseID: "wh1", Quantity: 2}}, nil},
		{"one too many", []inventory.Wanted{{VariantID: "a", Quantity: 7}, {VariantID: "b", Quantity: 2}}, nil, []events.Shortage{{VariantID: "a", Wanted: 7, Available: 6}}},
		{"nobody stocked it", []inventory.Wanted{{VariantID: "b", Quantity: 1}, {VariantID: "c", Quantity: 1}}, nil, []events.Shortage{{VariantID: "c", Wanted: 1}}},
	} {
		s := shelf()
		res, short, err := s.Hold(want(c.wanted...))
		if err != nil || (res == "") != (c.lines == nil) {
			t.Fatal(res, err)
		}
		var lines []inventory.Line
		for _, sheet := range s.Sheets() {
			for _, l := range sheet.Lines {
				lines = append(lines, inventory.Line{VariantID: sheet.VariantID, WarehouseID: sheet.Places[l.Place].WarehouseID, Quantity: l.Quantity})
			}
		}
		if diff := cmp.Diff(c.lines, lines); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
		if diff := cmp.Diff(c.short, short); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
	}
}

// Holds made together are one sheet of each variant, whose reservations have the next ids; what no longer fits goes on a new one.
func TestSheets(t *testing.T) {
	s := inventory.NewShelf(noon,
		[]inventory.Stock{{VariantID: "a", Seq: 9, OnHand: 2000}, {VariantID: "b", Seq: 1, OnHand: 2000}},
		[]inventory.Level{{VariantID: "a", WarehouseID: "wh1", OnHand: 1999}, {VariantID: "a", WarehouseID: "wh2", OnHand: 1}, {VariantID: "b", WarehouseID: "wh1", OnHand: 2000}})
	var made []string
	for n := range id.RangeSize + 2 {
		wanted := []inventory.Wanted{{VariantID: "a", Quantity: 1}}
		if n%2 == 0 {
			wanted = append(wanted, inventory.Wanted{VariantID: "b", Quantity: 2})
		}
		res, short, err := s.Hold(want(wanted...))
		if err != nil || short != nil || n > 0 && id.PrefixOf(res) != id.Reservation {
			t.Fatal(res, short, err)
		}
		made = append(made, res)
	}
	sheets := s.Sheets()
	if len(sheets) != 4 {
		t.Fatalf("%d sheets", len(sheets))
	}
	next := map[string]int64{"a": 10, "b": 2}
	lines := map[string]int{}
	for _, sheet := range sheets {
		if sheet.FirstSeq != next[sheet.VariantID] || len(sheet.Places) != 1 {
			t.Errorf("%s from %d, want %d; %d places", sheet.VariantID, sheet.FirstSeq, next[sheet.VariantID], len(sheet.Places))
		}
		next[sheet.VariantID] = sheet.LastSeq() + 1
		for _, l := range sheet.Lines {
			lines[sheet.ID+l.Tail]++
		}
	}
	for n, res := range made {
		if lines[res] != 2-n%2 {
			t.Errorf("hold %d, %s, has %d lines", n, res, lines[res])
		}
	}
	if last := sheets[3]; last.VariantID != "b" || last.Places[0].Held != id.RangeSize+2 || sheets[1].Places[0].Held != id.RangeSize {
		t.Errorf("%+v\n%+v", sheets[1].Places, last.Places)
	}
	if s.Changed()[0].Held != id.RangeSize+2 || s.Changed()[0].Seq != 9+id.RangeSize+2 {
		t.Errorf("%+v", s.Changed())
	}
}

func TestMovementsOfAnAdjustment(t *testing.T) {
	s := shelf()
	err := s.Adjust([]inventory.Change{
		{VariantID: "a", WarehouseID: "wh1", Delta: -3}, {VariantID: "b", WarehouseID: "wh3", Delta: 4}, {VariantID: "a", WarehouseID: "wh1", Delta: 1},
		{VariantID: "b", WarehouseID: "wh1", Delta: 1}, {VariantID: "b", WarehouseID: "wh1", Delta: -1},
	}, "broken", "k")
	if err != nil {
		t.Fatal(err)
	}
	got := []inventory.Movement{
		{VariantID: "a", WarehouseID: "wh1", Kind: inventory.Adjust, Quantity: -2, Seq: 10, OnHandAfter: 1, HeldAfter: 1, At: noon, Reason: "broken", IdempotencyKey: "k"},
		{VariantID: "b", WarehouseID: "wh3", Kind: inventory.Adjust, Quantity: 4, Seq: 2, OnHandAfter: 4, At: noon, Reason: "broken", IdempotencyKey: "k"},
	}
	if diff := cmp.Diff(got, s.Moved()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]inventory.Stock{{VariantID: "a", Seq: 10, OnHand: 6, Held: 2, AsOf: noon}, {VariantID: "b", Seq: 2, OnHand: 6, AsOf: noon}}, s.Changed()); diff != "" {
		t.Error(diff)
	}
}

// A refusal names the change to blame, and leaves everything as it was.
func TestRefusedAdjustments(t *testing.T) {
	for _, c := range []struct {
		changes []inventory.Change
		field   string
	}{
		{[]inventory.Change{{VariantID: "b", WarehouseID: "wh1", Delta: 1}, {VariantID: "a", WarehouseID: "wh1", Delta: -3}}, "input.changes.1.delta"}, // one is held
		{[]inventory.Change{{VariantID: "b", WarehouseID: "wh1", Delta: 1}, {VariantID: "b", WarehouseID: "wh1", Delta: -4}}, "input.changes.1.delta"},
		{[]inventory.Change{{VariantID: "b", WarehouseID: "wh9", Delta: -1}}, "input.changes.0.delta"},
		{[]inventory.Change{{VariantID: "b", WarehouseID: "wh1", Delta: 999_999_999}}, "input.changes.0.delta"},
	} {
		s := shelf()
		err := s.Adjust(c.changes, "", "k")
		var f *fault.Error
		if !errors.As(err, &f) || strings.Join(f.Field, ".") != c.field {
			t.Errorf("%v: %v at %v, want %s", c.changes, err, f, c.field)
		}
		if len(s.Moved()) != 0 || len(s.Changed()) != 0 {
			t.Errorf("%v: %v", c.changes, s.Moved())
		}
		if res, _, err := s.Hold(want(inventory.Wanted{VariantID: "b", Quantity: 2})); err != nil || res == "" || s.Sheets()[0].FirstSeq != 2 {
			t.Errorf("%v left something behind: %+v, %v", c.changes, s.Sheets(), err)
		}
	}
}

func TestCounts(t *testing.T) {
	for _, c := range []struct {
		count inventory.Count
		code  string
		field string
	}{
		{inventory.Count{VariantID: "a", WarehouseID: "wh2", Quantity: 1, IfQuantity: 5}, "", ""},
		{inventory.Count{VariantID: "a", WarehouseID: "wh2", Quantity: 5, IfQuantity: 5}, "", ""},
		{inventory.Count{VariantID: "z", WarehouseID: "wh2", Quantity: 5, IfQuantity: 0}, "", ""},
		{inventory.Count{VariantID: "a", WarehouseID: "wh2", Quantity: 0, IfQuantity: 5}, "INSUFFICIENT_STOCK", "quantity"},
		{inventory.Count{VariantID: "a", WarehouseID: "wh2", Quantity: 5, IfQuantity: 4}, "STALE_QUANTITY", "ifQuantity"},
	} {
		s := shelf()
		err := s.Set(c.count, "k")
		var f *fault.Error
		switch {
		case errors.As(err, &f):
			if f.Code != c.code || f.Field[1] != c.field {
				t.Errorf("%+v: %v %v", c.count, f.Code, f.Field)
			}
		case c.code != "":
			t.Errorf("%+v was let in", c.count)
		case s.Moved()[0].OnHandAfter != c.count.Quantity || s.Moved()[0].Kind != inventory.Set:
			t.Errorf("%+v: %+v", c.count, s.Moved())
		}
	}
}

func TestRequestHold(t *testing.T) {
	v1, v2 := id.New(id.Variant), id.New(id.Variant)
	good := func() events.HoldRequest {
		return events.HoldRequest{IdempotencyKey: "k", OrderID: id.New(id.Order), AccountID: id.New(id.Account), ExpiresAt: noon,
			Lines: []events.HoldLine{{VariantID: v2, Quantity: 1}, {VariantID: v1, Quantity: 2}, {VariantID: v2, Quantity: 3}}}
	}
	r, err := inventory.RequestHold(good())
	if err != nil {
		t.Fatal(err)
	}
	summed := []inventory.Wanted{{VariantID: v1, Quantity: 2}, {VariantID: v2, Quantity: 4}}
	slices.SortFunc(summed, func(a, b inventory.Wanted) int { return strings.Compare(a.VariantID, b.VariantID) })
	if diff := cmp.Diff(summed, r.Wanted); diff != "" {
		t.Error(diff)
	}
	for field, change := range map[string]func(*events.HoldRequest){
		"idempotencyKey":    func(r *events.HoldRequest) { r.IdempotencyKey = "" },
		"orderId":           func(r *events.HoldRequest) { r.OrderID = "ord_1" },
		"accountId":         func(r *events.HoldRequest) { r.AccountID = "" },
		"lines":             func(r *events.HoldRequest) { r.Lines = nil },
		"lines.0.variantId": func(r *events.HoldRequest) { r.Lines[0].VariantID = "var_" },
		"lines.1.quantity":  func(r *events.HoldRequest) { r.Lines[1].Quantity = 0 },
		"lines.0.quantity":  func(r *events.HoldRequest) { r.Lines[0].Quantity = -1 },
		"lines.2.quantity":  func(r *events.HoldRequest) { r.Lines[2].Quantity = 10_000 }, // one too many with the first
	} {
		r := good()
		change(&r)
		_, err := inventory.RequestHold(r)
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Invalid || strings.Join(f.Field, ".") != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	for at, ok := range map[time.Duration]bool{-time.Hour: false, 0: false, time.Microsecond: true, 24 * time.Hour: true, 24*time.Hour + time.Second: false} {
		r := want(inventory.Wanted{VariantID: "b", Quantity: 1})
		r.ExpiresAt = noon.Add(at)
		if _, _, err := shelf().Hold(r); (err == nil) != ok {
			t.Errorf("a hold of %s: %v", at, err)
		}
	}
}

// ledgers is a store in which everything is known and belongs to one seller.
type ledgers struct {
	inventory.Store
	seller string
	moved  bool
}

func (l *ledgers) ItemsByID(_ context.Context, ids []string) (items []inventory.Item, _ error) {
	for _, v := range ids {
		items = append(items, inventory.Item{VariantID: v, SellerID: l.seller})
	}
	return items, nil
}

func (l *ledgers) WarehousesByID(_ context.Context, ids []string) (ws []inventory.Warehouse, _ error) {
	for _, w := range ids {
		if w != nowhere {
			ws = append(ws, inventory.Warehouse{ID: w})
		}
	}
	return ws, nil
}

func (l *ledgers) Move(context.Context, inventory.Once, []string, time.Time, func(*inventory.Shelf) error) error {
	l.moved = true
	return nil
}

var nowhere = id.New(id.Warehouse)

func TestWhoMayMoveWhat(t *testing.T) {
	seller := viewer.Viewer{AccountID: id.New(id.Account), SellerID: id.New(id.Seller), Scopes: []string{viewer.ScopeSeller}}
	rival := viewer.Viewer{AccountID: id.New(id.Account), SellerID: id.New(id.Seller), Scopes: []string{viewer.ScopeSeller}}
	staff := viewer.Viewer{AccountID: id.New(id.Account), Scopes: []string{viewer.ScopeStaff}}
	change := func(v, w string, delta int) []inventory.Change {
		return []inventory.Change{{VariantID: id.New(id.Variant), WarehouseID: id.New(id.Warehouse), Delta: 1}, {VariantID: v, WarehouseID: w, Delta: delta}}
	}
	v, w := id.New(id.Variant), id.New(id.Warehouse)
	for _, c := range []struct {
		name    string
		who     viewer.Viewer
		changes []inventory.Change
		reason  string
		key     string
		code    string
		field   string
	}{
		{"own goods", seller, change(v, w, 1), "found", "k", "", ""},
		{"staff", staff, change(v, w, -1_000_000), "", "k", "", ""},
		{"another's goods", rival, change(v, w, 1), "", "k", "NOT_FOUND", "changes.0.variantId"},
		{"a guest", viewer.Viewer{}, change(v, w, 1), "", "k", "NOT_FOUND", "changes.0.variantId"},
		{"nowhere", seller, change(v, nowhere, 1), "", "k", "NOT_FOUND", "changes.1.warehouseId"},
		{"not a variant", seller, change("var_1", w, 1), "", "k", "INVALID_ID", "changes.1.variantId"},
		{"not a warehouse", seller, change(v, "wh", 1), "", "k", "INVALID_ID", "changes.1.warehouseId"},
		{"nothing", seller, change(v, w, 0), "", "k", "INVALID", "changes.1.delta"},
		{"too much", seller, change(v, w, 1_000_001), "", "k", "INVALID", "changes.1.delta"},
		{"no changes", seller, nil, "", "k", "INVALID", "changes"},
		{"too many changes", seller, make([]inventory.Change, 251), "", "k", "INVALID", "changes"},
		{"a novel", seller, change(v, w, 1), strings.Repeat("ß", 201), "k", "INVALID", "reason"},
		{"no key", seller, change(v, w, 1), "", "", "INVALID", "idempotencyKey"},
	} {
		store := &ledgers{seller: seller.SellerID}
		_, err := inventory.New(store, nil, clock.Hold(noon)).Adjust(t.Context(), c.who, c.changes, c.reason, c.key)
		var f *fault.Error
		errors.As(err, &f)
		switch {
		case c.code == "" && (err != nil || !store.moved):
			t.Errorf("%s: %v", c.name, err)
		case c.code != "" && (f == nil || f.Code != c.code || strings.Join(f.Field[1:], ".") != c.field || store.moved):
			t.Errorf("%s: %+v", c.name, f)
		}
	}
}
