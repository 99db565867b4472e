package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	shop "github.com/souk-shop/souk/clients/souk"
	"github.com/souk-shop/souk/clients/souk/feeds"
	"github.com/souk-shop/souk/frontends"
)

type importCommand struct {
	Products importProducts `cmd:"" help:"Import a feed of products as a seller, and put them in stock. Doing it twice changes nothing."`
}

type importProducts struct {
	File      string `arg:"" help:"The feed: .json (an array), .jsonl or .csv." type:"existingfile"`
	URL       string `help:"The graph." default:"http://127.0.0.1:4000/graphql"`
	Email     string `help:"Who sells: a PROFESSIONAL seller." required:"" env:"SOUK_IMPORT_EMAIL"`
	Password  string `help:"The seller's password." required:"" env:"SOUK_IMPORT_PASSWORD"`
	Mapping   string `help:"What the fields of the feed mean, in YAML; demo/mappings has an example. Without it they mean what the shop calls so." type:"existingfile"`
	DryRun    bool   `help:"Only look, change nothing."`
	OnError   string `help:"What to do when rows are broken: ${enum}." enum:"reject-rows,reject-all" default:"reject-rows"`
	Stock     int    `help:"How many units of each variant to take in, if it never had any." default:"100"`
	Warehouse string `help:"Where to: a warehouse's code. Without it they are spread over all." placeholder:"CODE"`
}

// Run imports the feed, tells of every row that was refused, and waits until buyers find the others.
func (c importProducts) Run(ctx context.Context, p *process) error {
	if c.Stock < 0 {
		return errors.New("--stock is 0 or more")
	}
	began := time.Now()
	seller, err := shop.New(c.URL).SignIn(ctx, c.Email, c.Password)
	if err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	i := &productImport{importProducts: c, seller: seller, show: newProgress(p.stderr)}
	if err := i.run(ctx); ctx.Err() != nil {
		return errors.New("stopped before the end; run it again for the rest")
	} else if err != nil {
		return err
	}
	for _, r := range i.refused {
		fmt.Fprintln(p.stderr, r)
	}
	fmt.Fprintf(p.stdout, "%s in %.1f s\n", i.summary(), time.Since(began).Seconds())
	if len(i.refused) > 0 {
		return fmt.Errorf("%d of %d rows were refused", len(i.refused), i.rows)
	}
	return nil
}

// A productImport is one import on its way.
type productImport struct {
	importProducts
	seller   *shop.Client
	sellerID string
	show     *progress

	rows, repeated int
	refused        []refusedRow
	goods          []good // what was sent, in the order of the rows sent
	askedAt        time.Time

	created, changed, unchanged, units int
}

// A good is a product that was sent.
type good struct {
	row        int // in the feed
	rows       int
	externalID string
	hidden     bool // a draft, say: buyers do not find it
}

// A refusedRow is a row of the feed that is not in, and one reason why.
type refusedRow struct {
	row                        int
	externalID, field, message string
}

// String tells of it in one line.
func (r refusedRow) String() string {
	said := fmt.Sprintf("row %d", r.row)
	if r.externalID != "" {
		said += " (" + r.externalID + ")"
	}
	if r.field != "" {
		said += ", " + r.field
	}
	return said + ": " + r.message
}

func (i *productImport) run(ctx context.Context) error {
	if err := i.whoSells(ctx); err != nil {
		return err
	}
	staged, err := os.CreateTemp("", "souk-import-*.jsonl")
	if err != nil {
		return err
	}
	defer os.Remove(staged.Name())
	defer staged.Close()
	if err := i.translate(staged); err != nil {
		return err
	}
	if len(i.goods) == 0 || i.OnError == "reject-all" && len(i.refused) > 0 {
		i.goods = nil
		return nil
	}
	if err := i.bulkImport(ctx, staged); err != nil || i.DryRun {
		return err
	}
	offered, err := i.awaitFindable(ctx)
	if err != nil {
		return err
	}
	return i.stock(ctx, offered)
}

func (i *productImport) whoSells(ctx context.Context) error {
	answer, err := shop.Do[struct {
		Me struct{ Seller *struct{ ID, Tier string } }
	}](ctx, i.seller, frontends.Operation("seller/WhoSells"), nil)
	if err != nil {
		return err
	}
	if answer.Me.Seller == nil || answer.Me.Seller.Tier != "PROFESSIONAL" {
		return fmt.Errorf("%s is no PROFESSIONAL seller; only they import in bulk", i.Email)
	}
	i.sellerID = answer.Me.Seller.ID
	return nil
}

// translate writes the feed's products as the shop takes them, one a line.
func (i *productImport) translate(to io.Writer) error {
	format, err := feeds.FormatOf(i.File)
	if err != nil {
		return err
	}
	var mapping *feeds.Mapping
	if i.Mapping != "" {
		text, err := os.ReadFile(i.Mapping)
		if err != nil {
			return err
		}
		if mapping, err = feeds.ReadMapping(text); err != nil {
			return err
		}
	}
	feed, err := os.Open(i.File)
	if err != nil {
		return err
	}
	defer feed.Close()
	bar := i.show.start("reading", 0)
	lines := bufio.NewWriter(to)
	out := json.NewEncoder(lines)
	out.SetEscapeHTML(false)
	for item, err := range feeds.Read(feed, format, mapping) {
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(i.File), err)
		}
		i.rows += max(item.Rows, 1)
		i.repeated += item.Repeated
		bar.set(i.rows)
		if len(item.Problems) > 0 {
			for n, p := range item.Problems {
				if n == 0 {
					i.refused = append(i.refused, refusedRow{item.Row, item.ExternalID, p.Field, p.Message})
				} else {
					last := &i.refused[len(i.refused)-1]
					last.message += "; " + strings.TrimPrefix(p.Field+": ", ": ") + p.Message
				}
			}
			continue
		}
		if item.Repeated == item.Rows {
			continue // nothing new in it
		}
		i.goods = append(i.goods, good{item.Row, item.Rows, item.ExternalID, item.Product.Status != "" && item.Product.Status != "ACTIVE"})
		if err := out.Encode(item.Product); err != nil {
			return err
		}
	}
	bar.done()
	return lines.Flush()
}

