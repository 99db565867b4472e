// Package postgres keeps the carts in PostgreSQL.
package postgres

import (
	"context"
	"embed"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/optional"
	"github.com/souk-shop/souk/internal/pipeline"
	"github.com/souk-shop/souk/subgraphs/cart"
	"github.com/souk-shop/souk/subgraphs/cart/postgres/internal/db"
)

// Migrations make the schema.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// A Store is the carts' tables.
type Store struct {
	pool *pgxpool.Pool
	q    *db.Queries
}

var _ cart.Store = (*Store)(nil)

// NewStore returns the store behind a pool whose schema is migrated.
func NewStore(pool *pgxpool.Pool) *Store { return &Store{pool, db.New(pool)} }

// CartsByID finds carts, with their lines, by id.
func (s *Store) CartsByID(ctx context.Context, ids []string) ([]cart.Cart, error) {
	if len(ids) == 1 {
		return s.one(ctx, ids[0])
	}
	return s.read(ctx, "c.id = ANY ($1)", ids)
}

// CartsOfAccounts finds the one open cart of each account.
func (s *Store) CartsOfAccounts(ctx context.Context, accountIDs []string) ([]cart.Cart, error) {
	return s.read(ctx, "c.account_id = ANY ($1)", accountIDs)
}

func (s *Store) one(ctx context.Context, id string) ([]cart.Cart, error) {
	rows, err := s.q.CartByID(ctx, id)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	var lines []db.CartLine
	for _, r := range rows {
		if r.LineID != nil {
			lines = append(lines, db.CartLine{
				ID: *r.LineID, CartID: id, VariantID: *r.VariantID, Quantity: r.Quantity.Int32, AddedAmount: r.AddedAmount.Int64, AddedCurrency: *r.AddedCurrency,
			})
		}
	}
	return whole([]db.Cart{rows[0].Cart}, lines), nil
}

// read finds carts and their lines as of one moment: an order is of a version, and buys the lines of that version and no other.
func (s *Store) read(ctx context.Context, where string, keys []string) ([]cart.Cart, error) {
	var rows []db.Cart
	var lines []db.CartLine
	err := pipeline.Look(ctx, s.pool, func(p *pipeline.Pipeline) {
		pipeline.Rows(p, &rows, "SELECT c.* FROM carts c WHERE "+where, keys)
		pipeline.Rows(p, &lines, "SELECT l.* FROM carts c JOIN cart_lines l ON l.cart_id = c.id WHERE "+where+" ORDER BY l.cart_id, l.position", keys)
	})
	return whole(rows, lines), err
}

// CartsOfLines finds the carts that these lines belong to.
func (s *Store) CartsOfLines(ctx context.Context, lineIDs []string) ([]cart.Cart, error) {
	ids, err := s.q.CartIDsOfLines(ctx, lineIDs)
	if err != nil {
		return nil, err
	}
	return s.CartsByID(ctx, ids)
}

// Create saves a new cart. The unique constraint decides between two first carts of one account: the second becomes a change of the first.
func (s *Store) Create(ctx context.Context, c cart.Cart, rule func(*cart.Cart) error) (created cart.Cart, err error) {
	if c.AccountID == "" {
		if err := rule(&c); err != nil {
			return c, err
		}
		l := lines(c)
		return c, s.q.InsertGuestCart(ctx, db.InsertGuestCartParams{
			ID: c.ID, Version: int32(c.Version), UpdatedAt: c.UpdatedAt, ExpiresAt: c.ExpiresAt, LineIds: l.LineIds, Positions: l.Positions,
			VariantIds: l.VariantIds, Quantities: l.Quantities, AddedAmounts: l.AddedAmounts, AddedCurrencies: l.AddedCurrencies,
		})
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		q := s.q.WithTx(tx)
		account := optional.Of(c.AccountID)
		if _, err := q.InsertCart(ctx, db.InsertCartParams{ID: c.ID, AccountID: account, UpdatedAt: time.Now(), ExpiresAt: time.Now()}); err != nil {
			return err
		}
		found, err := lock(ctx, q, account, c.ID)
		if err != nil {
			return err
		}
		created, err = s.change(ctx, q, found[0], rule)
		return err
	})
	return created, err
}

// Change locks the cart, runs the rule and saves its lines and the next version.
func (s *Store) Change(ctx context.Context, id string, rule func(*cart.Cart) error) (changed cart.Cart, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		q := s.q.WithTx(tx)
		found, err := lock(ctx, q, nil, id)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return cart.ErrNoCart
		}
		changed, err = s.change(ctx, q, found[0], rule)
		return err
	})
	return changed, err
}

// Claim locks a guest's cart and the account's own, runs the rule on both and saves them.
func (s *Store) Claim(ctx context.Context, guestID, accountID string, rule func(guest, own *cart.Cart) error) (claimed cart.Cart, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		q := s.q.WithTx(tx)
		found, err := lock(ctx, q, &accountID, guestID)
		if err != nil {
			return err
		}
		var guest, own *cart.Cart
		for i := range found {
			if found[i].ID == guestID {
				guest = &found[i]
			}
			if found[i].AccountID == accountID {
				own = &found[i]
			}
		}
		if guest == nil {
			return cart.ErrNoGuest
		}
		before := slices.Clone(found)
		for i := range found { // the rule may change lines where they are
			found[i].Lines = slices.Clone(found[i].Lines)
		}
		if err := rule(guest, own); err != nil {
			return err
		}
		for i := range found {
			if found[i], err = s.save(ctx, q, before[i], found[i]); err != nil {
				return err
			}
			if found[i].AccountID == accountID {
				claimed = found[i]
			}
		}
		return nil
	})
	return claimed, err
}

