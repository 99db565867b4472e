-- +goose Up
-- Keys are remembered for a while. Checkouts, of which every order pays for one, are gone through by their pages instead.
CREATE INDEX cancellations_by_age ON cancellations (created_at);
-- Which version of its payment an order has heard of, it says itself: nobody looks into the inbox for it any more.
DELETE FROM inbox WHERE consumer = 'orders-payments';
