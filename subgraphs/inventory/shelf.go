package inventory

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
)

// A Shelf is the stock of a few variants while one transaction has it to itself. Its methods are the rules by which
// units move; a method that returns an error, or a shortage, has moved nothing.
type Shelf struct {
	at     time.Time
	stock  map[string]*Stock
	levels map[place]*Level
	moved  []Movement
}

// A place is where units of a variant can be.
type place struct{ variantID, warehouseID string }

// NewShelf returns the shelf with everything there is of some variants.
func NewShelf(at time.Time, stock []Stock, levels []Level) *Shelf {
	s := &Shelf{at: at, stock: map[string]*Stock{}, levels: map[place]*Level{}}
	for _, of := range stock {
		of.AsOf = at
		s.stock[of.VariantID] = &of
	}
	for _, l := range levels {
		s.levels[place{l.VariantID, l.WarehouseID}] = &l
	}
	return s
}

// Moved returns the movements so far, those of a variant in the order of their seq.
func (s *Shelf) Moved() []Movement { return s.moved }

// Changed returns the stock, as it is now, of every variant that moved.
func (s *Shelf) Changed() []Stock {
	moved := map[string]Stock{}
	for _, m := range s.moved {
		moved[m.VariantID] = *s.stock[m.VariantID]
	}
	return slices.SortedFunc(maps.Values(moved), func(a, b Stock) int { return cmp.Compare(a.VariantID, b.VariantID) })
}

const mostUnits = 1_000_000_000 // of one variant, everywhere

var errTooMany = invalid("no variant has more than %d units", mostUnits)

// move appends to the ledger what m says happened, and fails when it cannot have. It is the only way in.
func (s *Shelf) move(m Movement) error {
	onHand, held := m.Effect()
	at := place{m.VariantID, m.WarehouseID}
	stock, level := s.stock[m.VariantID], s.levels[at]
	if stock == nil {
		stock = &Stock{VariantID: m.VariantID, AsOf: s.at}
	}
	if level == nil {
		level = &Level{VariantID: m.VariantID, WarehouseID: m.WarehouseID}
	}
	switch {
	case level.Held+held < 0, level.Held+held > level.OnHand+onHand:
		return ErrNotEnough
	case stock.OnHand+onHand > mostUnits:
		return errTooMany
	}
	s.stock[m.VariantID], s.levels[at] = stock, level
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
	if l := s.levels[place{c.VariantID, c.WarehouseID}]; l != nil {
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

// Hold takes units out of what can be had, for all of the request or for nothing.
func (s *Shelf) Hold(r HoldRequest) (*Reservation, []events.Shortage, error) {
	if err := r.timely(s.at); err != nil {
		return nil, nil, err
	}
	var short []events.Shortage
	for _, w := range r.Wanted {
		available := 0
		if of := s.stock[w.VariantID]; of != nil {
			available = of.Available()
		}
		if available < w.Quantity {
			short = append(short, events.Shortage{VariantID: w.VariantID, Wanted: w.Quantity, Available: available})
		}
	}
	if short != nil {
		return nil, short, nil
	}
	res := &Reservation{
		ID: id.New(id.Reservation), Status: Held, OrderID: r.OrderID, AccountID: r.AccountID,
		CreatedAt: s.at, UpdatedAt: s.at, ExpiresAt: r.ExpiresAt,
	}
	err := s.all(func() error {
		for _, w := range r.Wanted {
			for _, l := range pick(s.levelsOf(w.VariantID), w) {
				res.Lines = append(res.Lines, l)
				err := s.move(Movement{
					Kind: Hold, VariantID: l.VariantID, WarehouseID: l.WarehouseID, Quantity: l.Quantity,
					ReservationID: res.ID, OrderID: r.OrderID, IdempotencyKey: r.Once.Key,
				})
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
	return res, nil, err
}

// End does with the units of a hold, or of a sale that is undone, what its new status means.
func (s *Shelf) End(r Reservation) error {
	kind, sign := map[Status]Kind{Committed: Commit, Restocked: Restock, Released: Release, Expired: Expire}[r.Status], -1
	if r.Status == Restocked {
		sign = 1
	}
	return s.all(func() error {
		for _, l := range r.Lines {
			err := s.move(Movement{
				Kind: kind, VariantID: l.VariantID, WarehouseID: l.WarehouseID, Quantity: sign * l.Quantity,
				ReservationID: r.ID, OrderID: r.OrderID,
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
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
		stock, level := s.stock[m.VariantID], s.levels[place{m.VariantID, m.WarehouseID}]
		stock.Seq--
		stock.OnHand, stock.Held = stock.OnHand-onHand, stock.Held-held
		level.OnHand, level.Held = level.OnHand-onHand, level.Held-held
	}
	s.moved = s.moved[:before]
	return err
}

func (s *Shelf) levelsOf(variantID string) []Level {
	var of []Level
	for at, l := range s.levels {
		if at.variantID == variantID {
			of = append(of, *l)
		}
	}
	return of
}

// pick chooses warehouses for units that are there: the fullest, if it has them all, else as few as possible.
func pick(levels []Level, w Wanted) []Line {
	slices.SortFunc(levels, func(a, b Level) int {
		return cmp.Or(cmp.Compare(b.Available(), a.Available()), cmp.Compare(a.WarehouseID, b.WarehouseID))
	})
	var lines []Line
	for missing := w.Quantity; missing > 0 && len(levels) > 0; levels = levels[1:] {
		if take := min(missing, levels[0].Available()); take > 0 {
			lines = append(lines, Line{VariantID: w.VariantID, WarehouseID: levels[0].WarehouseID, Quantity: take})
			missing -= take
		}
	}
	return lines
}
