package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	clientmongo "github.com/souk-shop/souk/clients/mongo"
	devmongo "github.com/souk-shop/souk/internal/devstores/mongo"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/subgraphs/catalog"
	catalogmongo "github.com/souk-shop/souk/subgraphs/catalog/mongo"
)

const (
	catalogueProducts = 10_000
	catalogueAsked    = 100
)

// timeCatalogue fills the catalogue's own store, through the official driver and the embedded engine, and times one caller
// who asks for many products by their ids at once.
func timeCatalogue(ctx context.Context, dir string, how time.Duration) (timings, error) {
	engine, err := devmongo.Open(ctx, devmongo.Config{Dir: filepath.Join(dir, "catalogue"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return timings{}, err
	}
	defer engine.Close()
	db, err := clientmongo.Open(ctx, engine.URL())
	if err != nil {
		return timings{}, err
	}
	defer db.Client().Disconnect(context.WithoutCancel(ctx))
	store, err := catalogmongo.NewStore(ctx, db)
	if err != nil {
		return timings{}, err
	}
	ids, err := fillCatalogue(ctx, store)
	if err != nil {
		return timings{}, err
	}
	pick := rand.New(rand.NewPCG(1, 2))
	return load(ctx, 1, how, func(ctx context.Context, _, _ int) error {
		from, step := pick.IntN(len(ids)), 1+2*pick.IntN(len(ids)/2/catalogueAsked)
		asked := make([]string, catalogueAsked)
		for i := range asked {
			asked[i] = ids[(from+i*step)%len(ids)]
		}
		found, err := store.ProductsByID(ctx, asked)
		if err == nil && len(found) != len(asked) {
			err = fmt.Errorf("%d of %d products found", len(found), len(asked))
		}
		return err
	})
}

func fillCatalogue(ctx context.Context, store *catalogmongo.Store) ([]string, error) {
	var ids []string
	changes := make([]catalog.Change, catalogueProducts)
	for i := range changes {
		p := benchProduct(i)
		ids = append(ids, p.ID)
		changes[i] = catalog.Change{After: p, Event: id.New(id.Event)}
	}
	for lot := range slices.Chunk(changes, 500) {
		refused, err := store.WriteProducts(ctx, lot)
		if err != nil {
			return nil, err
		}
		if i := slices.IndexFunc(refused, func(err error) bool { return err != nil }); i >= 0 {
			return nil, refused[i]
		}
	}
	return ids, nil
}

// benchProduct is of ordinary size: three variants, six attributes, a paragraph of text, about 2 KB.
func benchProduct(i int) catalog.Product {
	now := time.Now().UTC().Truncate(time.Millisecond)
	p := catalog.Product{
		ID: id.New(id.Product), Slug: fmt.Sprintf("thing-%d", i), SellerID: fmt.Sprintf("sel_%026d", i%7), ExternalID: fmt.Sprint(i), Version: 1, Status: catalog.Active,
		Title: fmt.Sprintf("Thing %d of the bazaar", i), Description: strings.Repeat("A fine thing, well made, with a story to tell. ", 12), Brand: fmt.Sprintf("Maker %d", i%97),
		CategoryPath: []string{"cat_00000000000000000000000001", fmt.Sprintf("cat_%026d", 2+i%20)}, CreatedAt: now, UpdatedAt: now, PublishedAt: &now,
		Linked: []catalog.Media{{ID: id.New("med"), Kind: catalog.Image, URL: fmt.Sprintf("https://pictures.example/%d.jpg", i)}},
	}
	for _, key := range []string{"material", "colour", "width", "height", "weight", "origin"} {
		p.Attributes = append(p.Attributes, catalog.Attribute{Key: key, Value: fmt.Sprint(key, " ", i%13)})
	}
	for v := range 3 {
		p.Variants = append(p.Variants, catalog.Variant{
			ID: id.New(id.Variant), SKU: fmt.Sprintf("THING-%d-%d", i, v), Price: money.Money{Amount: int64(1000 + i), Currency: "USD"},
			Options: []catalog.Option{{Name: "Size", Value: []string{"S", "M", "L"}[v]}}, WeightGrams: 200,
		})
	}
	return p
}
