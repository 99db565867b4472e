package postgres

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/subgraphs/accounts"
	"github.com/souk-shop/souk/subgraphs/accounts/postgres/internal/db"
)

// AddressesOf finds the address books of accounts.
func (s *Store) AddressesOf(ctx context.Context, accountIDs []string) (map[string][]accounts.Address, error) {
	rows, err := s.q.AddressesOf(ctx, accountIDs)
	books := make(map[string][]accounts.Address, len(accountIDs))
	for _, r := range rows {
		books[r.AccountID] = append(books[r.AccountID], address(r))
	}
	return books, err
}

// SaveAddress runs the rule on a locked book, saves what comes of it and tells of it. Nothing changed is nothing told.
func (s *Store) SaveAddress(ctx context.Context, accountID string, at time.Time, rule func(accounts.Book) (accounts.Address, error)) (saved accounts.Address, err error) {
	err = outbox.InTx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		q := s.q.WithTx(tx)
		if _, err := q.LockAccount(ctx, accountID); errors.Is(err, pgx.ErrNoRows) {
			return accounts.ErrNoAccount
		} else if err != nil {
			return err
		}
		rows, err := q.AddressesOf(ctx, []string{accountID})
		if err != nil {
			return err
		}
		book := accounts.Book(each(rows, address))
		if saved, err = rule(book); err != nil || slices.Contains(book, saved) {
			return err
		}
		if err := write(ctx, q, book, saved); err != nil {
			return refusal(err)
		}
		standard := saved
		if !saved.Default {
			standard, _ = book.Default()
		}
		return outbox.Record(ctx, tx, outbox.Event{Subject: events.SubjectAddressSaved, Payload: events.AddressSaved{
			At: events.At{At: at}, AccountID: accountID, Default: standard.Told(),
		}})
	})
	return saved, err
}

// write adds the address to the book or changes it there. At no moment are there two defaults, which the index would refuse.
func write(ctx context.Context, q *db.Queries, book accounts.Book, a accounts.Address) error {
	if a.Default {
		if err := q.ClearDefault(ctx, db.ClearDefaultParams{AccountID: a.AccountID, Keep: a.ID}); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(book, func(known accounts.Address) bool { return known.ID == a.ID }) {
		return q.UpdateAddress(ctx, db.UpdateAddressParams{
			ID: a.ID, Name: a.Name, Line1: a.Line1, Line2: a.Line2, City: a.City, Region: a.Region,
			Pincode: a.Pincode, Country: a.Country, Phone: a.Phone, IsDefault: a.Default,
		})
	}
	return q.InsertAddress(ctx, db.InsertAddressParams{
		ID: a.ID, AccountID: a.AccountID, Position: int16(len(book) + 1), Name: a.Name, Line1: a.Line1, Line2: a.Line2, City: a.City,
		Region: a.Region, Pincode: a.Pincode, Country: a.Country, Phone: a.Phone, IsDefault: a.Default,
	})
}

func address(r db.Address) accounts.Address {
	return accounts.Address{
		ID: r.ID, AccountID: r.AccountID, Name: r.Name, Line1: r.Line1, Line2: r.Line2, City: r.City, Region: r.Region,
		Pincode: r.Pincode, Country: r.Country, Phone: r.Phone, Default: r.IsDefault,
	}
}
