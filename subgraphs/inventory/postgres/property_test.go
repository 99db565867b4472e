package postgres_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/subgraphs/inventory"
)

// Whatever happens in whatever order, the numbers are those of somebody who does the sums on paper.
func TestAnyStoryAddsUp(t *testing.T) {
	s := setup(t)
	warehouses := []string{s.warehouse("BLR-1"), s.warehouse("DEL-1"), s.warehouse("BOM-1")}
	rapid.Check(t, func(r *rapid.T) {
		p := newPaper(s, warehouses)
		r.Repeat(map[string]func(*rapid.T){
			"adjust":  p.adjust,
			"set":     p.set,
			"hold":    p.hold,
			"commit":  func(r *rapid.T) { p.end(r, inventory.Committed) },
			"release": func(r *rapid.T) { p.end(r, inventory.Released) },
			"restock": p.restock,
			"wait":    p.wait,
			"":        p.compare,
		})
	})
	s.sound()
}

type place struct{ variant, warehouse string }

// paper is where somebody does the sums.
type paper struct {
	*shop
	variants, warehouses []string
	onHand, held         map[place]int
	moves                map[string]int // by variant
	open                 []inventory.Reservation
	ended                map[string]inventory.Status
}

func newPaper(s *shop, warehouses []string) *paper {
	return &paper{
		shop: s, variants: []string{id.New(id.Variant), id.New(id.Variant)}, warehouses: warehouses,
		onHand: map[place]int{}, held: map[place]int{}, moves: map[string]int{}, ended: map[string]inventory.Status{},
	}
}

func (p *paper) place(r *rapid.T) place {
	return place{rapid.SampledFrom(p.variants).Draw(r, "variant"), rapid.SampledFrom(p.warehouses).Draw(r, "warehouse")}
}

func (p *paper) available(variant string) (n int) {
	for _, w := range p.warehouses {
		n += p.onHand[place{variant, w}] - p.held[place{variant, w}]
	}
	return n
}

func (p *paper) adjust(r *rapid.T) {
	var changes []inventory.Change
	sum := map[place]int{}
	for range rapid.IntRange(1, 3).Draw(r, "changes") {
		at, delta := p.place(r), rapid.IntRange(-5, 8).Filter(func(d int) bool { return d != 0 }).Draw(r, "delta")
		changes = append(changes, inventory.Change{VariantID: at.variant, WarehouseID: at.warehouse, Delta: delta})
		sum[at] += delta
	}
	want := ""
	for at, d := range sum {
		if p.onHand[at]+d < p.held[at] {
			want = "INSUFFICIENT_STOCK"
		}
	}
	if _, err := p.inv.Adjust(p.t.Context(), sel, changes, "", id.New(id.Event)); code(err) != want {
		r.Fatalf("%v: %v, want %q", changes, err, want)
	}
	if want != "" {
		return
	}
	for at, d := range sum {
		p.onHand[at] += d
		if d != 0 {
			p.moves[at.variant]++
		}
	}
}

func (p *paper) set(r *rapid.T) {
	at, quantity, seen := p.place(r), rapid.IntRange(0, 20).Draw(r, "quantity"), rapid.IntRange(-1, 1).Draw(r, "off by")
	want := ""
	switch {
	case seen != 0:
		want = "STALE_QUANTITY"
	case quantity < p.held[at]:
		want = "INSUFFICIENT_STOCK"
	}
	c := inventory.Count{VariantID: at.variant, WarehouseID: at.warehouse, Quantity: quantity, IfQuantity: p.onHand[at] + seen}
	if _, err := p.inv.Set(p.t.Context(), sel, c, id.New(id.Event)); code(err) != want {
		r.Fatalf("%+v: %v, want %q", c, err, want)
	}
	if want == "" {
		p.onHand[at] = quantity
		p.moves[at.variant]++
	}
}

func (p *paper) hold(r *rapid.T) {
	in := p.request()
	in.ExpiresAt = p.clock.Now().Add(time.Duration(rapid.IntRange(1, 3).Draw(r, "minutes")) * time.Minute)
	wanted := map[string]int{}
	for range rapid.IntRange(1, 3).Draw(r, "lines") {
		l := events.HoldLine{VariantID: rapid.SampledFrom(p.variants).Draw(r, "variant"), Quantity: rapid.IntRange(1, 6).Draw(r, "quantity")}
		in.Lines = append(in.Lines, l)
		wanted[l.VariantID] += l.Quantity
	}
	short := 0
	for v, n := range wanted {
		if p.available(v) < n {
			short++
		}
	}
	reply, err := p.inv.Hold(p.t.Context(), in)
	if err != nil || len(reply.Short) != short || (reply.ReservationID == "") != (short > 0) {
		r.Fatalf("%+v: %+v, %v; want %d short", in.Lines, reply, err, short)
	}
	if short > 0 {
		return
	}
	found, err := p.store.ReservationsByID(p.t.Context(), []string{reply.ReservationID})
	if err != nil || len(found) != 1 {
		r.Fatal(found, err)
	}
	for _, l := range found[0].Lines {
		p.held[place{l.VariantID, l.WarehouseID}] += l.Quantity
		p.moves[l.VariantID]++
		wanted[l.VariantID] -= l.Quantity
	}
	for v, n := range wanted {
		if n != 0 {
			r.Fatalf("%s: %d units are missing from the hold", v, n)
		}
	}
	p.open = append(p.open, found[0])
}

