package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	"github.com/souk-shop/souk/subgraphs/flashsale/flashsaletest"
)

// dying is a store whose process dies at one of the steps of a change: before it, or after it before anybody hears.
type dying struct {
	flashsale.Store
	step, at  int
	afterward bool
}

var errDied = errors.New("the process died")

func (d *dying) die(do func() error) error {
	d.step++
	if d.step == d.at && !d.afterward {
		return errDied
	}
	err := do()
	if d.step == d.at {
		return errDied
	}
	return err
}

func (d *dying) Begin(ctx context.Context, c flashsale.Change) (out flashsale.Change, err error) {
	err = d.die(func() error { out, err = d.Store.Begin(ctx, c); return err })
	return out, err
}

func (d *dying) Finish(ctx context.Context, c flashsale.Change, why *fault.Error, in []flashsale.Line, at time.Time, rule func(*flashsale.Stand) error) (out flashsale.Change, err error) {
	err = d.die(func() error { out, err = d.Store.Finish(ctx, c, why, in, at, rule); return err })
	return out, err
}

func (d *dying) Serve(ctx context.Context, saleID string, w flashsale.Wanted, at time.Time, rule func(*flashsale.Stand) error) error {
	return d.die(func() error { return d.Store.Serve(ctx, saleID, w, at, rule) })
}

func (d *dying) TransferDone(ctx context.Context, transfer string, at time.Time) error {
	return d.die(func() error { return d.Store.TransferDone(ctx, transfer, at) })
}

// Whoever sets a sale up, changes it or calls it off may die before or after any step, the stock may not answer, and the end of
// the sale may come meanwhile: in the end every unit is in stock or in the sale.
func TestASetUpCutAnywhereLosesNoUnit(t *testing.T) {
	for _, what := range []string{"set up", "set up too late", "raise", "lower", "cancel"} {
		for _, cut := range []string{"store", "stock"} {
			for at := 1; at <= 3; at++ {
				for _, afterward := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s/%s/%d/%v", what, cut, at, afterward), func(t *testing.T) {
						w := setup(t)
						w.cutAnywhere(what, cut, at, afterward)
					})
				}
			}
		}
	}
}

func (w *world) cutAnywhere(what, cut string, at int, afterward bool) {
	const all = 10
	v := w.goods.Stocked(all)
	p := w.plan(6, v)
	p.StartsAt = p.StartsAt.Add(time.Minute)
	if what == "raise" || what == "lower" || what == "cancel" {
		p.SaleID = w.sale(p)
	}
	switch what {
	case "raise":
		p.Offers[0].Quantity = 9
	case "lower":
		p.Offers[0].Quantity = 2
	}
	store := &dying{Store: w.store, afterward: afterward}
	if cut == "store" {
		store.at = at
	} else {
		moves := 0
		if p.SaleID != "" {
			moves = 1 // the set-up's
		}
		w.goods.BreakAt, w.goods.Afterward = moves+at, afterward
	}
	process := flashsale.New(store, nil, w.goods, w.clock) // nobody books
	key := id.New(id.Event)
	try := func(fs *flashsale.FlashSales) (s flashsale.Sale, err error) {
		if what == "cancel" {
			return fs.Cancel(w.t.Context(), seller, p.SaleID)
		}
		return fs.Save(w.t.Context(), seller, p, key)
	}
	if _, err := try(process); err != nil && !errors.Is(err, errDied) && !errors.Is(err, flashsaletest.ErrCut) {
		w.t.Fatal(err)
	}
	if what == "set up too late" {
		w.clock.Advance(3 * time.Hour)
	}
	for range 4 { // another process goes on with it
		if err := w.settle(); err != nil && !errors.Is(err, flashsaletest.ErrCut) {
			w.t.Fatal(err)
		}
	}
	s, err := try(w.sales) // and the seller tries again
	switch {
	case what == "set up too late" && err != nil && code(err) != "INVALID", what != "set up too late" && err != nil:
		w.t.Fatal(err)
	}
	for range 2 {
		if err := w.settle(); err != nil && !errors.Is(err, flashsaletest.ErrCut) {
			w.t.Fatal(err)
		}
	}
	want := map[string]int{"set up": 6, "set up too late": 0, "raise": 9, "lower": 2, "cancel": 0}[what]
	in := 0
	if err == nil {
		in = w.found(s.ID).Offers[0].Quantity
	}
	if in != want || w.goods.Stock(v) != all-want {
		w.t.Errorf("%d in the sale and %d in stock, want %d and %d", in, w.goods.Stock(v), want, all-want)
	}
	if left, err := w.store.PendingTransfers(w.t.Context(), "", 10); err != nil || len(left) > 0 {
		w.t.Errorf("%v %v", left, err)
	}
	w.sound()
}

