package graph

import (
	"context"

	"github.com/souk-shop/souk/dataloaders"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/catalog"
	"github.com/souk-shop/souk/subgraphs/catalog/internal/gen"
)

func (e *entity) FindManyProductByIDs(ctx context.Context, keys []*gen.ProductByIDsInput) ([]*catalog.Product, error) {
	ids := dataloaders.Keys(keys, func(k *gen.ProductByIDsInput) string { return k.ID })
	found, err := e.catalog.ProductsByID(ctx, viewer.From(ctx), ids)
	return dataloaders.InOrder(ids, found, catalog.Product.Key), err
}

func (e *entity) FindManyProductBySlugs(ctx context.Context, keys []*gen.ProductBySlugsInput) ([]*catalog.Product, error) {
	slugs := dataloaders.Keys(keys, func(k *gen.ProductBySlugsInput) string { return k.Slug })
	found, err := e.catalog.ProductsBySlug(ctx, viewer.From(ctx), slugs)
	return dataloaders.InOrder(slugs, found, catalog.Product.Address), err
}

func (e *entity) FindManyProductVariantByIDs(ctx context.Context, keys []*gen.ProductVariantByIDsInput) ([]*catalog.ProductVariant, error) {
	ids := dataloaders.Keys(keys, func(k *gen.ProductVariantByIDsInput) string { return k.ID })
	found, err := e.catalog.VariantsByID(ctx, viewer.From(ctx), ids)
	return dataloaders.InOrder(ids, found, catalog.ProductVariant.Key), err
}

func (e *entity) FindManyProductVariantBySkus(ctx context.Context, keys []*gen.ProductVariantBySkusInput) ([]*catalog.ProductVariant, error) {
	skus := dataloaders.Keys(keys, func(k *gen.ProductVariantBySkusInput) string { return k.Sku })
	found, err := e.catalog.VariantsBySKU(ctx, viewer.From(ctx), skus)
	return dataloaders.InOrder(skus, found, catalog.ProductVariant.Code), err
}

func (e *entity) FindManyCategoryByIDs(ctx context.Context, keys []*gen.CategoryByIDsInput) ([]*catalog.Category, error) {
	ids := dataloaders.Keys(keys, func(k *gen.CategoryByIDsInput) string { return k.ID })
	found, err := e.catalog.CategoriesByID(ctx, ids)
	return dataloaders.InOrder(ids, found, catalog.Category.Key), err
}

func (e *entity) FindManyBulkOperationByIDs(ctx context.Context, keys []*gen.BulkOperationByIDsInput) ([]*catalog.BulkOperation, error) {
	ids := dataloaders.Keys(keys, func(k *gen.BulkOperationByIDsInput) string { return k.ID })
	found, err := e.catalog.Bulks(ctx, viewer.From(ctx), ids)
	return dataloaders.InOrder(ids, found, catalog.BulkOperation.Key), err
}
