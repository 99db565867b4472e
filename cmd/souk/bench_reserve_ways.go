package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/rueidis"

	"github.com/souk-shop/souk/clients/postgres"
	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/inventory"
	inventorypostgres "github.com/souk-shop/souk/subgraphs/inventory/postgres"
)

func reservePool(ctx context.Context, url, schema string) (*pgxpool.Pool, error) {
	return postgres.Open(ctx, url+"&pool_max_conns="+strconv.Itoa(reserveConns), schema)
}

// A bareShop has the least tables that a way can do with: no ledger, no keys, no warehouses, and nothing checked but the
// number of units.
type bareShop struct {
	pool    *pgxpool.Pool
	account atomic.Int64
}

func openBare(ctx context.Context, url string) (*bareShop, func(), error) {
	pool, err := reservePool(ctx, url, "bare")
	if err != nil {
		return nil, nil, err
	}
	_, err = pool.Exec(ctx, `
		CREATE SCHEMA bare;
		CREATE TABLE stock (sku int PRIMARY KEY, available int NOT NULL CHECK (available >= 0), held int NOT NULL) WITH (fillfactor = 50);
		CREATE TABLE holds (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, sku int NOT NULL, account bigint NOT NULL, expires_at timestamptz NOT NULL, UNIQUE (sku, account));
		CREATE TABLE units (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account bigint);
		CREATE INDEX units_free ON units (id) WHERE account IS NULL`)
	if err != nil {
		pool.Close()
		return nil, nil, err
	}
	return &bareShop{pool: pool}, pool.Close, nil
}

// fresh puts the item on the shelf anew.
func (s *bareShop) fresh(ctx context.Context) error {
	_, err := s.pool.Exec(ctx, `TRUNCATE stock, holds; INSERT INTO stock VALUES (1, `+strconv.Itoa(plentyOfUnits)+`, 0)`)
	return err
}

func (s *bareShop) forUpdate() way {
	return way{"for update", "SELECT FOR UPDATE, then UPDATE and INSERT", func(ctx context.Context, _ int) (func(context.Context) error, error) {
		return func(ctx context.Context) error {
			return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
				var available int
				if err := tx.QueryRow(ctx, `SELECT available FROM stock WHERE sku = 1 FOR UPDATE`).Scan(&available); err != nil {
					return err
				}
				if available < 1 {
					return errSoldOutHere
				}
				if _, err := tx.Exec(ctx, `UPDATE stock SET available = available - 1, held = held + 1 WHERE sku = 1`); err != nil {
					return err
				}
				_, err := tx.Exec(ctx, `INSERT INTO holds (sku, account, expires_at) VALUES (1, $1, now() + interval '5 min')`, s.account.Add(1))
				return err
			})
		}, s.fresh(ctx)
	}}
}

func (s *bareShop) conditionalUpdate() way {
	return way{"update", "one conditional UPDATE that INSERTs", func(ctx context.Context, _ int) (func(context.Context) error, error) {
		return func(ctx context.Context) error {
			return one(s.pool.Exec(ctx, `
				WITH taken AS (UPDATE stock SET available = available - 1, held = held + 1 WHERE sku = 1 AND available >= 1 RETURNING sku)
				INSERT INTO holds (sku, account, expires_at) SELECT sku, $1, now() + interval '5 min' FROM taken`, s.account.Add(1)))
		}, s.fresh(ctx)
	}}
}

func (s *bareShop) skipLocked(units int) way {
	return way{"skip locked", "a row for each unit, FOR UPDATE SKIP LOCKED", func(ctx context.Context, callers int) (func(context.Context) error, error) {
		_, err := s.pool.Exec(ctx, `TRUNCATE units; INSERT INTO units (account) SELECT NULL FROM generate_series(1, `+strconv.Itoa(units+warmUps*callers)+`)`)
		if err == nil {
			_, err = s.pool.Exec(ctx, `VACUUM ANALYZE units`)
		}
		return func(ctx context.Context) error {
			return one(s.pool.Exec(ctx, `
				UPDATE units SET account = $1 WHERE id = (SELECT id FROM units WHERE account IS NULL ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)`, s.account.Add(1)))
		}, err
	}}
}

var errSoldOutHere = errors.New("the bench has run out of units")

func one(tag interface{ RowsAffected() int64 }, err error) error {
	if err == nil && tag.RowsAffected() != 1 {
		return errSoldOutHere
	}
	return err
}

// benchSeller sells all that the bench holds.
var benchSeller = viewer.Viewer{AccountID: id.New(id.Account), SellerID: id.New(id.Seller), Scopes: []string{viewer.ScopeSeller, viewer.ScopeStaff}}

type benchGoods struct{}

func (benchGoods) Items(_ context.Context, variantIDs []string) (items []inventory.Item, _ error) {
	for _, v := range variantIDs {
		items = append(items, inventory.Item{VariantID: v, ProductID: id.New(id.Product), SellerID: benchSeller.SellerID, SKU: v})
	}
	return items, nil
}

