package postgres

import (
	"context"

	"github.com/souk-shop/souk/subgraphs/accounts"
	"github.com/souk-shop/souk/subgraphs/accounts/postgres/internal/db"
)

// SigningKeys returns all keys, oldest first.
func (s *Store) SigningKeys(ctx context.Context) (accounts.Keyring, error) {
	rows, err := s.q.SigningKeys(ctx)
	return each(rows, func(r db.SigningKey) accounts.SigningKey {
		return accounts.SigningKey{ID: r.ID, Generation: int(r.Generation), Private: r.PrivateKey, CreatedAt: r.CreatedAt}
	}), err
}

// AddSigningKey keeps the key, unless there is one of its generation.
func (s *Store) AddSigningKey(ctx context.Context, k accounts.SigningKey) error {
	return s.q.InsertSigningKey(ctx, db.InsertSigningKeyParams{
		ID: k.ID, Generation: int32(k.Generation), PrivateKey: k.Private, CreatedAt: k.CreatedAt,
	})
}

// RetireSigningKeys deletes the keys older than a generation.
func (s *Store) RetireSigningKeys(ctx context.Context, before int) error {
	return s.q.DeleteSigningKeys(ctx, int32(before))
}
