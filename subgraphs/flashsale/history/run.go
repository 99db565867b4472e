package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	clientpostgres "github.com/souk-shop/souk/clients/postgres"
	"github.com/souk-shop/souk/internal/batch"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	"github.com/souk-shop/souk/subgraphs/flashsale/postgres"
	"github.com/souk-shop/souk/subgraphs/flashsale/rush"
)

// Options say what is run. Zero means the default.
type Options struct {
	URL      string        // of a database for this alone: its sales have units from nowhere
	Schema   string        // within it; flashsale
	Seed     uint64        // of the first history; 1
	Seeds    int           // how many histories; 1
	Ops      int           // in each, at least; 2,500
	Callers  int           // at once; 10
	Patience time.Duration // for the judgement of one history; a minute
	Pictures string        // where pages about what cannot be explained go; the folder for temporary files

	Wrap func(flashsale.Store) flashsale.Store // puts something between a sale and its tables, so that it can be shown to be found
	Each func(History)                         // hears of each history as soon as it is judged
}

// A Report is what came of the histories.
type Report struct{ Histories []History }

// A History is one run of a sale, and what it comes to.
type History struct {
	Seed    uint64
	Ops     int
	Unknown int // of these have no answer
	Sold    int
	Ran     time.Duration
	Verdict
	Picture string // the page that shows it, "" when all is explained
}

// Explained tells whether all of them are.
func (r Report) Explained() bool {
	for _, h := range r.Histories {
		if h.Result != Explained {
			return false
		}
	}
	return len(r.Histories) > 0
}

// Run drives real sales on a real PostgreSQL from many callers through two servers, while connections are cut and callers give up,
// and judges what they were told. The error says that it could not be run, not what it came to.
func Run(ctx context.Context, o Options) (Report, error) {
	o.Schema, o.Seed, o.Seeds, o.Ops = cmp.Or(o.Schema, "flashsale"), cmp.Or(o.Seed, 1), cmp.Or(o.Seeds, 1), cmp.Or(o.Ops, 2500)
	o.Callers, o.Patience, o.Pictures = cmp.Or(o.Callers, 10), cmp.Or(o.Patience, time.Minute), cmp.Or(o.Pictures, os.TempDir())
	var r Report
	for i := range o.Seeds {
		h, err := o.run(ctx, o.Seed+uint64(i))
		if err != nil {
			return r, fmt.Errorf("history %d: %w", o.Seed+uint64(i), err)
		}
		r.Histories = append(r.Histories, h)
		if o.Each != nil {
			o.Each(h)
		}
	}
	return r, nil
}

func (o Options) run(ctx context.Context, seed uint64) (History, error) {
	began := time.Now()
	sale, ops, err := Record(ctx, o, seed)
	if err != nil {
		return History{Seed: seed}, err
	}
	return Judge(sale, ops, seed, time.Since(began), o.Patience, o.Pictures)
}

// Judge judges the operations of one run of a sale, and draws a picture in a folder if they cannot be explained.
func Judge(sale flashsale.Sale, ops []Operation, seed uint64, ran, patience time.Duration, pictures string) (History, error) {
	h := History{Seed: seed, Ran: ran, Ops: len(ops)}
	for _, op := range ops {
		if !op.Known() {
			h.Unknown++
		}
		if op.Kind == Census && op.Known() {
			h.Sold = 0
			for _, c := range op.Counts {
				h.Sold += c.Sold
			}
		}
	}
	h.Verdict = Check(sale, ops, patience)
	if h.Result == Explained {
		return h, nil
	}
	h.Picture = filepath.Join(pictures, fmt.Sprintf("souk-history-%d.html", seed))
	page, err := os.Create(h.Picture)
	if err != nil {
		return h, err
	}
	return h, errors.Join(h.Draw(page), page.Close())
}

// A run is one history in the making.
type run struct {
	Options
	*Recorder
	clock   *clock.Held
	servers []*flashsale.FlashSales
	admin   *pgxpool.Pool
	sale    flashsale.Sale
	people  []viewer.Viewer
	asked   atomic.Int64

	passing  sync.Mutex // held while time passes
	mu       sync.Mutex
	bookings []flashsale.Booking // that anybody was shown
}

