package main

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	clientpostgres "github.com/souk-shop/souk/clients/postgres"
	shop "github.com/souk-shop/souk/clients/souk"
	"github.com/souk-shop/souk/demo"
	"github.com/souk-shop/souk/frontends"
	"github.com/souk-shop/souk/subgraphs/accounts"
	"github.com/souk-shop/souk/subgraphs/accounts/argon2id"
	"github.com/souk-shop/souk/subgraphs/accounts/postgres"
)

// accounts opens the accounts and signs them in. Nobody can become staff through the graph, so this goes to the store.
func (s *seeding) accounts(ctx context.Context) error {
	url, err := s.env.postgresURL("accounts")
	if err != nil {
		return err
	}
	pool, err := clientpostgres.Open(ctx, url, "accounts")
	if err != nil {
		return err
	}
	defer pool.Close()
	all := accounts.New(postgres.NewStore(pool), argon2id.New(argon2id.Recommended), nil, s.env.clock)
	return each(ctx, s.Accounts, func(ctx context.Context, a demo.Account) error {
		roles := map[string][]accounts.Role{"SELLER": {accounts.RoleSeller}, "STAFF": {accounts.RoleStaff}}[a.Role]
		if _, err := all.EnsureAccount(ctx, a.Email, s.Password, a.Name, roles...); err != nil {
			return err
		}
		c, err := s.graph.SignIn(ctx, a.Email, s.Password)
		if err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.as[a.Email] = c
		return nil
	})
}

func (s *seeding) warehouses(ctx context.Context) error {
	return each(ctx, s.Warehouses, func(ctx context.Context, w demo.Warehouse) error {
		saved, err := mutate[struct{ Warehouse struct{ ID string } }](ctx, s.who(staff), "seller/WarehouseSave", values{"input": w})
		s.name("warehouse:"+w.Code, saved.Warehouse.ID)
		return err
	})
}

// goods saves the products and their categories.
func (s *seeding) goods(ctx context.Context) error {
	var paths [][]string
	for _, p := range s.Products {
		if !slices.ContainsFunc(paths, func(have []string) bool { return slices.Equal(have, p.Path) }) {
			paths = append(paths, p.Path)
		}
	}
	if err := each(ctx, paths, s.category); err != nil {
		return err
	}
	return each(ctx, s.Products, s.product)
}

func (s *seeding) category(ctx context.Context, path []string) error {
	ensured, err := mutate[struct{ Category struct{ Slug string } }](ctx, s.who(seller), "seller/CategoryEnsure", values{"path": path})
	s.name(category(path), ensured.Category.Slug)
	return err
}

func category(path []string) string { return "category:" + strings.Join(path, " > ") }

func (s *seeding) product(ctx context.Context, p demo.Product) error {
	usd := func(amount string) values { return values{"amount": amount, "currencyCode": "USD"} }
	var variants []values
	for _, v := range p.Variants {
		variant := values{"sku": v.SKU, "price": usd(v.Price), "options": v.Options, "weightGrams": v.WeightGrams}
		if v.Before != "" {
			variant["compareAtPrice"] = usd(v.Before)
		}
		variants = append(variants, variant)
	}
	saved, err := mutate[struct {
		Product struct {
			ID       string
			Media    []struct{ ID string }
			Variants struct{ Nodes []struct{ ID, SKU string } }
		}
	}](ctx, s.who(seller), "seller/ProductSave", values{"input": values{
		"externalId": p.ID, "title": p.Title, "description": p.Description, "brand": p.Brand, "categorySlug": s.id(category(p.Path)),
		"attributes": p.Attributes, "variants": variants,
	}})
	if err != nil {
		return err
	}
	s.name("product:"+p.ID, saved.Product.ID)
	for _, v := range saved.Product.Variants.Nodes {
		s.name("variant:"+v.SKU, v.ID)
	}
	if len(saved.Product.Media) > 0 {
		s.name("picture:"+p.ID, saved.Product.Media[0].ID)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.variants += len(saved.Product.Variants.Nodes)
	return nil
}

// pictures draws the products that have none.
func (s *seeding) pictures(ctx context.Context) error {
	return each(ctx, s.Products, func(ctx context.Context, p demo.Product) error {
		if s.id("picture:"+p.ID) != "" {
			return nil
		}
		drawn := p.Picture()
		upload, err := s.who(seller).Upload(ctx, p.ID+".svg", "image/svg+xml", int64(len(drawn)), bytes.NewReader(drawn))
		if err != nil {
			return err
		}
		_, err = mutate[struct{}](ctx, s.who(seller), "seller/ProductMediaAttach",
			values{"productId": s.id("product:" + p.ID), "stagedUploadIds": []string{upload}})
		return err
	})
}

// stock takes units in of every variant that never had any.
func (s *seeding) stock(ctx context.Context) error {
	var changes []stockChange
	for _, p := range s.Products {
		ids := make([]string, len(p.Variants))
		for n, v := range p.Variants {
			ids[n] = s.id("variant:" + v.SKU)
		}
		never, err := neverStocked(ctx, s.who(seller), ids)
		if err != nil {
			return err
		}
		for _, variant := range never {
			for n, w := range s.Warehouses {
				if delta := share(p.Stock, len(s.Warehouses), n); delta > 0 {
					changes = append(changes, stockChange{variant, s.id("warehouse:" + w.Code), delta})
				}
			}
		}
	}
	return each(ctx, slices.Collect(slices.Chunk(changes, mostStockChanges)), func(ctx context.Context, lot []stockChange) error {
		return adjustStock(ctx, s.who(seller), "demo", lot)
	})
}

// findable waits until buyers find what was saved.
func (s *seeding) findable(ctx context.Context) error {
	if _, there := partNamed("search"); !there {
		return nil
	}
	me, err := shop.Do[struct {
		Me struct{ Seller struct{ ID string } }
	}](ctx, s.who(seller), frontends.Operation("seller/WhoSells"), nil)
	if err != nil {
		return err
	}
	return within(ctx, 30*time.Second, "search", func(ctx context.Context) (bool, error) {
		found, err := shop.Do[struct{ Products struct{ TotalCount int } }](ctx, s.graph,
			frontends.Operation("seller/GoodsCount"), values{"sellerId": me.Me.Seller.ID})
		return found.Products.TotalCount >= len(s.Products), err
	})
}
