package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/jackc/pgx/v5/pgxpool"

	clientpostgres "github.com/souk-shop/souk/clients/postgres"
	"github.com/souk-shop/souk/internal/devstores/postgres"
	salestore "github.com/souk-shop/souk/subgraphs/flashsale/postgres"
	inventorystore "github.com/souk-shop/souk/subgraphs/inventory/postgres"
	orderstore "github.com/souk-shop/souk/subgraphs/orders/postgres"
	paymentstore "github.com/souk-shop/souk/subgraphs/payments/postgres"
)

type checkCommand struct {
	Data string `help:"Folder of a souk dev that is not running; without it the PostgreSQL that the environment names." type:"path" placeholder:"DIR"`
}

// errDisagreement is why souk check ends with 1.
var errDisagreement = errors.New("stock, orders and money do not agree")

// Run reads everything and changes nothing. It may run beside a living shop: orders and sales under way are counted, not judged.
func (c checkCommand) Run(ctx context.Context, p *process) error {
	of := config{p.getenv}.postgresURL
	if c.Data != "" {
		lock, err := lockFolder(c.Data)
		if err != nil {
			return err
		}
		defer lock.Close()
		server, err := postgres.Start(ctx, postgres.Config{Dir: filepath.Join(c.Data, "postgres")})
		if err != nil {
			return err
		}
		defer server.Stop()
		of = func(string) (string, error) { return server.URL("souk"), nil }
	}
	books, err := openBooks(ctx, of)
	if err != nil {
		return err
	}
	defer books.close()
	report, err := books.check(ctx)
	if err != nil {
		return err
	}
	for _, f := range report.findings {
		fmt.Fprintln(p.stdout, f)
	}
	fmt.Fprintf(p.stdout, "%d orders and %d flash sales at rest, %d under way, %d findings\n", report.atRest, report.sales, report.underWay, len(report.findings))
	if len(report.findings) > 0 {
		return errDisagreement
	}
	return nil
}

// books is what orders, inventory, flash sales and payments each keep, side by side. Nobody else reads more than one of them.
type books struct {
	pools    []*pgxpool.Pool
	orders   *orderstore.Store
	stock    *inventorystore.Store
	payments *paymentstore.Store
	sales    *salestore.Store
}

func openBooks(ctx context.Context, url func(part string) (string, error)) (*books, error) {
	b := &books{}
	open := func(part string) (*pgxpool.Pool, error) {
		at, err := url(part)
		if err != nil {
			return nil, err
		}
		pool, err := clientpostgres.Open(ctx, at, part)
		if err == nil {
			b.pools = append(b.pools, pool)
		}
		return pool, err
	}
	orders, err1 := open("orders")
	stock, err2 := open("inventory")
	payments, err3 := open("payments")
	sales, err4 := open("flashsale")
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		b.close()
		return nil, err
	}
	b.orders, b.stock, b.payments = orderstore.NewStore(orders, nil), inventorystore.NewStore(stock), paymentstore.NewStore(payments)
	b.sales = salestore.NewStore(sales)
	return b, nil
}

func (b *books) close() {
	for _, p := range b.pools {
		p.Close()
	}
}

// A report is what a check found.
type report struct {
	atRest   int // orders
	sales    int // at rest
	underWay int // of both: these are not judged
	findings []string
}

// check audits each of the books by itself, and then sale by sale, booking by booking and order by order against the others.
func (b *books) check(ctx context.Context) (report, error) {
	var r report
	for part, audit := range map[string]func(context.Context) ([]string, error){"inventory": b.stock.Audit, "payments": b.payments.Audit, "flashsale": b.sales.Audit} {
		found, err := audit(ctx)
		if err != nil {
			return r, fmt.Errorf("%s: %w", part, err)
		}
		for _, f := range found {
			r.findings = append(r.findings, part+": "+f)
		}
	}
	if err := errors.Join(b.checkSales(ctx, &r), b.checkBookings(ctx, &r)); err != nil {
		return r, err
	}
	for after := ""; ; {
		lot, err := b.orders.After(ctx, after, 500)
		if err != nil || len(lot) == 0 {
			return r, err
		}
		after = lot[len(lot)-1].ID
		facts, err := b.factsOf(ctx, lot)
		if err != nil {
			return r, err
		}
		for _, f := range facts {
			if !f.atRest() {
				r.underWay++
				continue
			}
			r.atRest++
			r.findings = append(r.findings, f.disagreements()...)
		}
	}
}
