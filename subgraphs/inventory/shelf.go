package inventory

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/souk-shop/souk/internal/fault"
)

// A Shelf is the stock of a few variants while one transaction has it to itself. Its methods are the rules by which
// units move; a method that returns an error, or a shortage, has moved nothing.
type Shelf struct {
	at     time.Time
	stock  map[string]*Stock
	levels map[string][]*Level // by variant
	moved  []Movement

	sheets   []*Sheet
	closed   int    // how many of them are finished
	sheetID  string // of the others
	holds    int    // that they have
	expected int    // to make room for
}

// A place is where units of a variant can be.
type place struct{ variantID, warehouseID string }

// NewShelf returns the shelf with everything there is of some variants.
func NewShelf(at time.Time, stock []Stock, levels []Level) *Shelf {
	s := &Shelf{at: at, stock: map[string]*Stock{}, levels: map[string][]*Level{}}
	for _, of := range stock {
		of.AsOf = at
		s.stock[of.VariantID] = &of
	}
	for _, l := range levels {
		s.levels[l.VariantID] = append(s.levels[l.VariantID], &l)
	}
	return s
}

// Moved returns the movements so far but for holds, those of a variant in the order of their seq.
func (s *Shelf) Moved() []Movement { return s.moved }

// Changed returns the stock, as it is now, of every variant that moved.
func (s *Shelf) Changed() []Stock {
	moved := map[string]Stock{}
	for _, m := range s.moved {
		moved[m.VariantID] = *s.stock[m.VariantID]
	}
	for _, sheet := range s.sheets {
		moved[sheet.VariantID] = *s.stock[sheet.VariantID]
	}
	return slices.SortedFunc(maps.Values(moved), func(a, b Stock) int { return cmp.Compare(a.VariantID, b.VariantID) })
}

// Of returns the stock of a variant and its levels, as they are now.
func (s *Shelf) Of(variantID string) (Stock, []Level) {
	levels := make([]Level, len(s.levels[variantID]))
	for i, l := range s.levels[variantID] {
		levels[i] = *l
	}
	if of := s.stock[variantID]; of != nil {
		return *of, levels
	}
	return Stock{VariantID: variantID}, levels
}

const mostUnits = 1_000_000_000 // of one variant, everywhere

var errTooMany = invalid("no variant has more than %d units", mostUnits)

// level returns a variant's level in a warehouse; nil when it never had any.
func (s *Shelf) level(at place) *Level {
	for _, l := range s.levels[at.variantID] {
		if l.WarehouseID == at.warehouseID {
			return l
		}
	}
	return nil
}

// move appends to the ledger what m says happened, and fails when it cannot have. But for Hold it is the only way in.
func (s *Shelf) move(m Movement) error {
	onHand, held := m.Effect()
	at := place{m.VariantID, m.WarehouseID}
	stock, level := s.stock[m.VariantID], s.level(at)
	if stock == nil {
		stock = &Stock{VariantID: m.VariantID, AsOf: s.at}
	}
	opens := level == nil
	if opens {
		level = &Level{VariantID: m.VariantID, WarehouseID: m.WarehouseID}
	}
	switch {
	case level.Held+held < 0, level.Held+held > level.OnHand+onHand:
		return ErrNotEnough
	case stock.OnHand+onHand > mostUnits:
		return errTooMany
	}
	s.stock[m.VariantID] = stock
	if opens {
		s.levels[m.VariantID] = append(s.levels[m.VariantID], level)
	}
	stock.Seq++
	stock.OnHand, stock.Held = stock.OnHand+onHand, stock.Held+held
	level.OnHand, level.Held = level.OnHand+onHand, level.Held+held
	m.At, m.Seq, m.OnHandAfter, m.HeldAfter = s.at, stock.Seq, level.OnHand, level.Held
	s.moved = append(s.moved, m)
	return nil
}

// Adjust adds and takes units: every change or none. Changes of one place count as their sum.
func (s *Shelf) Adjust(changes []Change, reason, key string) error {
	sum, blame := map[place]int{}, map[place]int{}
	var order []place
	for i, c := range changes {
		at := place{c.VariantID, c.WarehouseID}
		if _, seen := sum[at]; !seen {
			order, blame[at] = append(order, at), i
		}
		if c.Delta < 0 && changes[blame[at]].Delta > 0 {
			blame[at] = i // the first that takes is the one to change when too much is taken
		}
		sum[at] += c.Delta
	}
	return s.all(func() error {
		for _, at := range order {
			if sum[at] == 0 {
				continue
			}
			err := s.move(Movement{
				Kind: Adjust, VariantID: at.variantID, WarehouseID: at.warehouseID, Quantity: sum[at], Reason: reason, IdempotencyKey: key,
			})
			if f, ok := fault.ForUser(err); ok {
				return f.At("input", "changes", strconv.Itoa(blame[at]), "delta")
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Set makes the number on hand what was counted, if it still is what the counter saw.
func (s *Shelf) Set(c Count, key string) error {
	had := Level{}
	if l := s.level(place{c.VariantID, c.WarehouseID}); l != nil {
		had = *l
	}
	if had.OnHand != c.IfQuantity {
		return ErrStale.Says("there are %d by now, not %d", had.OnHand, c.IfQuantity).At("input", "ifQuantity")
	}
	err := s.move(Movement{
		Kind: Set, VariantID: c.VariantID, WarehouseID: c.WarehouseID, Quantity: c.Quantity - had.OnHand, IdempotencyKey: key,
	})
	if f, ok := fault.ForUser(err); ok {
		return f.At("input", "quantity")
	}
	return err
}

// all undoes what fn moved when it fails.
func (s *Shelf) all(fn func() error) error {
	before := len(s.moved)
	err := fn()
	if err == nil {
		return nil
	}
	for _, m := range slices.Backward(s.moved[before:]) {
		onHand, held := m.Effect()
		stock, level := s.stock[m.VariantID], s.level(place{m.VariantID, m.WarehouseID})
		stock.Seq--
		stock.OnHand, stock.Held = stock.OnHand-onHand, stock.Held-held
		level.OnHand, level.Held = level.OnHand-onHand, level.Held-held
	}
	s.moved = s.moved[:before]
	return err
}
