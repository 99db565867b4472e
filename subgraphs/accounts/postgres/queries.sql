-- name: AccountsByID :many
SELECT sqlc.embed(accounts), sellers.id AS seller_id
FROM accounts LEFT JOIN sellers ON sellers.account_id = accounts.id
WHERE accounts.id = ANY (@ids::text[]);

-- name: AccountByEmail :one
SELECT sqlc.embed(accounts), sellers.id AS seller_id
FROM accounts LEFT JOIN sellers ON sellers.account_id = accounts.id
WHERE lower(email) = @email::text;

-- name: InsertAccount :exec
INSERT INTO accounts (id, email, password_hash, display_name, created_at)
VALUES (@id, @email, @password_hash, @display_name, @created_at);

-- name: ReplaceHash :exec
UPDATE accounts SET password_hash = @hash WHERE id = @id AND password_hash = @old;

-- name: MakeStaff :exec
UPDATE accounts SET staff = true WHERE id = @id;

-- name: InsertSession :exec
INSERT INTO sessions (id, account_id, created_at, expires_at) VALUES (@id, @account_id, @created_at, @expires_at);

-- name: LiveSession :one
SELECT * FROM sessions WHERE id = @id AND ended_at IS NULL AND expires_at > @now;

-- name: EndSession :exec
UPDATE sessions SET ended_at = @at WHERE id = @id AND account_id = @account_id AND ended_at IS NULL;

-- name: EndSessionOfToken :exec
UPDATE sessions SET ended_at = @at WHERE id = @id AND ended_at IS NULL;

-- name: DeleteSessions :execrows
DELETE FROM sessions WHERE id = ANY (ARRAY(SELECT s.id FROM sessions s WHERE s.expires_at < @before LIMIT @most FOR UPDATE SKIP LOCKED));

-- name: RefreshToken :one
SELECT * FROM refresh_tokens WHERE hash = @hash;

-- name: InsertRefreshToken :exec
INSERT INTO refresh_tokens (hash, session_id, created_at) VALUES (@hash, @session_id, @created_at);

-- name: UseRefreshToken :execrows
UPDATE refresh_tokens SET used_at = @at WHERE hash = @hash AND used_at IS NULL;

-- name: LockAccount :one
SELECT id FROM accounts WHERE id = @id FOR NO KEY UPDATE;

-- name: AddressesOf :many
SELECT * FROM addresses WHERE account_id = ANY (@account_ids::text[]) ORDER BY account_id, position;

-- name: InsertAddress :exec
INSERT INTO addresses (id, account_id, position, name, line1, line2, city, region, pincode, country, phone, is_default)
VALUES (@id, @account_id, @position, @name, @line1, @line2, @city, @region, @pincode, @country, @phone, @is_default);

-- name: UpdateAddress :exec
UPDATE addresses
SET name = @name, line1 = @line1, line2 = @line2, city = @city, region = @region, pincode = @pincode, country = @country,
    phone = @phone, is_default = @is_default
WHERE id = @id;

-- name: ClearDefault :exec
UPDATE addresses SET is_default = false WHERE account_id = @account_id AND is_default AND id <> @keep;

-- name: SellersByID :many
SELECT * FROM sellers WHERE id = ANY (@ids::text[]);

-- name: SellerOf :one
SELECT * FROM sellers WHERE account_id = @account_id;

-- name: SellerBySlug :one
SELECT * FROM sellers WHERE slug = @slug;

-- name: InsertSeller :exec
INSERT INTO sellers (id, account_id, slug, name, name_key, tier, tax_id, since)
VALUES (@id, @account_id, @slug, @name, @name_key, @tier, @tax_id, @since);

-- name: SigningKeys :many
SELECT * FROM signing_keys ORDER BY generation;

-- name: InsertSigningKey :exec
INSERT INTO signing_keys (id, generation, private_key, created_at)
VALUES (@id, @generation, @private_key, @created_at)
ON CONFLICT (generation) DO NOTHING;

-- name: DeleteSigningKeys :exec
DELETE FROM signing_keys WHERE generation < @before;
