package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/subgraphs/accounts"
	"github.com/souk-shop/souk/subgraphs/accounts/postgres/internal/db"
)

// SellersByID finds sellers by id.
func (s *Store) SellersByID(ctx context.Context, ids []string) ([]accounts.Seller, error) {
	rows, err := s.q.SellersByID(ctx, ids)
	return each(rows, seller), err
}

// SellerOf finds as whom an account sells, or nil.
func (s *Store) SellerOf(ctx context.Context, accountID string) (*accounts.Seller, error) {
	return perhaps(s.q.SellerOf(ctx, accountID))
}

// SellerBySlug finds a seller by its name in URLs, or nil.
func (s *Store) SellerBySlug(ctx context.Context, slug string) (*accounts.Seller, error) {
	return perhaps(s.q.SellerBySlug(ctx, slug))
}

// AddSeller keeps a new seller, unless a constraint knows better.
func (s *Store) AddSeller(ctx context.Context, of accounts.Seller) error {
	return refusal(s.q.InsertSeller(ctx, db.InsertSellerParams{
		ID: of.ID, AccountID: of.AccountID, Slug: of.Slug, Name: of.Name, NameKey: accounts.NameKey(of.Name),
		Tier: string(of.Tier), TaxID: of.TaxID, Since: of.Since,
	}))
}

func perhaps(r db.Seller, err error) (*accounts.Seller, error) {
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found := seller(r)
	return &found, nil
}

func seller(r db.Seller) accounts.Seller {
	return accounts.Seller{
		ID: r.ID, AccountID: r.AccountID, Slug: r.Slug, Name: r.Name, Tier: accounts.Tier(r.Tier), TaxID: r.TaxID, Since: r.Since,
	}
}