// end commits or releases a hold, be it open or ended already.
func (p *paper) end(r *rapid.T, to inventory.Status) {
	if len(p.open) == 0 {
		r.Skip("nothing was ever held")
	}
	res := rapid.SampledFrom(p.open).Draw(r, "reservation")
	do := map[inventory.Status]func() (events.ReservationReply, error){
		inventory.Committed: func() (events.ReservationReply, error) { return p.inv.Commit(p.t.Context(), ref(res.ID)) },
		inventory.Released:  func() (events.ReservationReply, error) { return p.inv.Release(p.t.Context(), ref(res.ID)) },
	}[to]
	is, ended := p.ended[res.ID]
	want := ""
	switch {
	case to == inventory.Committed && (ended && is != inventory.Committed && is != inventory.Restocked || !ended && !res.ExpiresAt.After(p.clock.Now())):
		want = "HOLD_EXPIRED"
	case to == inventory.Released && (is == inventory.Committed || is == inventory.Restocked):
		want = "HOLD_COMMITTED"
	}
	if _, err := do(); code(err) != want {
		r.Fatalf("%s of one that is %q: %v, want %q", to, is, err, want)
	}
	if want == "" && !ended {
		p.endOnPaper(res, to)
	}
}

// restock puts what was sold back, be it sold or not.
func (p *paper) restock(r *rapid.T) {
	if len(p.open) == 0 {
		r.Skip("nothing was ever held")
	}
	res := rapid.SampledFrom(p.open).Draw(r, "reservation")
	is, ended := p.ended[res.ID]
	want := ""
	if !ended {
		want = "HOLD_HELD"
	}
	if _, err := p.inv.Restock(p.t.Context(), ref(res.ID)); code(err) != want {
		r.Fatalf("restock of one that is %q: %v, want %q", is, err, want)
	}
	if is == inventory.Committed {
		p.endOnPaper(res, inventory.Restocked)
	}
}

func (p *paper) endOnPaper(res inventory.Reservation, to inventory.Status) {
	p.ended[res.ID] = to
	for _, l := range res.Lines {
		at := place{l.VariantID, l.WarehouseID}
		switch to {
		case inventory.Restocked:
			p.onHand[at] += l.Quantity
		case inventory.Committed:
			p.onHand[at] -= l.Quantity
			p.held[at] -= l.Quantity
		default:
			p.held[at] -= l.Quantity
		}
		p.moves[l.VariantID]++
	}
}

func (p *paper) wait(r *rapid.T) {
	p.clock.Advance(time.Duration(rapid.IntRange(10, 70).Draw(r, "seconds")) * time.Second)
	if !rapid.Bool().Draw(r, "and sweep") {
		return
	}
	if _, err := p.store.Expire(p.t.Context(), p.clock.Now(), 1000); err != nil {
		r.Fatal(err)
	}
	for _, res := range p.open {
		if _, ended := p.ended[res.ID]; !ended && !res.ExpiresAt.After(p.clock.Now()) {
			p.endOnPaper(res, inventory.Expired)
		}
	}
}

func (p *paper) compare(r *rapid.T) {
	levels, err := p.store.LevelsOf(p.t.Context(), p.variants)
	if err != nil {
		r.Fatal(err)
	}
	for _, v := range p.variants {
		onHand, held := 0, 0
		for _, l := range levels[v] {
			at := place{v, l.WarehouseID}
			if l.OnHand != p.onHand[at] || l.Held != p.held[at] {
				r.Fatalf("%+v, want %d on hand, %d held", l, p.onHand[at], p.held[at])
			}
			onHand, held = onHand+l.OnHand, held+l.Held
		}
		if got := p.stock(v); got.OnHand != onHand || got.Held != held || int(got.Seq) != p.moves[v] || got.Available() != p.available(v) {
			r.Fatalf("%+v, want %d on hand, %d held after %d movements", got, onHand, held, p.moves[v])
		}
		ledger, err := p.store.Movements(p.t.Context(), v, 0, 1000)
		if err != nil || len(ledger) != p.moves[v] {
			r.Fatalf("%d movements, %v; want %d", len(ledger), err, p.moves[v])
		}
		for i, m := range ledger {
			if m.Seq != int64(i+1) {
				r.Fatalf("movement %d has seq %d", i+1, m.Seq)
			}
		}
	}
}
