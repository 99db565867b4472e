package postgres_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/subgraphs/reviews"
	"github.com/souk-shop/souk/subgraphs/reviews/postgres"
)

// One buyer clicking on ten machines has one review, and the rating counts it once.
func TestOneReviewHoweverOftenSaved(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t, postgres.Migrations)
	s, author, product, now := postgres.NewStore(pool), id.New(id.Account), id.New(id.Product), time.Now().UTC()
	if err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		return postgres.Receive(t.Context(), tx, author, []string{product, product}, now)
	}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			r := reviews.Review{ID: id.New(id.Review), ProductID: product, AuthorID: author, Rating: 1 + i%5, CreatedAt: now, UpdatedAt: now}
			if _, err := s.Save(t.Context(), r); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()

	list, _, err := s.List(t.Context(), reviews.List{ProductID: product, Sort: reviews.Newest, First: 10}, nil)
	if err != nil || len(list) != 1 {
		t.Fatalf("%d reviews, %v", len(list), err)
	}
	ratings, err := s.RatingsOf(t.Context(), []string{product})
	if err != nil || len(ratings) != 1 {
		t.Fatalf("%v, %v", ratings, err)
	}
	var want [5]int
	want[list[0].Rating-1] = 1
	if got := ratings[0]; got.Stars != want || got.Version != 10 {
		t.Errorf("stars %v after %d saves, want %v after 10", got.Stars, got.Version, want)
	}
	var told int
	if err := pool.QueryRow(t.Context(), `SELECT count(DISTINCT payload->>'version') FROM outbox`).Scan(&told); err != nil || told != 10 {
		t.Errorf("told %d versions, %v", told, err)
	}
}

// The database refuses what the code should never ask for.
func TestConstraints(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t, postgres.Migrations)
	for i, sql := range []string{
		`INSERT INTO reviews VALUES ('r', 'p', 'a', 6, '', '', now(), now())`,
		`INSERT INTO ratings VALUES ('p', 1, '{0,0,-1,0,0}')`,
		`INSERT INTO ratings VALUES ('p', 1, '{0,0}')`,
	} {
		if _, err := pool.Exec(t.Context(), sql); err == nil {
			t.Error(fmt.Sprint(i), "was let in:", sql)
		}
	}
}
