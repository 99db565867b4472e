package inventory

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
)

// A Change adds units to a place, or takes some away.
type Change struct {
	VariantID   string
	WarehouseID string
	Delta       int
}

// A Count is what somebody counted.
type Count struct {
	VariantID   string
	WarehouseID string
	Quantity    int
	IfQuantity  int // what the counter thought there were
}

const (
	mostChanges   = 250
	mostAtOnce    = 1_000_000
	longestReason = 200
)

// The refusals of moving units by hand.
var (
	ErrNotEnough   = fault.New(fault.Conflict, "INSUFFICIENT_STOCK", "more than there is, or than is not held")
	ErrStale       = fault.New(fault.Conflict, "STALE_QUANTITY", "the stock has moved since; count again")
	ErrNoVariant   = fault.New(fault.NotFound, "NOT_FOUND", "there is no such variant, or it is not yours")
	ErrNoWarehouse = fault.New(fault.NotFound, "NOT_FOUND", "there is no such warehouse")
)

// Adjust adds to and takes from stock, every change or none, and returns the variants concerned.
func (inv *Inventory) Adjust(ctx context.Context, who viewer.Viewer, changes []Change, reason, key string) ([]string, error) {
	reason = strings.TrimSpace(reason)
	if len(changes) < 1 || len(changes) > mostChanges {
		return nil, invalid("there are 1 to %d changes", mostChanges).At("input", "changes")
	}
	if utf8.RuneCountInString(reason) > longestReason {
		return nil, invalid("a reason has at most %d characters", longestReason).At("input", "reason")
	}
	if err := checkKey(key, "input", "idempotencyKey"); err != nil {
		return nil, err
	}
	at := func(i int, field string) []string { return []string{"input", "changes", strconv.Itoa(i), field} }
	targets := make([]target, len(changes))
	for i, c := range changes {
		targets[i] = target{c.VariantID, c.WarehouseID, at(i, "variantId"), at(i, "warehouseId")}
		if c.Delta == 0 || c.Delta < -mostAtOnce || c.Delta > mostAtOnce {
			return nil, invalid("a change is at least one unit and at most a million").At(at(i, "delta")...)
		}
	}
	variants, err := inv.mayMove(ctx, who, targets)
	if err != nil {
		return nil, err
	}
	return variants, inv.store.Move(ctx, once(who.AccountID, key, "adjust", changes, reason), variants, inv.clock.Now(), func(s *Shelf) error {
		return s.Adjust(changes, reason, key)
	})
}

// Set makes the stock what was counted, if it still is what the counter saw, and returns the variant concerned.
func (inv *Inventory) Set(ctx context.Context, who viewer.Viewer, c Count, key string) ([]string, error) {
	if c.Quantity < 0 || c.Quantity > mostAtOnce {
		return nil, invalid("a count is 0 to a million").At("input", "quantity")
	}
	if err := checkKey(key, "input", "idempotencyKey"); err != nil {
		return nil, err
	}
	variants, err := inv.mayMove(ctx, who, []target{{c.VariantID, c.WarehouseID, []string{"input", "variantId"}, []string{"input", "warehouseId"}}})
	if err != nil {
		return nil, err
	}
	return variants, inv.store.Move(ctx, once(who.AccountID, key, "set", c), variants, inv.clock.Now(), func(s *Shelf) error {
		return s.Set(c, key)
	})
}

// A target is a place in an input, with the paths to blame.
type target struct {
	variantID, warehouseID       string
	variantField, warehouseField []string
}

// mayMove returns the variants of the targets, once each, when all targets exist and are the viewer's to move. Neither
// warehouses nor a variant's seller ever go, so what is true here is true in the transaction that follows.
func (inv *Inventory) mayMove(ctx context.Context, who viewer.Viewer, targets []target) ([]string, error) {
	var variants, warehouses []string
	seen := map[string]bool{}
	for _, t := range targets {
		if err := id.Check(id.Variant, t.variantID, t.variantField...); err != nil {
			return nil, err
		}
		if err := id.Check(id.Warehouse, t.warehouseID, t.warehouseField...); err != nil {
			return nil, err
		}
		if !seen[t.variantID] {
			variants = append(variants, t.variantID)
		}
		if !seen[t.warehouseID] {
			warehouses = append(warehouses, t.warehouseID)
		}
		seen[t.variantID], seen[t.warehouseID] = true, true
	}
	mine, err := inv.Mine(ctx, who, variants)
	if err != nil {
		return nil, err
	}
	found, err := inv.store.WarehousesByID(ctx, warehouses)
	if err != nil {
		return nil, err
	}
	exists := map[string]bool{}
	for _, w := range found {
		exists[w.ID] = true
	}
	for _, t := range targets {
		if !mine[t.variantID] {
			return nil, ErrNoVariant.At(t.variantField...)
		}
		if !exists[t.warehouseID] {
			return nil, ErrNoWarehouse.At(t.warehouseField...)
		}
	}
	return variants, nil
}

func once(caller, key string, input ...any) Once {
	written, err := json.Marshal(input)
	if err != nil {
		panic(err) // inputs are made of strings and numbers
	}
	hash := sha256.Sum256(written)
	return Once{Caller: caller, Key: key, Input: hash[:]}
}
