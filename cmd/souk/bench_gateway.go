package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	clientsouk "github.com/souk-shop/souk/clients/souk"
	"github.com/souk-shop/souk/frontends"
)

// A loadClient asks the gateway as cheaply as it can: what it costs itself is taken from the shop, which shares the machine.
type loadClient struct {
	url  string
	http *http.Client
}

func newLoadClient(base string) *loadClient {
	return &loadClient{url: base + "/graphql", http: &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: 2 * benchCallers, DisableCompression: true},
	}}
}

// ask sends an operation and returns the answer, which must be free of errors and refusals and contain the proof. The graph
// escapes quotes inside texts, so a quoted key cannot be anything else.
func (c *loadClient) ask(ctx context.Context, token, query string, variables any, proof string) ([]byte, error) {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/graphql-response+json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	refused := bytes.Contains(answer, []byte(`"userErrors":[{`))
	if res.StatusCode != http.StatusOK || refused || bytes.Contains(answer, []byte(`"errors":`)) || !bytes.Contains(answer, []byte(proof)) {
		return nil, fmt.Errorf("%s %.500s", res.Status, answer)
	}
	return answer, nil
}

// onOffer is what there is to look at and to buy.
type onOffer struct {
	slugs    []string // of the newest products
	variants []string // of the same, one currency, each with plenty in stock
	words    []string // to search for
	pincode  string   // near a warehouse
	country  string
}

const lookAround = `query { products(first: 60, sort: NEWEST) { nodes { slug title variants(first: 4) { nodes { id price { currencyCode } } } } } }`

// lookAt finds out what is on offer, and sees to it that no load can sell it out.
func lookAt(ctx context.Context, base string) (*onOffer, error) {
	staff, err := clientsouk.New(base+"/graphql").SignIn(ctx, "staff@souk.test", benchPassword)
	if err != nil {
		return nil, fmt.Errorf("signing in as staff: %w", err)
	}
	type found struct {
		Products struct {
			Nodes []struct {
				Slug, Title string
				Variants    struct {
					Nodes []struct {
						ID    string
						Price struct{ CurrencyCode string }
					}
				}
			}
		}
	}
	seen, err := clientsouk.Do[found](ctx, staff, lookAround, nil)
	if err != nil {
		return nil, err
	}
	o := &onOffer{}
	currency := ""
	for _, p := range seen.Products.Nodes {
		o.slugs = append(o.slugs, p.Slug)
		if word := firstWord(p.Title); !slices.Contains(o.words, word) {
			o.words = append(o.words, word)
		}
		for _, v := range p.Variants.Nodes {
			if currency == "" || v.Price.CurrencyCode == currency {
				currency = v.Price.CurrencyCode
				o.variants = append(o.variants, v.ID)
			}
		}
	}
	if len(o.slugs) == 0 || len(o.variants) == 0 {
		return nil, errors.New("the shop has nothing on offer")
	}
	return o, o.restock(ctx, staff)
}

// countProducts returns how many products the shop has in all.
func countProducts(ctx context.Context, c *loadClient) (int, error) {
	answer, err := c.ask(ctx, "", "{ products(first: 1) { totalCount } }", nil, `"totalCount"`)
	if err != nil {
		return 0, err
	}
	var got struct {
		Data struct{ Products struct{ TotalCount int } }
	}
	err = json.Unmarshal(answer, &got)
	return got.Data.Products.TotalCount, err
}

// restock brings a great delivery to the first warehouse, which is also where everything goes.
func (o *onOffer) restock(ctx context.Context, staff *clientsouk.Client) error {
	type houses struct {
		Warehouses []struct{ ID, Pincode, Country string }
	}
	there, err := clientsouk.Do[houses](ctx, staff, `{ warehouses { id pincode country } }`, nil)
	if err != nil {
		return err
	}
	if len(there.Warehouses) == 0 {
		return errors.New("the shop has no warehouse")
	}
	house := there.Warehouses[0]
	o.pincode, o.country = house.Pincode, house.Country
	var changes []map[string]any
	for _, v := range o.variants {
		changes = append(changes, map[string]any{"variantId": v, "warehouseId": house.ID, "delta": 100_000})
	}
	for lot := range slices.Chunk(changes, 200) {
		type adjusted struct {
			StockAdjust struct{ UserErrors clientsouk.UserErrors }
		}
		done, err := clientsouk.Do[adjusted](ctx, staff, frontends.Operation("seller/StockAdjust"), map[string]any{
			"input": map[string]any{"changes": lot, "reason": "for the benchmark", "idempotencyKey": newKey()},
		})
		if err == nil {
			err = done.StockAdjust.UserErrors.Err()
		}
		if err != nil {
			return fmt.Errorf("stock: %w", err)
		}
	}
	return nil
}

// timeBare measures a server of this process that only copies a body of so many bytes: what HTTP alone costs on this machine.
func timeBare(ctx context.Context, size int, how time.Duration) (timings, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return timings{}, err
	}
	body := append([]byte(`{"data":"`), bytes.Repeat([]byte("x"), max(size, 16))...)
	srv := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/graphql-response+json")
		w.Write(body)
	})}
	go srv.Serve(l)
	defer srv.Close()
	client := newLoadClient("http://" + l.Addr().String())
	defer client.http.CloseIdleConnections()
	return load(ctx, benchCallers, how, func(ctx context.Context, _, _ int) error {
		_, err := client.ask(ctx, "", "{ nothing }", nil, `"data"`)
		return err
	})
}
