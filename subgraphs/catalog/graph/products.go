package graph

import (
	"context"

	"github.com/souk-shop/souk/internal/optional"
	"github.com/souk-shop/souk/internal/page"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/catalog"
	"github.com/souk-shop/souk/subgraphs/catalog/internal/gen"
)

func (q *query) Product(ctx context.Context, id, slug *string) (*catalog.Product, error) {
	return q.catalog.Find(ctx, viewer.From(ctx), id, slug)
}

func (m *mutation) ProductSave(ctx context.Context, in catalog.ProductInput) (*gen.ProductPayload, error) {
	return payload(m.catalog.Save(ctx, viewer.From(ctx), in))
}

func (m *mutation) ProductArchive(ctx context.Context, in gen.ProductArchiveInput) (*gen.ProductPayload, error) {
	return payload(m.catalog.Archive(ctx, viewer.From(ctx), in.ID))
}

func (m *mutation) ProductMediaAttach(ctx context.Context, in gen.ProductMediaInput) (*gen.ProductPayload, error) {
	return payload(m.catalog.AttachMedia(ctx, viewer.From(ctx), in.ProductID, in.StagedUploadIds))
}

func payload(p catalog.Product, err error) (*gen.ProductPayload, error) {
	if err != nil {
		errs, err := userErrors(err)
		return &gen.ProductPayload{UserErrors: errs}, err
	}
	return &gen.ProductPayload{Product: &p, UserErrors: []gen.CatalogUserError{}}, nil
}

func (m *mutation) StagedUploadCreate(ctx context.Context, in gen.StagedUploadInput) (*gen.StagedUploadPayload, error) {
	u, err := m.catalog.StageUpload(ctx, viewer.From(ctx), in.Filename, in.MimeType, int64(in.Bytes))
	if err != nil {
		errs, err := userErrors(err)
		return &gen.StagedUploadPayload{UserErrors: errs}, err
	}
	return &gen.StagedUploadPayload{UploadID: &u.ID, URL: &u.URL, Headers: u.Headers, ExpiresAt: &u.ExpiresAt, UserErrors: []gen.CatalogUserError{}}, nil
}

func (*product) Brand(_ context.Context, p *catalog.Product) (*string, error) {
	return optional.Of(p.Brand), nil
}

func (*product) ExternalID(ctx context.Context, p *catalog.Product) (*string, error) {
	if !p.KeptBy(viewer.From(ctx)) {
		return nil, nil
	}
	return optional.Of(p.ExternalID), nil
}

func (*product) Category(ctx context.Context, p *catalog.Product) (*catalog.Category, error) {
	return load(ctx).Category.Load(ctx, p.CategoryID())
}

func (*product) Seller(_ context.Context, p *catalog.Product) (*gen.Seller, error) {
	return &gen.Seller{ID: p.SellerID}, nil
}

func (*product) Media(_ context.Context, p *catalog.Product, first *int) ([]catalog.Media, error) {
	n, err := page.Size(first, 10)
	if err != nil {
		return nil, err
	}
	all := p.Media()
	return all[:min(n, len(all))], nil
}

func (*product) Variants(_ context.Context, p *catalog.Product, first *int, after *string) (*gen.ProductVariantConnection, error) {
	n, err := page.Size(first, 50)
	if err != nil {
		return nil, err
	}
	rows, info, err := p.VariantsAfter(n, after)
	if err != nil {
		return nil, err
	}
	return &gen.ProductVariantConnection{Nodes: rows, PageInfo: &info}, nil
}

func (*product) VariantByOptions(_ context.Context, p *catalog.Product, options []catalog.Option) (*catalog.ProductVariant, error) {
	return p.VariantWith(options), nil
}

func (*attribute) Unit(_ context.Context, a *catalog.Attribute) (*string, error) {
	return optional.Of(a.Unit), nil
}
