package inventory

import (
	"context"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/page"
	"github.com/souk-shop/souk/internal/postal"
	"github.com/souk-shop/souk/internal/viewer"
)

// A Warehouse is where stock is kept.
type Warehouse struct {
	ID        string
	Code      string // short and unique, for labels
	Name      string
	Pincode   string
	Country   string // ISO 3166-1 alpha-2
	Latitude  float64
	Longitude float64
	Version   int // rises with every change
}

// Key returns the warehouse's id.
func (w Warehouse) Key() string { return w.ID }

// IsEntity lets other subgraphs refer to warehouses.
func (Warehouse) IsEntity() {}

// Saved returns the event that tells of the warehouse.
func (w Warehouse) Saved() events.WarehouseSaved {
	return events.WarehouseSaved{
		WarehouseID: w.ID, Version: w.Version, Code: w.Code, Name: w.Name, Pincode: w.Pincode, Country: w.Country,
		Latitude: w.Latitude, Longitude: w.Longitude,
	}
}

var warehouseCode = regexp.MustCompile(`^[A-Z0-9-]{2,16}$`)

// SaveWarehouse opens a warehouse, or changes the one with its code. For staff.
func (inv *Inventory) SaveWarehouse(ctx context.Context, who viewer.Viewer, w Warehouse) (Warehouse, error) {
	var isCode bool
	w.Name = strings.TrimSpace(w.Name)
	w.Pincode, isCode = postal.Code(w.Pincode)
	switch {
	case !who.Staff():
		return Warehouse{}, fault.New(fault.Forbidden, "FORBIDDEN", "staff only")
	case !warehouseCode.MatchString(w.Code):
		return Warehouse{}, invalid("a code is 2 to 16 capital letters, digits and dashes").At("input", "code")
	case w.Name == "" || utf8.RuneCountInString(w.Name) > 120:
		return Warehouse{}, invalid("a name has 1 to 120 characters").At("input", "name")
	case !isCode:
		return Warehouse{}, invalid(postal.Shape).At("input", "pincode")
	case !(w.Latitude >= -90 && w.Latitude <= 90): // refuses NaN too
		return Warehouse{}, invalid("a latitude is -90 to 90 degrees").At("input", "latitude")
	case !(w.Longitude >= -180 && w.Longitude <= 180):
		return Warehouse{}, invalid("a longitude is -180 to 180 degrees").At("input", "longitude")
	}
	w.ID = id.New(id.Warehouse)
	return inv.store.SaveWarehouse(ctx, w, inv.clock.Now())
}

// Warehouses lists where stock is kept, by code.
func (inv *Inventory) Warehouses(ctx context.Context) ([]Warehouse, error) {
	return inv.store.Warehouses(ctx)
}

// WarehousesByID finds warehouses.
func (inv *Inventory) WarehousesByID(ctx context.Context, ids []string) ([]Warehouse, error) {
	return inv.store.WarehousesByID(ctx, ids)
}

// A LevelsQuery asks for a page of what a warehouse keeps.
type LevelsQuery struct {
	WarehouseID string
	First       int
	After       string // a cursor, or "" for the first page
}

// A LevelPage is the answer to such a query.
type LevelPage struct {
	Query  LevelsQuery
	Levels []Level
	Info   page.Info
}

// Key returns what was asked.
func (p LevelPage) Key() LevelsQuery { return p.Query }

type levelCursor struct {
	VariantID string `json:"v"`
}

// LevelsIn answers with everything for staff, with their own goods for sellers. Queries that differ in the warehouse
// alone are one question to the store.
func (inv *Inventory) LevelsIn(ctx context.Context, who viewer.Viewer, queries []LevelsQuery) ([]LevelPage, error) {
	seller := who.SellerID
	switch {
	case who.Staff():
		seller = ""
	case seller == "":
		return nil, fault.New(fault.Forbidden, "FORBIDDEN", "sellers and staff only")
	}
	alike := map[LevelsQuery][]string{}
	for _, q := range queries {
		key := LevelsQuery{First: q.First, After: q.After}
		alike[key] = append(alike[key], q.WarehouseID)
	}
	var pages []LevelPage
	for q, warehouses := range alike {
		var cursor *string
		if q.After != "" {
			cursor = &q.After
		}
		var after levelCursor
		if err := page.Decode(cursor, &after); err != nil {
			return nil, err
		}
		found, err := inv.store.LevelsIn(ctx, warehouses, seller, after.VariantID, q.First+1)
		if err != nil {
			return nil, err
		}
		for _, w := range warehouses {
			levels, info := page.Cut(found[w], q.First, cursor, func(l Level) string { return page.Encode(levelCursor{l.VariantID}) })
			q.WarehouseID = w
			pages = append(pages, LevelPage{q, levels, info})
		}
	}
	return pages, nil
}
