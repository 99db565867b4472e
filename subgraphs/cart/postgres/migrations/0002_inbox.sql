-- +goose Up
-- Which orders were taken out of a cart, `ordered` says, for good: nobody looks into the inbox for it any more.
DELETE FROM inbox WHERE consumer = 'cart-orders';