// openOurs returns the inventory with its tables, ledger, idempotency keys, events and constraints: with every caller alone,
// and as the shop runs it.
func openOurs(ctx context.Context, url string) (ways []way, closeAll func(), err error) {
	pool, err := reservePool(ctx, url, "inventory")
	if err != nil {
		return nil, nil, err
	}
	if err := postgres.Migrate(ctx, pool, inventorypostgres.Migrations); err != nil {
		pool.Close()
		return nil, nil, err
	}
	store := inventorypostgres.NewStore(pool)
	alone := inventory.New(store, benchGoods{}, clock.System)
	together := inventory.New(store.Gather(inventorypostgres.Meeting, nil), benchGoods{}, clock.System)
	shelf, err := alone.SaveWarehouse(ctx, benchSeller, inventory.Warehouse{Code: "BLR-1", Name: "Bengaluru", Pincode: "560001", Country: "IN"})
	if err != nil {
		pool.Close()
		return nil, nil, err
	}
	return []way{
		{"alone", "the shop's inventory, each caller alone", func(ctx context.Context, _ int) (func(context.Context) error, error) {
			return holdOne(ctx, alone, shelf.ID)
		}},
		{"ours", "the shop's inventory: ledger, keys, events, shared transactions", func(ctx context.Context, _ int) (func(context.Context) error, error) {
			return holdOne(ctx, together, shelf.ID)
		}},
	}, pool.Close, nil
}

// holdOne puts a new variant on the shelf and returns what holds one unit of it.
func holdOne(ctx context.Context, inv *inventory.Inventory, shelf string) (func(context.Context) error, error) {
	variant := id.New(id.Variant)
	var stocked []inventory.Change
	for range plentyOfUnits / 1_000_000 {
		stocked = append(stocked, inventory.Change{VariantID: variant, WarehouseID: shelf, Delta: 1_000_000})
	}
	_, err := inv.Adjust(ctx, benchSeller, stocked, "bench", id.New(id.Event))
	return func(ctx context.Context) error {
		reply, err := inv.Hold(ctx, events.HoldRequest{
			IdempotencyKey: id.New(id.Event), OrderID: id.New(id.Order), AccountID: id.New(id.Account),
			Lines: []events.HoldLine{{VariantID: variant, Quantity: 1}}, ExpiresAt: time.Now().Add(5 * time.Minute),
		})
		if err == nil && reply.ReservationID == "" {
			err = errSoldOutHere
		}
		return err
	}, err
}

var errNoRedis = errors.New("there is no redis-server on this machine")

// takeInRedis takes a unit for an account that has none; nothing of it is on disk.
var takeInRedis = rueidis.NewLuaScript(`
	if redis.call('SADD', KEYS[2], ARGV[1]) == 0 then return 0 end
	if tonumber(redis.call('GET', KEYS[1])) < 1 then redis.call('SREM', KEYS[2], ARGV[1]) return 0 end
	redis.call('DECR', KEYS[1])
	return 1`)

// openRedis returns Redis twice: with a client that sends the calls of all callers together, as rueidis does by itself, and with one
// trip for each call on a connection of its own, as most clients do.
func openRedis(ctx context.Context, dir string) ([]way, func(), error) {
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, nil, errNoRedis
	}
	socket := filepath.Join(dir, "redis.sock")
	cmd := exec.Command(bin, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", dir)
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	stop := func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
	}
	together, err := dialRedis(ctx, socket, func(*rueidis.ClientOption) {})
	if err != nil {
		stop()
		return nil, nil, err
	}
	each, err := dialRedis(ctx, socket, func(o *rueidis.ClientOption) {
		o.DisableAutoPipelining, o.BlockingPoolSize = true, reserveConns
	})
	if err != nil {
		together.Close()
		stop()
		return nil, nil, err
	}
	return []way{
			{"redis", "Redis, a Lua script with a set of accounts, in memory only; many calls a trip", holdInRedis(together)},
			{"redis singly", "the same, a trip for each call", holdInRedis(each)},
		}, func() {
			each.Close()
			together.Close()
			stop()
		}, nil
}

func holdInRedis(client rueidis.Client) func(context.Context, int) (func(context.Context) error, error) {
	var account atomic.Int64
	return func(ctx context.Context, _ int) (func(context.Context) error, error) {
		err := client.Do(ctx, client.B().Flushall().Build()).Error()
		if err == nil {
			err = client.Do(ctx, client.B().Set().Key("units").Value(strconv.Itoa(plentyOfUnits)).Build()).Error()
		}
		return func(ctx context.Context) error {
			took, err := takeInRedis.Exec(ctx, client, []string{"units", "accounts"}, []string{strconv.FormatInt(account.Add(1), 10)}).AsInt64()
			if err == nil && took != 1 {
				err = errSoldOutHere
			}
			return err
		}, err
	}
}

func dialRedis(ctx context.Context, socket string, set func(*rueidis.ClientOption)) (rueidis.Client, error) {
	option, err := rueidis.ParseURL("unix://" + socket)
	if err != nil {
		return nil, err
	}
	option.DisableCache = true
	set(&option)
	for deadline := time.Now().Add(10 * time.Second); ; {
		client, err := rueidis.NewClient(option)
		if err == nil {
			return client, nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return nil, fmt.Errorf("redis-server: %w", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
