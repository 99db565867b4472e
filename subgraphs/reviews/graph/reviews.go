package graph

import (
	"context"

	"github.com/souk-shop/souk/internal/optional"
	"github.com/souk-shop/souk/internal/page"
	"github.com/souk-shop/souk/internal/subgraph"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/reviews"
	"github.com/souk-shop/souk/subgraphs/reviews/internal/gen"
)

func (m *mutation) ReviewSave(ctx context.Context, in gen.ReviewSaveInput) (*gen.ReviewPayload, error) {
	r, err := m.reviews.Save(ctx, viewer.From(ctx), in.ProductID, in.Rating, optional.Text(in.Title), optional.Text(in.Body))
	if err != nil {
		errs, err := userErrors(err)
		return &gen.ReviewPayload{UserErrors: errs}, err
	}
	return &gen.ReviewPayload{Review: &r, UserErrors: []gen.ReviewUserError{}}, nil
}

func (p *product) Rating(ctx context.Context, of *gen.Product) (*reviews.Rating, error) {
	rating, err := load(ctx).Rating.Load(ctx, of.ID)
	if rating == nil && err == nil {
		rating = &reviews.Rating{ProductID: of.ID}
	}
	return rating, err
}

func (p *product) Reviews(ctx context.Context, of *gen.Product, first *int, after *string, sort *reviews.Sort, rating *int) (*gen.ReviewConnection, error) {
	l := reviews.List{ProductID: of.ID, After: after, Sort: reviews.Newest}
	if sort != nil {
		l.Sort = *sort
	}
	if rating != nil {
		if *rating < 1 || *rating > 5 {
			return nil, reviews.ErrRating.At("rating")
		}
		l.Rating = *rating
	}
	return p.connection(ctx, l, first)
}

func (a *account) Reviews(ctx context.Context, of *gen.Account, first *int, after *string) (*gen.ReviewConnection, error) {
	return a.connection(ctx, reviews.List{AuthorID: of.ID, After: after, Sort: reviews.Newest}, first)
}

func (r *resolver) connection(ctx context.Context, l reviews.List, first *int) (_ *gen.ReviewConnection, err error) {
	if l.First, err = page.Size(first, 10); err != nil {
		return nil, err
	}
	l.Count = subgraph.Selects(ctx, "totalCount")
	p, err := r.reviews.List(ctx, l)
	if err != nil {
		return nil, err
	}
	return &gen.ReviewConnection{Nodes: p.Reviews, PageInfo: &p.Info, TotalCount: p.Total}, nil
}

func (*review) Title(_ context.Context, r *reviews.Review) (*string, error) {
	return optional.Of(r.Title), nil
}
func (*review) Body(_ context.Context, r *reviews.Review) (*string, error) {
	return optional.Of(r.Body), nil
}

func (*review) Author(_ context.Context, r *reviews.Review) (*gen.Account, error) {
	return &gen.Account{ID: r.AuthorID}, nil
}

func (*review) Product(_ context.Context, r *reviews.Review) (*gen.Product, error) {
	return &gen.Product{ID: r.ProductID}, nil
}

// VerifiedPurchase is always true: nobody else may write one.
func (*review) VerifiedPurchase(context.Context, *reviews.Review) (bool, error) { return true, nil }
