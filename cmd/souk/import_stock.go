package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	shop "github.com/souk-shop/souk/clients/souk"
	"github.com/souk-shop/souk/frontends"
)

// An offer is a variant that buyers find.
type offer struct {
	id, sku string
	stocked bool // it had stock at some time, perhaps it is sold out by now
}

const givenUpAfter = time.Minute // without one more product found

// awaitFindable waits until buyers find all goods, and returns their variants.
func (i *productImport) awaitFindable(ctx context.Context) ([]offer, error) {
	wanted := map[string]bool{}
	for _, g := range i.goods {
		if !g.hidden {
			wanted[g.externalID] = true
		}
	}
	bar := i.show.start("findable", len(wanted))
	best, since := -1, time.Now()
	for {
		count, err := i.countFindable(ctx)
		if err != nil {
			return nil, err
		}
		found := min(count, len(wanted))
		if count >= len(wanted) {
			offers, seen, err := i.sweep(ctx, wanted)
			if err != nil {
				return nil, err
			}
			if seen == len(wanted) {
				bar.done()
				return offers, nil
			}
			found = seen
		}
		bar.set(found)
		if found > best {
			best, since = found, time.Now()
		}
		if time.Since(since) > givenUpAfter {
			return nil, fmt.Errorf("everything is in, but buyers find %d of %d products only", found, len(wanted))
		}
		if err := pause(ctx, lookEvery); err != nil {
			return nil, err
		}
	}
}

func (i *productImport) countFindable(ctx context.Context) (int, error) {
	answer, err := shop.Do[struct{ Products struct{ TotalCount int } }](ctx, i.seller,
		frontends.Operation("seller/GoodsCount"), map[string]any{"sellerId": i.sellerID})
	return answer.Products.TotalCount, err
}

// sweep goes through everything buyers find of the seller, and returns the variants of wanted products, and how many of those there are.
func (i *productImport) sweep(ctx context.Context, wanted map[string]bool) (offers []offer, seen int, err error) {
	i.created, i.changed, i.unchanged = 0, 0, 0
	have := map[string]bool{}
	for after := (*string)(nil); ; {
		answer, err := shop.Do[struct {
			Products struct {
				Nodes []struct {
					ID, ExternalID       string
					CreatedAt, UpdatedAt time.Time
					Variants             struct {
						Nodes []struct {
							ID, SKU string
							Stock   struct{ Seq int }
						}
					}
				}
				PageInfo struct {
					HasNextPage bool
					EndCursor   *string
				}
			}
		}](ctx, i.seller, frontends.Operation("seller/GoodsOfSeller"), map[string]any{"sellerId": i.sellerID, "after": after})
		if err != nil {
			return nil, 0, err
		}
		for _, p := range answer.Products.Nodes {
			if !wanted[p.ExternalID] || have[p.ExternalID] {
				continue
			}
			have[p.ExternalID] = true
			switch {
			case !p.CreatedAt.Before(i.askedAt):
				i.created++
			case !p.UpdatedAt.Before(i.askedAt):
				i.changed++
			default:
				i.unchanged++
			}
			for _, v := range p.Variants.Nodes {
				offers = append(offers, offer{v.ID, v.SKU, v.Stock.Seq > 0})
			}
		}
		if !answer.Products.PageInfo.HasNextPage {
			return offers, len(have), nil
		}
		after = answer.Products.PageInfo.EndCursor
	}
}

type stockChange struct {
	VariantID   string `json:"variantId"`
	WarehouseID string `json:"warehouseId"`
	Delta       int    `json:"delta"`
}

const (
	mostStockChanges = 250 // in one mutation
	stockAtOnce      = 4   // mutations
)

