package graph

import (
	"context"

	"github.com/souk-shop/souk/internal/optional"
	"github.com/souk-shop/souk/internal/page"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/catalog"
	"github.com/souk-shop/souk/subgraphs/catalog/internal/gen"
)

func (q *query) BulkOperation(ctx context.Context, id string) (*catalog.BulkOperation, error) {
	return q.catalog.Bulk(ctx, viewer.From(ctx), id)
}

func (m *mutation) BulkImport(ctx context.Context, in catalog.BulkInput) (*gen.BulkOperationPayload, error) {
	b, err := m.catalog.Import(ctx, viewer.From(ctx), in)
	if err != nil {
		errs, err := userErrors(err)
		return &gen.BulkOperationPayload{UserErrors: errs}, err
	}
	return &gen.BulkOperationPayload{Operation: &b, UserErrors: []gen.CatalogUserError{}}, nil
}

func (s *subscription) BulkOperationUpdated(ctx context.Context, id string) (<-chan *catalog.BulkOperation, error) {
	return s.catalog.WatchBulk(ctx, viewer.From(ctx), id)
}

func (b *bulk) RowErrors(ctx context.Context, of *catalog.BulkOperation, first *int, after *string) (*gen.RowErrorConnection, error) {
	n, err := page.Size(first, 50)
	if err != nil {
		return nil, err
	}
	rows, info, err := b.catalog.RowErrors(ctx, of.ID, n, after)
	if err != nil {
		return nil, err
	}
	return &gen.RowErrorConnection{Nodes: rows, PageInfo: &info}, nil
}

func (*rowError) ExternalID(_ context.Context, r *catalog.RowError) (*string, error) {
	return optional.Of(r.ExternalID), nil
}

func (*rowError) Errors(_ context.Context, r *catalog.RowError) ([]gen.CatalogUserError, error) {
	return shown(r.Faults), nil
}
