// Package inventory knows how many units of what are where, moves them, and holds them for orders until they are paid.
package inventory

import (
	"context"
	"time"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/feed"
	"github.com/souk-shop/souk/internal/viewer"
)

// Stock is the units of a variant over all warehouses at a moment. The zero value with a VariantID is a variant nobody stocked.
type Stock struct {
	VariantID string
	ProductID string
	Seq       int64 // of the newest movement
	OnHand    int
	Held      int
	AsOf      time.Time
}

// Key returns the variant's id.
func (s Stock) Key() string { return s.VariantID }

// Available returns how many can be had.
func (s Stock) Available() int { return s.OnHand - s.Held }

// A State says in a word whether something can be had.
type State string

// The states of stock.
const (
	InStock    State = "IN_STOCK"
	Low        State = "LOW"
	OutOfStock State = "OUT_OF_STOCK"
)

const low = 5 // units and fewer are few

// State says in a word whether the variant can be had.
func (s Stock) State() State { return stateOf(s.Available()) }

func stateOf(available int) State {
	switch {
	case available <= 0:
		return OutOfStock
	case available <= low:
		return Low
	}
	return InStock
}

// States returns the state for no units that can be had, for 1 and so on; the last is for all numbers above.
func States() (states []State) {
	for n := range low + 2 {
		states = append(states, stateOf(n))
	}
	return states
}

// Changed returns the event that tells of the stock.
func (s Stock) Changed() events.StockChanged {
	return events.StockChanged{
		At: events.At{At: s.AsOf}, VariantID: s.VariantID, ProductID: s.ProductID,
		Available: s.Available(), State: string(s.State()), Seq: s.Seq,
	}
}

// A Level is the units of a variant in one warehouse.
type Level struct {
	VariantID   string
	WarehouseID string
	OnHand      int
	Held        int
}

// Available returns how many can be had.
func (l Level) Available() int { return l.OnHand - l.Held }

// A Kind is what can happen to units.
type Kind string

// The kinds of movement. Adjust, Set, Allot and Return change what is on hand; Hold, Release and Expire what is held; Commit both;
// Restock, which undoes a Commit whose order was cancelled, what is on hand.
const (
	Adjust  Kind = "ADJUST"
	Set     Kind = "SET"
	Hold    Kind = "HOLD"
	Release Kind = "RELEASE"
	Expire  Kind = "EXPIRE"
	Commit  Kind = "COMMIT"
	Restock Kind = "RESTOCK"
	Allot   Kind = "ALLOT"
	Return  Kind = "RETURN"
)

// A Movement is one line of a variant's ledger.
type Movement struct {
	VariantID      string
	Seq            int64
	At             time.Time
	Kind           Kind
	Quantity       int // with the sign of what happened to the number concerned
	WarehouseID    string
	OnHandAfter    int
	HeldAfter      int
	ReservationID  string // "" unless a hold is behind it
	OrderID        string // as above
	PoolID         string // "" unless the units went into the pool of a flash sale, or came from there
	Reason         string // "" when nobody said
	IdempotencyKey string // "" when a hold ended
}

// Effect returns what the movement did to the numbers on hand and held.
func (m Movement) Effect() (onHand, held int) {
	switch m.Kind {
	case Adjust, Set, Restock, Allot, Return:
		return m.Quantity, 0
	case Commit:
		return m.Quantity, m.Quantity
	}
	return 0, m.Quantity
}

// An Item is whose goods a variant is.
type Item struct {
	VariantID string
	ProductID string
	SellerID  string
	SKU       string
}

// Key returns the variant's id.
func (i Item) Key() string { return i.VariantID }

// A Reader answers questions. Rows come in any order; unknown ids are left out.
type Reader interface {
	StockOf(ctx context.Context, variantIDs []string) ([]Stock, error)
	LevelsOf(ctx context.Context, variantIDs []string) (map[string][]Level, error)
	WarehousesByID(ctx context.Context, ids []string) ([]Warehouse, error)
	Warehouses(ctx context.Context) ([]Warehouse, error)
	ReservationsByID(ctx context.Context, ids []string) ([]Reservation, error)
	// InStock returns those of the products that have a variant which can be had.
	InStock(ctx context.Context, productIDs []string) ([]string, error)
	// LevelsIn lists up to first levels of each warehouse by variant, behind a variant; those of one seller's goods, or all for "".
	LevelsIn(ctx context.Context, warehouseIDs []string, sellerID string, after string, first int) (map[string][]Level, error)
	// Movements lists up to first rows of a variant's ledger behind a seq.
	Movements(ctx context.Context, variantID string, afterSeq int64, first int) ([]Movement, error)
	ItemsByID(ctx context.Context, variantIDs []string) ([]Item, error)
}