// What may change of a sale, and when.
func TestChangingASale(t *testing.T) {
	later := func(p *flashsale.Plan) { p.EndsAt = p.EndsAt.Add(time.Hour) }
	for name, c := range map[string]struct {
		change          func(*flashsale.Plan)
		before, running string // the refusal, "" for none
	}{
		"title":          {func(p *flashsale.Plan) { p.Title = "Another" }, "", ""},
		"a later end":    {later, "", ""},
		"more units":     {func(p *flashsale.Plan) { p.Offers[0].Quantity = 8 }, "", ""},
		"too many":       {func(p *flashsale.Plan) { p.Offers[0].Quantity = 80 }, "INSUFFICIENT_STOCK", "INSUFFICIENT_STOCK"},
		"fewer units":    {func(p *flashsale.Plan) { p.Offers[0].Quantity = 3 }, "", "STARTED"},
		"price":          {func(p *flashsale.Plan) { p.Offers[0].Price.Amount = 1 }, "", "STARTED"},
		"limit":          {func(p *flashsale.Plan) { p.LimitPerAccount = 3 }, "", "STARTED"},
		"its limit":      {func(p *flashsale.Plan) { p.Offers[0].LimitPerAccount = 3 }, "", "STARTED"},
		"hold":           {func(p *flashsale.Plan) { p.HoldTime = time.Minute }, "", "STARTED"},
		"start":          {func(p *flashsale.Plan) { p.StartsAt = p.StartsAt.Add(time.Minute) }, "", "STARTED"},
		"an earlier end": {func(p *flashsale.Plan) { p.EndsAt = p.EndsAt.Add(-time.Second) }, "", "STARTED"},
		"a past end":     {func(p *flashsale.Plan) { p.StartsAt, p.EndsAt = ten.Add(-2*time.Hour), ten.Add(-time.Hour) }, "INVALID", "STARTED"},
	} {
		t.Run(name, func(t *testing.T) {
			w := setup(t)
			v := w.goods.Stocked(10)
			for _, running := range []bool{false, true} {
				p := w.plan(5, v)
				p.StartsAt = w.clock.Now().Add(time.Minute)
				if running {
					p.StartsAt = w.clock.Now()
				}
				p.SaleID = w.sale(p)
				c.change(&p)
				s, err := w.sales.Save(t.Context(), seller, p, id.New(id.Event))
				if want := map[bool]string{false: c.before, true: c.running}[running]; code(err) != want {
					t.Errorf("running %v: %v, want %q", running, err, want)
				}
				if is := w.found(p.SaleID); err == nil && (s.Title != p.Title || is.Offers[0].Quantity != p.Offers[0].Quantity || !is.EndsAt.Equal(p.EndsAt)) {
					t.Errorf("%+v", is)
				} else if err != nil && is.Offers[0].Quantity != 5 {
					t.Errorf("refused, but %+v", is)
				}
				if _, err := w.sales.Cancel(t.Context(), seller, p.SaleID); err != nil || w.goods.Stock(v) != 10 {
					t.Errorf("%d in stock, %v", w.goods.Stock(v), err)
				}
				if _, err := w.sales.Save(t.Context(), seller, p, id.New(id.Event)); code(err) != "NOT_OPEN" && code(err) != "INSUFFICIENT_STOCK" {
					t.Errorf("over: %v", err)
				}
			}
			w.sound()
		})
	}
}

// One change at a time, and none of a sale that is another's.
func TestManyChangesAtOnce(t *testing.T) {
	w := setup(t)
	v := w.goods.Stocked(100)
	p := w.plan(5, v)
	p.SaleID = w.sale(p)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			p := p
			p.Offers = append([]flashsale.PlannedOffer{}, p.Offers...)
			p.Offers[0].Quantity = 6 + i
			if _, err := w.sales.Save(t.Context(), seller, p, id.New(id.Event)); err != nil && code(err) != "CHANGING" && code(err) != "STARTED" {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := w.settle(); err != nil {
		t.Error(err)
	}
	if in := w.found(p.SaleID).Offers[0].Quantity; in+w.goods.Stock(v) != 100 || in < 6 {
		t.Errorf("%d in the sale, %d in stock", in, w.goods.Stock(v))
	}
	rival := viewer.Viewer{AccountID: id.New(id.Account), SellerID: id.New(id.Seller)}
	if _, err := w.sales.Save(t.Context(), rival, p, id.New(id.Event)); code(err) != "NOT_FOUND" {
		t.Errorf("a rival's change: %v", err)
	}
	if _, err := w.sales.Cancel(t.Context(), rival, p.SaleID); code(err) != "NOT_FOUND" {
		t.Errorf("a rival's end: %v", err)
	}
	w.sound()
}

// What is held when a sale ends can still be paid for, and goes back into stock when it is not: once.
func TestTheEndGivesBackWhatIsLeftOnce(t *testing.T) {
	w := setup(t)
	v := w.goods.Stocked(10)
	p := w.plan(6, v)
	p.EndsAt = p.StartsAt.Add(time.Minute)
	saleID := w.sale(p)
	w.booked(saleID)
	w.booked(saleID)
	w.clock.Advance(time.Minute)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := w.settle(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if s := w.found(saleID); s.Offers[0].Quantity != 2 || s.Offers[0].Held != 2 || s.Status(w.clock.Now()) != flashsale.Ended || w.goods.Stock(v) != 8 {
		t.Errorf("%+v, %d in stock", s.Offers[0], w.goods.Stock(v))
	}
	w.clock.Advance(4 * time.Minute)
	for range 2 {
		if err := w.settle(); err != nil {
			t.Error(err)
		}
	}
	if s := w.found(saleID); s.Offers[0].Quantity != 0 || w.goods.Stock(v) != 10 {
		t.Errorf("%+v, %d in stock", s.Offers[0], w.goods.Stock(v))
	}
	w.sound()
}
