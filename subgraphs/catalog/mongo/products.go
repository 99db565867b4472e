package mongo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/subgraphs/catalog"
)

// productDoc is a product with the promise to tell of its last change: one document, so one cannot be without the other.
type productDoc struct {
	ID           string         `bson:"_id"`
	Slug         string         `bson:"slug"`
	SellerID     string         `bson:"sellerId"`
	ExternalID   string         `bson:"externalId,omitempty"`
	Version      int            `bson:"version"`
	Status       catalog.Status `bson:"status"`
	Title        string         `bson:"title"`
	Description  string         `bson:"description"`
	Brand        string         `bson:"brand,omitempty"`
	CategoryPath []string       `bson:"categoryPath"`
	Attributes   []attributeDoc `bson:"attributes"`
	Variants     []variantDoc   `bson:"variants"`
	Retired      []variantDoc   `bson:"retired"`
	VariantIDs   []string       `bson:"variantIds"` // of all above
	Linked       []mediaDoc     `bson:"linked"`
	Attached     []mediaDoc     `bson:"attached"`
	CreatedAt    time.Time      `bson:"createdAt"`
	UpdatedAt    time.Time      `bson:"updatedAt"`
	PublishedAt  *time.Time     `bson:"publishedAt,omitempty"`
	LastEvent    string         `bson:"lastEvent"` // names the write that made the document what it is
	Untold       *untoldDoc     `bson:"untold,omitempty"`
}

type untoldDoc struct {
	Event string    `bson:"event"`
	Since time.Time `bson:"since"`
}

type attributeDoc struct {
	Key   string `bson:"key"`
	Value string `bson:"value"`
	Unit  string `bson:"unit,omitempty"`
}

type variantDoc struct {
	ID          string       `bson:"id"`
	SKU         string       `bson:"sku"`
	Price       money.Money  `bson:"price"`
	CompareAt   *money.Money `bson:"compareAt,omitempty"`
	Options     []optionDoc  `bson:"options,omitempty"`
	WeightGrams int          `bson:"weightGrams"`
}

type optionDoc struct {
	Name  string `bson:"name"`
	Value string `bson:"value"`
}

type mediaDoc struct {
	ID       string            `bson:"id"`
	Kind     catalog.MediaKind `bson:"kind"`
	URL      string            `bson:"url"`
	UploadID string            `bson:"uploadId,omitempty"`
}

func (s *Store) findProducts(ctx context.Context, filter bson.D) ([]catalog.Product, error) {
	return find(ctx, s.products, filter, product)
}

// ProductsByID finds products by id.
func (s *Store) ProductsByID(ctx context.Context, ids []string) ([]catalog.Product, error) {
	return s.findProducts(ctx, in("_id", ids))
}

// ProductsBySlug finds products by slug.
func (s *Store) ProductsBySlug(ctx context.Context, slugs []string) ([]catalog.Product, error) {
	return s.findProducts(ctx, in("slug", slugs))
}

// ProductsBySKU finds the products that have one of the SKUs now.
func (s *Store) ProductsBySKU(ctx context.Context, skus []string) ([]catalog.Product, error) {
	return s.findProducts(ctx, in("variants.sku", skus))
}

// ProductsByVariant finds the products that have, or had, one of the variants.
func (s *Store) ProductsByVariant(ctx context.Context, variantIDs []string) ([]catalog.Product, error) {
	return s.findProducts(ctx, in("variantIds", variantIDs))
}

// ProductsOfSeller finds a seller's products by the seller's own ids.
func (s *Store) ProductsOfSeller(ctx context.Context, sellerID string, externalIDs []string) ([]catalog.Product, error) {
	return s.findProducts(ctx, append(bson.D{{Key: "sellerId", Value: sellerID}}, in("externalId", externalIDs)...))
}

// WriteProducts makes each change by itself, all in one command.
func (s *Store) WriteProducts(ctx context.Context, changes []catalog.Change) ([]error, error) {
	errs := make([]error, len(changes))
	models := make([]mongo.WriteModel, len(changes))
	var replaces int64
	for i, c := range changes {
		doc := document(c)
		if c.From == 0 {
			models[i] = mongo.NewInsertOneModel().SetDocument(doc)
			continue
		}
		replaces++
		models[i] = mongo.NewReplaceOneModel().SetReplacement(doc).
			SetFilter(bson.D{{Key: "_id", Value: doc.ID}, {Key: "version", Value: c.From}})
	}
	result, err := s.products.BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
	ring(s.changed)
	var refused mongo.BulkWriteException
	if errors.As(err, &refused) && refused.WriteConcernError == nil {
		for _, e := range refused.WriteErrors {
			errs[e.Index] = productRefusal(e.WriteError)
			if changes[e.Index].From > 0 {
				replaces--
			}
		}
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("write products: %w", err)
	}
	if result.MatchedCount < replaces {
		err = s.markMoved(ctx, changes, errs)
	}
	return errs, err
}