// TakeOrdered takes what was ordered out of the carts, once an order. Orders and carts are each locked in the order of their ids, so that
// two who hear of the same orders never wait for each other.
func (s *Store) TakeOrdered(ctx context.Context, purchases []cart.Purchase) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		q := s.q.WithTx(tx)
		heard := make([]string, len(purchases))
		for i, p := range purchases {
			heard[i] = p.OrderID
		}
		slices.Sort(heard)
		fresh, err := q.NoteOrdered(ctx, slices.Compact(heard))
		if err != nil || len(fresh) == 0 {
			return err
		}
		taken := map[string][]cart.Purchase{} // by cart
		for _, p := range purchases {
			if at := slices.Index(fresh, p.OrderID); at >= 0 {
				fresh = slices.Delete(fresh, at, at+1)
				taken[p.CartID] = append(taken[p.CartID], p)
			}
		}
		found, err := lock(ctx, q, nil, slices.Collect(maps.Keys(taken))...)
		if err != nil {
			return err
		}
		p := pipeline.In(tx)
		for _, c := range found {
			_, err := s.change(ctx, db.New(p), c, func(c *cart.Cart) error {
				for _, p := range taken[c.ID] {
					c.Ordered(p.Units)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return p.Send(ctx)
	})
}

// Sweep throws carts away that nobody touched for long, and returns how many.
func (s *Store) Sweep(ctx context.Context, now time.Time) (int, error) {
	n, err := s.q.DeleteExpired(ctx, now)
	return int(n), err
}

func lock(ctx context.Context, q *db.Queries, account *string, ids ...string) ([]cart.Cart, error) {
	rows, err := q.LockCarts(ctx, db.LockCartsParams{Ids: ids, AccountID: account})
	if err != nil {
		return nil, err
	}
	return withLines(ctx, q, rows)
}

func (s *Store) change(ctx context.Context, q *db.Queries, c cart.Cart, rule func(*cart.Cart) error) (cart.Cart, error) {
	before := c
	c.Lines = slices.Clone(c.Lines)
	if err := rule(&c); err != nil {
		return c, err
	}
	return s.save(ctx, q, before, c)
}

// save writes a locked cart with its next version, unless nothing changed.
func (s *Store) save(ctx context.Context, q *db.Queries, before, c cart.Cart) (cart.Cart, error) {
	if reflect.DeepEqual(before, c) {
		return c, nil
	}
	c.Version++
	if err := q.UpdateCart(ctx, db.UpdateCartParams{
		ID: c.ID, Version: int32(c.Version), AccountID: optional.Of(c.AccountID), MergedInto: optional.Of(c.MergedInto), UpdatedAt: c.UpdatedAt, ExpiresAt: c.ExpiresAt,
	}); err != nil {
		return c, err
	}
	if slices.Equal(before.Lines, c.Lines) {
		return c, nil
	}
	if len(before.Lines) > 0 {
		if err := q.DeleteLines(ctx, c.ID); err != nil {
			return c, err
		}
	}
	if len(c.Lines) == 0 {
		return c, nil
	}
	return c, q.InsertLines(ctx, lines(c))
}

func lines(c cart.Cart) db.InsertLinesParams {
	rows := db.InsertLinesParams{CartID: c.ID}
	for i, l := range c.Lines {
		rows.LineIds, rows.Positions = append(rows.LineIds, l.ID), append(rows.Positions, int32(i))
		rows.VariantIds, rows.Quantities = append(rows.VariantIds, l.VariantID), append(rows.Quantities, int32(l.Quantity))
		rows.AddedAmounts, rows.AddedCurrencies = append(rows.AddedAmounts, l.Added.Amount), append(rows.AddedCurrencies, l.Added.Currency)
	}
	return rows
}

func withLines(ctx context.Context, q *db.Queries, rows []db.Cart) ([]cart.Cart, error) {
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	lines, err := q.LinesOf(ctx, ids)
	return whole(rows, lines), err
}

func whole(rows []db.Cart, lines []db.CartLine) []cart.Cart {
	of := make(map[string][]cart.Line, len(rows))
	for _, l := range lines {
		of[l.CartID] = append(of[l.CartID], cart.Line{
			ID: l.ID, CartID: l.CartID, VariantID: l.VariantID, Quantity: int(l.Quantity),
			Added: money.Money{Amount: l.AddedAmount, Currency: l.AddedCurrency},
		})
	}
	out := make([]cart.Cart, len(rows))
	for i, r := range rows {
		out[i] = cart.Cart{
			ID: r.ID, Version: int(r.Version), AccountID: optional.Text(r.AccountID), MergedInto: optional.Text(r.MergedInto), Lines: of[r.ID],
			UpdatedAt: r.UpdatedAt.UTC(), ExpiresAt: r.ExpiresAt.UTC(),
		}
	}
	return out
}