// Record runs one sale and returns it as it was set up, with what its callers asked and were told. The last operation is a census.
func Record(ctx context.Context, o Options, seed uint64) (sale flashsale.Sale, ops []Operation, err error) {
	r := &run{Options: o, clock: clock.Hold(time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC).Add(time.Duration(seed) * 24 * time.Hour))}
	r.Recorder = NewRecorder(r.clock)
	var closers []func()
	defer func() {
		for _, fn := range closers {
			fn()
		}
	}()
	for range 3 {
		pool, err := clientpostgres.Open(ctx, o.URL, o.Schema)
		if err != nil {
			return sale, nil, err
		}
		closers = append(closers, pool.Close)
		if r.admin == nil {
			r.admin = pool
			if err := clientpostgres.Migrate(ctx, pool, postgres.Migrations); err != nil {
				return sale, nil, err
			}
			continue
		}
		store := flashsale.Store(postgres.NewStore(pool))
		if o.Wrap != nil {
			store = o.Wrap(store)
		}
		desk := rush.New(store, r.clock, batch.Config{})
		r.servers = append(r.servers, flashsale.New(store, desk, plenty{}, r.clock))
		closers = append([]func(){func() { _ = desk.Close(context.WithoutCancel(ctx)) }}, closers...)
	}
	if err := r.setUp(ctx, rand.New(rand.NewPCG(seed, 0))); err != nil {
		return sale, nil, err
	}
	var callers sync.WaitGroup
	for i := range o.Callers {
		callers.Go(func() { r.call(ctx, i, rand.New(rand.NewPCG(seed, uint64(i+1)))) })
	}
	callers.Wait()
	for range 10 { // also what was given up has come to its end by then, or is found not to have
		if err = r.settle(ctx); err == nil {
			break
		}
	}
	return r.sale, r.Operations(), cmp.Or(err, ctx.Err())
}

const holdTime = 5 * time.Second // by the sale's clock, which stands still but for what callers do

// setUp offers two variants, so few units of them that most who come find none.
func (r *run) setUp(ctx context.Context, rnd *rand.Rand) error {
	now := r.clock.Now()
	p := flashsale.Plan{Title: "A sale for the record", LimitPerAccount: 1 + rnd.IntN(2), HoldTime: holdTime, StartsAt: now, EndsAt: now.Add(24 * time.Hour)}
	for range 2 {
		p.Offers = append(p.Offers, flashsale.PlannedOffer{
			VariantID: id.New(id.Variant), Price: money.Money{Amount: 990, Currency: "USD"}, Quantity: 1 + r.Ops/80 + rnd.IntN(1+r.Ops/80), LimitPerAccount: 1,
		})
	}
	for range 2 + r.Ops/12 {
		r.people = append(r.people, viewer.Viewer{AccountID: id.New(id.Account)})
	}
	staff := viewer.Viewer{AccountID: id.New(id.Account), Scopes: []string{viewer.ScopeStaff}}
	sale, err := r.servers[0].Save(ctx, staff, p, id.New(id.Event))
	if err != nil {
		return err
	}
	r.sale = sale
	return r.servers[0].SweepNow(ctx) // it opens
}

// settle looks at everything when all is quiet.
func (r *run) settle(ctx context.Context) error {
	done := r.Begin(r.Callers, Input{Kind: Census})
	out, err := TakeCensus(ctx, r.admin, r.sale.ID)
	done(out)
	return err
}

// TakeCensus reads all bookings of a sale, its counts and its log out of its tables, when all is quiet.
func TakeCensus(ctx context.Context, tables *pgxpool.Pool, saleID string) (*Output, error) {
	out, store := &Output{Code: OK}, postgres.NewStore(tables)
	err := pgx.BeginTxFunc(ctx, tables, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT id FROM bookings WHERE sale_id = $1`, saleID)
		if err != nil {
			return err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		if out.All, err = store.BookingsByID(ctx, ids); err != nil {
			return err
		}
		if out.Counts, err = counts(ctx, store, saleID); err != nil {
			return err
		}
		rows, err = tx.Query(ctx, `SELECT booking_id, kind FROM log WHERE sale_id = $1 AND booking_id IS NOT NULL ORDER BY seq`, saleID)
		if err != nil {
			return err
		}
		out.Log, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Moved])
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func counts(ctx context.Context, of flashsale.Reader, saleID string) ([]flashsale.Offer, error) {
	found, err := of.SalesByID(ctx, []string{saleID})
	if err != nil {
		return nil, err
	}
	if len(found) != 1 {
		return nil, flashsale.ErrNoSale
	}
	return found[0].Offers, nil
}
