package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/internal/forget"
	"github.com/souk-shop/souk/subgraphs/accounts"
	"github.com/souk-shop/souk/subgraphs/accounts/postgres/internal/db"
)

// OpenSession keeps a session with its first refresh token.
func (s *Store) OpenSession(ctx context.Context, g accounts.Grant) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return openSession(ctx, s.q.WithTx(tx), g) })
}

func openSession(ctx context.Context, q *db.Queries, g accounts.Grant) error {
	err := q.InsertSession(ctx, db.InsertSessionParams{ID: g.SessionID, AccountID: g.AccountID, CreatedAt: g.At, ExpiresAt: g.ExpiresAt})
	if err != nil {
		return err
	}
	return q.InsertRefreshToken(ctx, db.InsertRefreshTokenParams{Hash: g.Token[:], SessionID: g.SessionID, CreatedAt: g.At})
}

// Rotate trades a refresh token for the next of its session.
func (s *Store) Rotate(ctx context.Context, used accounts.TokenHash, next accounts.Grant) (accounts.Grant, error) {
	token, err := s.q.RefreshToken(ctx, used[:])
	if errors.Is(err, pgx.ErrNoRows) {
		return accounts.Grant{}, accounts.ErrBadCredentials
	}
	if err != nil {
		return accounts.Grant{}, err
	}
	if token.UsedAt != nil { // it was used before it was shown to us: somebody holds a copy
		if err := s.q.EndSessionOfToken(ctx, db.EndSessionOfTokenParams{ID: token.SessionID, At: &next.At}); err != nil {
			return accounts.Grant{}, err
		}
		return accounts.Grant{}, accounts.ErrBadCredentials
	}
	next.SessionID = token.SessionID
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		q := s.q.WithTx(tx)
		// Two requests may both have seen it unused. The second waits here and finds it used: it lost a race, that is no theft.
		n, err := q.UseRefreshToken(ctx, db.UseRefreshTokenParams{Hash: used[:], At: &next.At})
		if err != nil {
			return err
		}
		if n == 0 {
			return accounts.ErrBadCredentials
		}
		session, err := q.LiveSession(ctx, db.LiveSessionParams{ID: token.SessionID, Now: next.At})
		if errors.Is(err, pgx.ErrNoRows) {
			return accounts.ErrBadCredentials
		}
		if err != nil {
			return err
		}
		next.AccountID, next.ExpiresAt = session.AccountID, session.ExpiresAt
		return q.InsertRefreshToken(ctx, db.InsertRefreshTokenParams{Hash: next.Token[:], SessionID: session.ID, CreatedAt: next.At})
	})
	return next, err
}

// EndSession makes a session's refresh token useless.
func (s *Store) EndSession(ctx context.Context, accountID, sessionID string, at time.Time) error {
	return s.q.EndSession(ctx, db.EndSessionParams{ID: sessionID, AccountID: accountID, At: &at})
}

// ForgetSessions deletes sessions that expired, with their tokens.
func (s *Store) ForgetSessions(ctx context.Context, before time.Time) error {
	_, err := forget.Lots(ctx, func(ctx context.Context, most int32) (int64, error) {
		return s.q.DeleteSessions(ctx, db.DeleteSessionsParams{Before: before, Most: most})
	})
	return err
}