// markMoved finds out which replacements met no document of their version: those whose event the document does not bear.
// One that was made and overwritten at once counts as moved too, which only makes its caller look again.
func (s *Store) markMoved(ctx context.Context, changes []catalog.Change, errs []error) error {
	var ids []string
	for i, c := range changes {
		if c.From > 0 && errs[i] == nil {
			ids = append(ids, c.After.ID)
		}
	}
	if len(ids) == 1 {
		ids = nil // the one that did not match is known
	}
	last := map[string]string{}
	if ids != nil {
		docs, err := find(ctx, s.products, in("_id", ids), func(d productDoc) productDoc { return d },
			options.Find().SetProjection(bson.D{{Key: "lastEvent", Value: 1}}))
		if err != nil {
			return err
		}
		for _, d := range docs {
			last[d.ID] = d.LastEvent
		}
	}
	for i, c := range changes {
		if c.From > 0 && errs[i] == nil && last[c.After.ID] != c.Event {
			errs[i] = catalog.ErrMoved
		}
	}
	return nil
}

// productRefusal says which promise a write would have broken.
func productRefusal(e mongo.WriteError) error {
	index, value := duplicate(e)
	switch index {
	case indexSlug:
		return catalog.ErrSlugTaken
	case indexExternalID:
		return catalog.ErrExternalIDTaken
	case indexSKU:
		return &catalog.TakenSKU{SKU: value}
	}
	return fmt.Errorf("write product: %w", e)
}

// Untold finds products whose last change nobody was told of yet. Events are named in the order in which they were made.
func (s *Store) Untold(ctx context.Context, limit int) ([]catalog.Untold, error) {
	return find(ctx, s.products, bson.D{{Key: "untold.event", Value: bson.D{{Key: "$exists", Value: true}}}},
		func(d productDoc) catalog.Untold {
			return catalog.Untold{Event: d.Untold.Event, Since: d.Untold.Since.UTC(), Product: product(d)}
		},
		options.Find().SetSort(bson.D{{Key: "untold.event", Value: 1}}).SetLimit(int64(limit)))
}

// Told forgets promises that were kept.
func (s *Store) Told(ctx context.Context, told []catalog.Untold) error {
	if len(told) == 0 {
		return nil
	}
	models := make([]mongo.WriteModel, len(told))
	for i, u := range told {
		models[i] = mongo.NewUpdateOneModel().
			SetFilter(bson.D{{Key: "_id", Value: u.Product.ID}, {Key: "untold.event", Value: u.Event}}).
			SetUpdate(bson.D{{Key: "$unset", Value: bson.D{{Key: "untold", Value: ""}}}})
	}
	_, err := s.products.BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
	return err
}

// Changed rings after writes of this process.
func (s *Store) Changed() <-chan struct{} { return s.changed }

func document(c catalog.Change) productDoc {
	p := c.After
	d := productDoc{
		ID: p.ID, Slug: p.Slug, SellerID: p.SellerID, ExternalID: p.ExternalID, Version: p.Version, Status: p.Status,
		Title: p.Title, Description: p.Description, Brand: p.Brand, CategoryPath: p.CategoryPath,
		Attributes: each(p.Attributes, func(a catalog.Attribute) attributeDoc { return attributeDoc(a) }),
		Variants:   each(p.Variants, variantDocument), Retired: each(p.Retired, variantDocument),
		Linked: each(p.Linked, mediaDocument), Attached: each(p.Attached, mediaDocument),
		CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt, PublishedAt: p.PublishedAt,
		LastEvent: c.Event, Untold: &untoldDoc{Event: c.Event, Since: p.UpdatedAt},
	}
	for _, vs := range [][]catalog.Variant{p.Variants, p.Retired} {
		for _, v := range vs {
			d.VariantIDs = append(d.VariantIDs, v.ID)
		}
	}
	return d
}

func product(d productDoc) catalog.Product {
	p := catalog.Product{
		ID: d.ID, Slug: d.Slug, SellerID: d.SellerID, ExternalID: d.ExternalID, Version: d.Version, Status: d.Status,
		Title: d.Title, Description: d.Description, Brand: d.Brand, CategoryPath: d.CategoryPath,
		Attributes: each(d.Attributes, func(a attributeDoc) catalog.Attribute { return catalog.Attribute(a) }),
		Variants:   each(d.Variants, variant), Retired: each(d.Retired, variant),
		Linked: each(d.Linked, media), Attached: each(d.Attached, media),
		CreatedAt: d.CreatedAt.UTC(), UpdatedAt: d.UpdatedAt.UTC(),
	}
	if d.PublishedAt != nil {
		at := d.PublishedAt.UTC()
		p.PublishedAt = &at
	}
	return p
}

func variantDocument(v catalog.Variant) variantDoc {
	return variantDoc{
		ID: v.ID, SKU: v.SKU, Price: v.Price, CompareAt: v.CompareAt, WeightGrams: v.WeightGrams,
		Options: each(v.Options, func(o catalog.Option) optionDoc { return optionDoc(o) }),
	}
}

func variant(d variantDoc) catalog.Variant {
	return catalog.Variant{
		ID: d.ID, SKU: d.SKU, Price: d.Price, CompareAt: d.CompareAt, WeightGrams: d.WeightGrams,
		Options: each(d.Options, func(o optionDoc) catalog.Option { return catalog.Option(o) }),
	}
}

func mediaDocument(m catalog.Media) mediaDoc {
	return mediaDoc{ID: m.ID, Kind: m.Kind, URL: m.URL, UploadID: m.UploadID}
}

func media(d mediaDoc) catalog.Media {
	return catalog.Media{ID: d.ID, Kind: d.Kind, URL: d.URL, UploadID: d.UploadID}
}