// bulkImport has the shop import what was translated, and takes the refused out of the goods.
func (i *productImport) bulkImport(ctx context.Context, staged *os.File) error {
	size, err := staged.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err := staged.Seek(0, io.SeekStart); err != nil {
		return err
	}
	upload, err := i.seller.Upload(ctx, filepath.Base(staged.Name()), "application/jsonl", size, staged)
	if err != nil {
		return err
	}
	asked, err := shop.Do[struct {
		BulkImport struct {
			Operation  struct{ ID string }
			UserErrors shop.UserErrors
		}
	}](ctx, i.seller, frontends.Operation("seller/BulkImport"), map[string]any{"input": map[string]any{
		"stagedUploadId": upload, "format": "JSONL", "onError": strings.ToUpper(strings.ReplaceAll(i.OnError, "-", "_")),
		"dryRun": i.DryRun, "idempotencyKey": rand.Text(), // each run asks anew: what is in already stays as it is
	}})
	if err != nil {
		return err
	}
	if err := asked.BulkImport.UserErrors.Err(); err != nil {
		return err
	}
	id := asked.BulkImport.Operation.ID
	if err := i.follow(ctx, id); err != nil {
		return err
	}
	return i.takeOutRefused(ctx, id)
}

const lookEvery = 200 * time.Millisecond

// follow waits until the shop is through with the feed.
func (i *productImport) follow(ctx context.Context, id string) error {
	bar := i.show.start("importing", len(i.goods))
	for {
		answer, err := shop.Do[struct {
			BulkOperation *struct {
				Status    string
				Processed int
				Failed    int
				Failure   string
				CreatedAt time.Time
			}
		}](ctx, i.seller, frontends.Operation("seller/BulkProgress"), map[string]any{"id": id})
		if err != nil {
			return err
		}
		op := answer.BulkOperation
		if op == nil {
			return fmt.Errorf("the shop forgot the import %s", id)
		}
		bar.set(op.Processed)
		switch op.Status {
		case "COMPLETED", "COMPLETED_WITH_ERRORS":
			i.askedAt = op.CreatedAt
			bar.done()
			return nil
		case "FAILED":
			if op.Failure == "" { // its rows tell why
				i.askedAt = op.CreatedAt
				bar.done()
				return nil
			}
			return fmt.Errorf("the shop refused the feed: %s", op.Failure)
		}
		if err := pause(ctx, lookEvery); err != nil {
			return err
		}
	}
}

// takeOutRefused lists the rows that the shop refused, by their place in the seller's own feed.
func (i *productImport) takeOutRefused(ctx context.Context, id string) error {
	refused := map[int]bool{}
	for after := (*string)(nil); ; {
		answer, err := shop.Do[struct {
			BulkOperation struct {
				RowErrors struct {
					Nodes []struct {
						Row        int
						ExternalID string
						Errors     shop.UserErrors
					}
					PageInfo struct {
						HasNextPage bool
						EndCursor   *string
					}
				}
			}
		}](ctx, i.seller, frontends.Operation("seller/BulkRowErrors"), map[string]any{"id": id, "after": after})
		if err != nil {
			return err
		}
		page := answer.BulkOperation.RowErrors
		for _, r := range page.Nodes {
			if r.Row < 1 || r.Row > len(i.goods) {
				return fmt.Errorf("the shop refuses row %d of %d", r.Row, len(i.goods))
			}
			refused[r.Row-1] = true
			for n, e := range r.Errors {
				said := refusedRow{i.goods[r.Row-1].row, r.ExternalID, strings.Join(e.Field, "."), e.Message}
				if n == 0 {
					i.refused = append(i.refused, said)
				} else {
					last := &i.refused[len(i.refused)-1]
					last.message += "; " + strings.TrimPrefix(said.field+": ", ": ") + said.message
				}
			}
		}
		if !page.PageInfo.HasNextPage {
			break
		}
		after = page.PageInfo.EndCursor
	}
	if i.OnError == "reject-all" && len(refused) > 0 {
		i.goods = nil
		return nil
	}
	var in []good
	for n, g := range i.goods {
		if !refused[n] {
			in = append(in, g)
		}
	}
	i.goods = in
	return nil
}

func (i *productImport) summary() string {
	said := fmt.Sprintf("%d rows: %d products", i.rows, len(i.goods))
	switch {
	case i.DryRun:
		said += " would be in"
	case len(i.goods) > 0:
		said += fmt.Sprintf(" (%d new, %d changed, %d as they were), %d units stocked", i.created, i.changed, i.unchanged, i.units)
	}
	if i.repeated > 0 {
		said += fmt.Sprintf(", %d rows repeated", i.repeated)
	}
	return said + fmt.Sprintf(", %d refused", len(i.refused))
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
