// Package postgres keeps the accounts in PostgreSQL.
package postgres

import (
	"context"
	"embed"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/subgraphs/accounts"
	"github.com/souk-shop/souk/subgraphs/accounts/postgres/internal/db"
)

// Migrations make the schema.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// A Store is the accounts' tables.
type Store struct {
	pool *pgxpool.Pool
	q    *db.Queries
}

var (
	_ accounts.Store    = (*Store)(nil)
	_ accounts.KeyStore = (*Store)(nil)
)

// NewStore returns the store behind a pool whose schema is migrated.
func NewStore(pool *pgxpool.Pool) *Store { return &Store{pool, db.New(pool)} }

// AccountsByID finds accounts by id.
func (s *Store) AccountsByID(ctx context.Context, ids []string) ([]accounts.Account, error) {
	rows, err := s.q.AccountsByID(ctx, ids)
	return each(rows, func(r db.AccountsByIDRow) accounts.Account { return account(r.Account, r.SellerID) }), err
}

// Credentials finds who registered with an address, or nil. The index on the address ignores case.
func (s *Store) Credentials(ctx context.Context, email string) (*accounts.Credentials, error) {
	r, err := s.q.AccountByEmail(ctx, strings.ToLower(email))
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &accounts.Credentials{Account: account(r.Account, r.SellerID), PasswordHash: r.Account.PasswordHash}, nil
}

// Register opens the account and its first session, if there is one.
func (s *Store) Register(ctx context.Context, c accounts.Credentials, first *accounts.Grant) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		q := s.q.WithTx(tx)
		err := q.InsertAccount(ctx, db.InsertAccountParams{
			ID: c.ID, Email: c.Email, PasswordHash: c.PasswordHash, DisplayName: c.DisplayName, CreatedAt: c.CreatedAt,
		})
		if err != nil || first == nil {
			return refusal(err)
		}
		return openSession(ctx, q, *first)
	})
}

// ReplaceHash keeps a password's new hash.
func (s *Store) ReplaceHash(ctx context.Context, accountID, old, hash string) error {
	return s.q.ReplaceHash(ctx, db.ReplaceHashParams{ID: accountID, Old: old, Hash: hash})
}

// MakeStaff lets the account work for the shop.
func (s *Store) MakeStaff(ctx context.Context, accountID string) error {
	return s.q.MakeStaff(ctx, accountID)
}

// refusals is what the constraints mean to the shop.
var refusals = map[string]error{
	"accounts_email":           accounts.ErrEmailTaken,
	"sellers_account":          accounts.ErrAlreadySeller,
	"sellers_name":             accounts.ErrNameTaken,
	"sellers_slug":             accounts.ErrSlugTaken,
	"sellers_account_id_fkey":  accounts.ErrNoAccount,
	"addresses_position_check": accounts.ErrTooManyAddresses,
}

// refusal names the rule behind a constraint that refused.
func refusal(err error) error {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		if named, ok := refusals[refused.ConstraintName]; ok {
			return named
		}
	}
	return err
}

func account(r db.Account, sellerID *string) accounts.Account {
	a := accounts.Account{ID: r.ID, Email: r.Email, DisplayName: r.DisplayName, Staff: r.Staff, CreatedAt: r.CreatedAt}
	if sellerID != nil {
		a.SellerID = *sellerID
	}
	return a
}

func each[From, To any](rows []From, convert func(From) To) []To {
	out := make([]To, len(rows))
	for i, r := range rows {
		out[i] = convert(r)
	}
	return out
}
