-- name: ReviewsByID :many
SELECT * FROM reviews WHERE id = ANY (@ids::text[]);

-- name: RatingsOf :many
SELECT * FROM ratings WHERE product_id = ANY (@product_ids::text[]);

-- name: HasReceived :one
SELECT EXISTS (SELECT FROM purchases WHERE account_id = @account_id AND product_id = @product_id);

-- name: LockReview :one
SELECT * FROM reviews WHERE author_id = @author_id AND product_id = @product_id FOR UPDATE;

-- name: InsertReview :one
INSERT INTO reviews (id, product_id, author_id, rating, title, body, created_at, updated_at)
VALUES (@id, @product_id, @author_id, @rating, @title, @body, @created_at, @updated_at)
ON CONFLICT (author_id, product_id) DO NOTHING
RETURNING *;

-- name: UpdateReview :one
UPDATE reviews SET rating = @rating, title = @title, body = @body, updated_at = @updated_at
WHERE id = @id
RETURNING *;

-- name: MoveRating :one
-- MoveRating takes one star count down and another up; zero leaves that side alone.
INSERT INTO ratings AS r (product_id, version, stars)
VALUES (@product_id, 1, ARRAY[(@up::int = 1)::int, (@up = 2)::int, (@up = 3)::int, (@up = 4)::int, (@up = 5)::int])
ON CONFLICT (product_id) DO UPDATE SET version = r.version + 1, stars = ARRAY[
    r.stars[1] + (@up = 1)::int - (@down::int = 1)::int,
    r.stars[2] + (@up = 2)::int - (@down = 2)::int,
    r.stars[3] + (@up = 3)::int - (@down = 3)::int,
    r.stars[4] + (@up = 4)::int - (@down = 4)::int,
    r.stars[5] + (@up = 5)::int - (@down = 5)::int]
RETURNING *;

-- name: AddPurchases :exec
INSERT INTO purchases (account_id, product_id, delivered_at)
SELECT @account_id, unnest(@product_ids::text[]), @delivered_at
ON CONFLICT DO NOTHING;