// stock takes units in of every variant that never had any. A variant that is sold out stays so: importing again must not restock it.
func (i *productImport) stock(ctx context.Context, offers []offer) error {
	if i.Stock == 0 || !slices.ContainsFunc(offers, func(o offer) bool { return !o.stocked }) {
		return nil
	}
	slices.SortFunc(offers, func(a, b offer) int { return cmp.Compare(a.sku, b.sku) })
	warehouses, err := i.warehouses(ctx)
	if err != nil {
		return err
	}
	bar := i.show.start("stocking", len(offers))
	var done, taken atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(stockAtOnce)
	for lot := range slices.Chunk(offers, max(1, mostStockChanges/len(warehouses))) {
		g.Go(func() error {
			n, err := i.stockLot(ctx, lot, warehouses)
			taken.Add(int64(n))
			bar.set(int(done.Add(int64(len(lot)))))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("stock: %w", err)
	}
	i.units = int(taken.Load()) * i.Stock
	bar.done()
	return nil
}

// stockLot takes units of a lot in, and returns of how many variants.
//
// Lots depend on the feed alone, and the key of a lot on what is in it. So of two imports of one feed at once, or of one that goes
// on where another was killed, one takes a lot in, whole; who looks at all of it at once never sees it half done. A lot that has
// stock in part was mixed before, and its other variants go one by one, each under a key of its own.
func (i *productImport) stockLot(ctx context.Context, lot []offer, warehouses []string) (taken int, err error) {
	if !slices.ContainsFunc(lot, func(o offer) bool { return !o.stocked }) {
		return 0, nil
	}
	ids := make([]string, len(lot))
	for n, o := range lot {
		ids[n] = o.id
	}
	never, err := neverStocked(ctx, i.seller, ids)
	if err != nil {
		return 0, err
	}
	parts := map[string][]string{"lot": never}
	if len(never) < len(lot) {
		clear(parts)
		for _, id := range never {
			parts[id] = []string{id}
		}
	}
	for _, part := range parts {
		var changes []stockChange
		for _, id := range part {
			for n, w := range warehouses {
				if delta := share(i.Stock, len(warehouses), n); delta > 0 {
					changes = append(changes, stockChange{id, w, delta})
				}
			}
		}
		for some := range slices.Chunk(changes, mostStockChanges) {
			if err := adjustStock(ctx, i.seller, "import", some); err != nil {
				return taken, err
			}
		}
		taken += len(part)
	}
	return taken, nil
}

// neverStocked returns those variants that never had any stock, in their order, all seen at one moment.
func neverStocked(ctx context.Context, c *shop.Client, variantIDs []string) (never []string, err error) {
	answer, err := shop.Do[struct {
		Nodes []struct {
			ID    string
			Stock struct{ Seq int }
		}
	}](ctx, c, frontends.Operation("seller/VariantStock"), map[string]any{"ids": variantIDs})
	for _, v := range answer.Nodes {
		if v.Stock.Seq == 0 {
			never = append(never, v.ID)
		}
	}
	return never, err
}

// adjustStock moves units under a key made of what is moved: the same lot moves once, however often it is sent.
func adjustStock(ctx context.Context, c *shop.Client, reason string, changes []stockChange) error {
	text, err := json.Marshal(changes)
	if err != nil {
		return err
	}
	answer, err := shop.Do[struct {
		StockAdjust struct{ UserErrors shop.UserErrors }
	}](ctx, c, frontends.Operation("seller/StockTakeIn"), map[string]any{"input": map[string]any{
		"changes": changes, "reason": reason, "idempotencyKey": fmt.Sprintf("%s-%x", reason, sha256.Sum256(text)),
	}})
	if err != nil {
		return err
	}
	return answer.StockAdjust.UserErrors.Err()
}

// share splits units over places as evenly as they go.
func share(units, places, n int) int {
	s := units / places
	if n < units%places {
		s++
	}
	return s
}

// warehouses returns the one named, or all there are.
func (i *productImport) warehouses(ctx context.Context) ([]string, error) {
	answer, err := shop.Do[struct{ Warehouses []struct{ ID, Code string } }](ctx, i.seller, frontends.Operation("seller/Warehouses"), nil)
	if err != nil {
		return nil, err
	}
	var ids, codes []string
	for _, w := range answer.Warehouses {
		codes = append(codes, w.Code)
		if i.Warehouse == "" || i.Warehouse == w.Code {
			ids = append(ids, w.ID)
		}
	}
	switch {
	case len(codes) == 0:
		return nil, fmt.Errorf("there is no warehouse yet: let staff open one, or import with --stock 0")
	case len(ids) == 0:
		return nil, fmt.Errorf("there is no warehouse %s; there are %s", i.Warehouse, codes)
	}
	return ids, nil
}
