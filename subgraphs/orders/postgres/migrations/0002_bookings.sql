-- +goose Up
-- What is bought is a cart, held by a reservation of stock, or a booking of a flash sale, which is its own hold.
ALTER TABLE orders ADD COLUMN booking_id text NOT NULL DEFAULT '';
ALTER TABLE orders ADD CONSTRAINT orders_buy_one CHECK ((booking_id = '') = (cart_id <> '') AND (booking_id = '') = (reservation_id <> '')) NOT VALID;
DROP INDEX orders_of_cart;
CREATE UNIQUE INDEX orders_of_cart ON orders (cart_id, cart_version) WHERE status <> 'CANCELLED' AND cart_id <> '';
-- A booking is ordered once.
CREATE UNIQUE INDEX orders_of_booking ON orders (booking_id) WHERE status <> 'CANCELLED' AND booking_id <> '';
