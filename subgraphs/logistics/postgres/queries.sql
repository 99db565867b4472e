-- name: LinesOf :many
SELECT * FROM shipment_lines WHERE shipment_id = @shipment_id ORDER BY position;

-- name: EventsOf :many
SELECT * FROM shipment_events WHERE shipment_id = @shipment_id ORDER BY at, event_id;

-- name: Place :one
SELECT * FROM places WHERE country = @country AND pincode = @pincode;

-- name: Area :one
-- Area is the middle of the places whose postal codes begin alike.
SELECT count(*) AS known, coalesce(avg(latitude), 0)::float8 AS latitude, coalesce(avg(longitude), 0)::float8 AS longitude, coalesce(bool_and(cod), false)::boolean AS cod
FROM places WHERE country = @country AND left(pincode, 3) = left(@pincode, 3);

-- name: Warehouses :many
SELECT * FROM warehouses;

-- name: Couriers :many
SELECT * FROM couriers ORDER BY code;

-- name: SaveWarehouse :exec
INSERT INTO warehouses AS w (id, version, country, latitude, longitude)
VALUES (@id, @version, @country, @latitude, @longitude)
ON CONFLICT (id) DO UPDATE SET version = excluded.version, country = excluded.country, latitude = excluded.latitude, longitude = excluded.longitude
WHERE w.version < excluded.version;

-- name: SaveCourier :exec
INSERT INTO couriers (code, countries, km_per_day, currency, base, per_kg, per_mm)
VALUES (@code, @countries, @km_per_day, @currency, @base, @per_kg, @per_mm)
ON CONFLICT DO NOTHING;

-- name: SavePlaces :exec
INSERT INTO places (country, pincode, city, latitude, longitude, cod)
SELECT p->>'Country', p->>'Pincode', p->>'City', (p->>'Latitude')::float8, (p->>'Longitude')::float8, (p->>'COD')::boolean
FROM jsonb_array_elements(@places::jsonb) AS p
ON CONFLICT DO NOTHING;

-- name: Decide :one
-- Decide returns what was decided of an order, perhaps before: the update is there to return it, and to wait for who is deciding now.
INSERT INTO decisions AS d (order_id, decision) VALUES (@order_id, @decision)
ON CONFLICT (order_id) DO UPDATE SET decision = d.decision
RETURNING decision;

-- name: ShipmentOfKey :one
-- ShipmentOfKey has the parcel stay as it is while its events are read.
SELECT * FROM shipments WHERE owner = @owner AND key = @key FOR SHARE;

-- name: InsertShipment :execrows
INSERT INTO shipments (id, order_id, account_id, seller_ids, warehouse_id, courier, tracking_number, status, version, eta, created_at, owner, key, input_hash)
VALUES (@id, @order_id, @account_id, @seller_ids, @warehouse_id, @courier, @tracking_number, @status, 1, @eta, @created_at, @owner, @key, @input_hash)
ON CONFLICT (owner, key) DO NOTHING;

-- name: TakeUnits :exec
-- TakeUnits counts units as shipped; the table's own rule refuses more than were ordered.
INSERT INTO shipped AS s (order_line_id, ordered, shipped) VALUES (@order_line_id, @ordered, @quantity)
ON CONFLICT (order_line_id) DO UPDATE SET shipped = s.shipped + excluded.shipped;

-- name: InsertLine :exec
INSERT INTO shipment_lines (shipment_id, position, order_line_id, ordered, quantity) VALUES (@shipment_id, @position, @order_line_id, @ordered, @quantity);

-- name: InsertEvent :execrows
INSERT INTO shipment_events (shipment_id, event_id, at, status, location, note)
VALUES (@shipment_id, @event_id, @at, @status, @location, @note)
ON CONFLICT DO NOTHING;

-- name: LockShipment :one
SELECT * FROM shipments WHERE id = @id FOR UPDATE;

-- name: MoveShipment :exec
UPDATE shipments SET status = @status, version = @version WHERE id = @id;

-- name: SetTracking :exec
UPDATE shipments SET tracking_number = @tracking_number WHERE id = @id AND tracking_number = '';
