package graph

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/souk-shop/souk/subgraphs/catalog"
	"github.com/souk-shop/souk/subgraphs/catalog/internal/gen"
)

func (q *query) Category(ctx context.Context, slug string) (*catalog.Category, error) {
	found, err := q.catalog.CategoriesBySlug(ctx, []string{slug})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

func (q *query) CategoryTree(ctx context.Context) ([]catalog.Category, error) {
	return load(ctx).Children.Load(ctx, "")
}

func (m *mutation) CategoryEnsure(ctx context.Context, in gen.CategoryEnsureInput) (*gen.CategoryPayload, error) {
	c, err := m.catalog.EnsureCategory(ctx, in.Path)
	if err != nil {
		errs, err := userErrors(err)
		return &gen.CategoryPayload{UserErrors: errs}, err
	}
	return &gen.CategoryPayload{Category: &c, UserErrors: []gen.CatalogUserError{}}, nil
}

func (*category) Parent(ctx context.Context, c *catalog.Category) (*catalog.Category, error) {
	if c.ParentID == "" {
		return nil, nil
	}
	return load(ctx).Category.Load(ctx, c.ParentID)
}

// Ancestors asks for all at once, so that they go in one batch, with those of other categories.
func (*category) Ancestors(ctx context.Context, c *catalog.Category) ([]catalog.Category, error) {
	found := make([]catalog.Category, len(c.Ancestors))
	var all errgroup.Group
	for i, id := range c.Ancestors {
		all.Go(func() error {
			a, err := load(ctx).Category.Load(ctx, id)
			if a != nil {
				found[i] = *a
			}
			return err
		})
	}
	return found, all.Wait()
}

func (*category) Children(ctx context.Context, c *catalog.Category) ([]catalog.Category, error) {
	return load(ctx).Children.Load(ctx, c.ID)
}

func (*category) ProductCount(ctx context.Context, c *catalog.Category) (int, error) {
	n, err := load(ctx).ProductCount.Load(ctx, c.ID)
	if n == nil {
		return 0, err
	}
	return n.Products, err
}
