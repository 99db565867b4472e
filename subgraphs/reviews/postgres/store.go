// Package postgres keeps the reviews in PostgreSQL.
package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/internal/pipeline"
	"github.com/souk-shop/souk/subgraphs/reviews"
	"github.com/souk-shop/souk/subgraphs/reviews/postgres/internal/db"
)

// Migrations make the schema.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// A Store is the reviews' tables.
type Store struct {
	pool *pgxpool.Pool
	q    *db.Queries
}

var _ reviews.Store = (*Store)(nil)

// NewStore returns the store behind a pool whose schema is migrated.
func NewStore(pool *pgxpool.Pool) *Store { return &Store{pool, db.New(pool)} }

// ReviewsByID finds reviews by id.
func (s *Store) ReviewsByID(ctx context.Context, ids []string) ([]reviews.Review, error) {
	rows, err := s.q.ReviewsByID(ctx, ids)
	return each(rows, review), err
}

// RatingsOf finds the ratings of products; a product nobody rated has none.
func (s *Store) RatingsOf(ctx context.Context, productIDs []string) ([]reviews.Rating, error) {
	rows, err := s.q.RatingsOf(ctx, productIDs)
	return each(rows, rating), err
}

// orders is how each sort walks: the columns, and the comparison that finds what comes behind a cursor.
var orders = map[reviews.Sort]struct{ by, behind string }{
	reviews.Newest:     {"created_at DESC, id DESC", "(created_at, id) < (@created_at, @id)"},
	reviews.RatingDesc: {"rating DESC, created_at DESC, id DESC", "(rating, created_at, id) < (@rating, @created_at, @id)"},
	reviews.RatingAsc:  {"rating, created_at DESC, id DESC", "(rating > @rating OR rating = @rating AND (created_at, id) < (@created_at, @id))"},
}

// List returns up to First+1 reviews behind a cursor, and how many there are at the same moment on all pages.
func (s *Store) List(ctx context.Context, l reviews.List, after *reviews.Cursor) (_ []reviews.Review, total int, err error) {
	where, args := condition(l)
	order, known := orders[l.Sort]
	if !known {
		return nil, 0, fmt.Errorf("unknown sort %q", l.Sort)
	}
	if after != nil {
		where += " AND " + order.behind
		args["rating"], args["created_at"], args["id"] = after.Rating, after.CreatedAt, after.ID
	}
	args["limit"] = l.First + 1
	var rows []db.Review
	err = pipeline.Look(ctx, s.pool, func(p *pipeline.Pipeline) {
		pipeline.Rows(p, &rows, "SELECT * FROM reviews WHERE "+where+" ORDER BY "+order.by+" LIMIT @limit", args)
		if l.Count {
			p.Collect("SELECT "+number(l), args)(func(row pgx.Rows) error { return row.Scan(&total) })
		}
	})
	return each(rows, review), total, err
}

// number says how many reviews a list has on all pages. A product's number is read off its rating.
func number(l reviews.List) string {
	const stars = "FROM ratings, unnest(stars) WITH ORDINALITY AS s (n, star) WHERE product_id = @of"
	switch {
	case l.AuthorID != "":
		return "count(*) FROM reviews WHERE author_id = @of"
	case l.Rating > 0:
		return "coalesce(sum(n), 0) " + stars + " AND star = @stars"
	}
	return "coalesce(sum(n), 0) " + stars
}

func condition(l reviews.List) (string, pgx.NamedArgs) {
	where, args := "product_id = @of", pgx.NamedArgs{"of": l.ProductID}
	if l.AuthorID != "" {
		where, args["of"] = "author_id = @of", l.AuthorID
	}
	if l.Rating > 0 {
		where += " AND rating = @stars"
		args["stars"] = l.Rating
	}
	return where, args
}

// Save writes the author's one review of the product, moves the rating with it, and tells of it.
func (s *Store) Save(ctx context.Context, r reviews.Review) (saved reviews.Review, err error) {
	err = outbox.InTx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		q := s.q.WithTx(tx)
		received, err := q.HasReceived(ctx, db.HasReceivedParams{AccountID: r.AuthorID, ProductID: r.ProductID})
		if err != nil {
			return err
		}
		if !received {
			return reviews.ErrNotPurchased
		}
		row, before, err := upsert(ctx, q, r)
		if err != nil {
			return err
		}
		saved = review(row)
		sum, err := q.MoveRating(ctx, db.MoveRatingParams{ProductID: r.ProductID, Up: int32(r.Rating), Down: int32(before)})
		if err != nil {
			return err
		}
		total := rating(sum)
		return outbox.Record(ctx, tx, outbox.Event{Subject: events.SubjectRatingChanged, Payload: events.RatingChanged{
			At:        events.At{At: r.UpdatedAt},
			ProductID: r.ProductID, Version: total.Version, Average: total.Average(), Count: total.Count(),
		}})
	})
	return saved, err
}

// upsert writes the review and returns it with the stars it had before, 0 for a new one. The unique constraint decides
// between two first reviews at once: the one that loses changes the winner's.
func upsert(ctx context.Context, q *db.Queries, r reviews.Review) (row db.Review, before int, err error) {
	row, err = q.InsertReview(ctx, db.InsertReviewParams{
		ID: r.ID, ProductID: r.ProductID, AuthorID: r.AuthorID, Rating: int16(r.Rating),
		Title: r.Title, Body: r.Body, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	})
	if !errors.Is(err, pgx.ErrNoRows) {
		return row, 0, err
	}
	old, err := q.LockReview(ctx, db.LockReviewParams{AuthorID: r.AuthorID, ProductID: r.ProductID})
	if err != nil {
		return row, 0, err
	}
	row, err = q.UpdateReview(ctx, db.UpdateReviewParams{ID: old.ID, Rating: int16(r.Rating), Title: r.Title, Body: r.Body, UpdatedAt: r.UpdatedAt})
	return row, int(old.Rating), err
}

// Receive notes, in the transaction that handles a delivery, what the account may review.
func Receive(ctx context.Context, tx pgx.Tx, accountID string, productIDs []string, at time.Time) error {
	return db.New(tx).AddPurchases(ctx, db.AddPurchasesParams{AccountID: accountID, ProductIds: productIDs, DeliveredAt: at})
}

func review(r db.Review) reviews.Review {
	return reviews.Review{
		ID: r.ID, ProductID: r.ProductID, AuthorID: r.AuthorID, Rating: int(r.Rating),
		Title: r.Title, Body: r.Body, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
}

func rating(r db.Rating) reviews.Rating {
	out := reviews.Rating{ProductID: r.ProductID, Version: r.Version}
	for i, n := range r.Stars {
		out.Stars[i] = int(n)
	}
	return out
}

func each[From, To any](rows []From, convert func(From) To) []To {
	out := make([]To, len(rows))
	for i, r := range rows {
		out[i] = convert(r)
	}
	return out
}