// A Store also moves units. Every method is one transaction that records its events; any of them may run at once, on any
// number of machines.
type Store interface {
	Reader
	// Move locks the variants, runs the rule and saves what it moved, once for each key; further calls change nothing.
	// ErrKeyReused when the key came with other input before.
	Move(ctx context.Context, once Once, variantIDs []string, at time.Time, rule func(*Shelf) error) error
	// Hold tries every one of these requests, each for itself, and answers in their order.
	Hold(ctx context.Context, requests []HoldRequest, at time.Time) ([]HoldAnswer, error)
	// MoveToPool and MoveFromPool try a request, and answer it once for each key.
	MoveToPool(ctx context.Context, r PoolRequest, at time.Time) (events.PoolReply, error)
	MoveFromPool(ctx context.Context, r PoolRequest, at time.Time) error
	// End moves a reservation from Held to another status, if it is held still, and returns the one it has now.
	// Only a hold whose time is not up can be committed. ErrNoReservation when there is none.
	End(ctx context.Context, reservationID string, to Status, at time.Time) (Status, error)
	// Restock moves a reservation from Committed to Restocked, if it is committed still, and returns the status it has now.
	Restock(ctx context.Context, reservationID string, at time.Time) (Status, error)
	// Expire ends up to most holds whose time is up, passing over those that others are at, and returns how many.
	Expire(ctx context.Context, at time.Time, most int) (int, error)
	// Due lists up to most holds whose time is up, those that others are at included.
	Due(ctx context.Context, at time.Time, most int) ([]string, error)
	// NextExpiry returns when the next hold runs out; false when nothing is held.
	NextExpiry(ctx context.Context) (time.Time, bool, error)
	// SaveWarehouse opens the warehouse, or changes the one with its code, and returns it as it is.
	SaveWarehouse(ctx context.Context, w Warehouse, at time.Time) (Warehouse, error)
	// ForgetAnswers forgets answers to keys that were given before a time, and says how many: all of them when it was called as often as
	// forget.Parts says.
	ForgetAnswers(ctx context.Context, before time.Time) (int64, error)
	// AddItems remembers items that are not known yet.
	AddItems(ctx context.Context, items []Item) error
}

// A Once makes repeating harmless: one caller's key stands for one input.
type Once struct {
	Caller string
	Key    string
	Input  []byte // a hash
}

// ErrKeyReused refuses a key that came with other input before.
var ErrKeyReused = fault.New(fault.Conflict, "IDEMPOTENCY_CONFLICT", "this idempotency key was used before with other input")

// Inventory is what the shop can do with stock.
type Inventory struct {
	store   Store
	catalog Catalog
	clock   clock.Clock
	feed    *feed.Feed[Update]
}

// New returns the shop's inventory, kept in a store, with the catalogue to ask whose goods are whose.
func New(s Store, c Catalog, now clock.Clock) *Inventory {
	return &Inventory{store: s, catalog: c, clock: now, feed: feed.New[Update](pace)}
}

// StockOf returns the stock of every variant asked for, as it is now.
func (inv *Inventory) StockOf(ctx context.Context, variantIDs []string) ([]Stock, error) {
	now := inv.clock.Now()
	found, err := inv.store.StockOf(ctx, variantIDs)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]Stock, len(found))
	for _, s := range found {
		byID[s.VariantID] = s
	}
	all := make([]Stock, len(variantIDs))
	for i, id := range variantIDs {
		all[i] = byID[id]
		all[i].VariantID, all[i].AsOf = id, now
	}
	return all, nil
}

// LevelsOf returns the levels of those variants that are the viewer's to see into, in all warehouses that ever had them.
func (inv *Inventory) LevelsOf(ctx context.Context, who viewer.Viewer, variantIDs []string) (map[string][]Level, error) {
	mine, err := inv.Mine(ctx, who, variantIDs)
	if err != nil {
		return nil, err
	}
	found, err := inv.store.LevelsOf(ctx, variantIDs)
	if err != nil {
		return nil, err
	}
	visible := make(map[string][]Level, len(mine))
	for v, isMine := range mine {
		if isMine {
			visible[v] = append([]Level{}, found[v]...) // not nil: none is not the same as none of your business
		}
	}
	return visible, nil
}

// StockedIn returns in which warehouses the variants can be had.
func (inv *Inventory) StockedIn(ctx context.Context, variantIDs []string) (map[string][]string, error) {
	found, err := inv.store.LevelsOf(ctx, variantIDs)
	stocked := make(map[string][]string, len(found))
	for v, levels := range found {
		for _, l := range levels {
			if l.Available() > 0 {
				stocked[v] = append(stocked[v], l.WarehouseID)
			}
		}
	}
	return stocked, err
}

// InStock returns those of the products that have a variant which can be had.
func (inv *Inventory) InStock(ctx context.Context, productIDs []string) ([]string, error) {
	return inv.store.InStock(ctx, productIDs)
}

const mostAvailability = 500 // variants in one question

// Availability answers the other subgraphs.
func (inv *Inventory) Availability(ctx context.Context, q events.AvailabilityRequest) (events.AvailabilityReply, error) {
	if len(q.VariantIDs) > mostAvailability {
		return events.AvailabilityReply{}, invalid("ask for at most %d variants", mostAvailability).At("variantIds")
	}
	stock, err := inv.StockOf(ctx, q.VariantIDs)
	if err != nil {
		return events.AvailabilityReply{}, err
	}
	available := make(map[string]int, len(stock))
	for _, s := range stock {
		available[s.VariantID] = s.Available()
	}
	return events.AvailabilityReply{Available: available}, nil
}

func invalid(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "INVALID", "").Says(format, args...)
}
