package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/souk-shop/souk/clients/souk/feeds"
)

// A fakeMarket answers what an import asks, and notes what it was sent.
type fakeMarket struct {
	*httptest.Server
	tier    string
	failure string // of the whole feed
	refuses string // the SKU of another seller's goods
	stocked bool   // everything had stock before
	half    string // the one SKU that had stock before

	mu      sync.Mutex
	sent    []feeds.Product
	counts  int // how often it was asked how many are findable
	adjusts []string
	asked   map[string]any // the input of bulkImport
}

func openMarket(t *testing.T) *fakeMarket {
	m := &fakeMarket{tier: "PROFESSIONAL"}
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if r.Method == http.MethodPut {
			for lines := bufio.NewScanner(r.Body); lines.Scan(); {
				var p feeds.Product
				if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
					t.Error(err)
				}
				m.sent = append(m.sent, p)
			}
			return
		}
		var req struct {
			Query     string
			Variables map[string]any
		}
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			t.Error(err)
		}
		name := regexp.MustCompile(`(?:query|mutation) (\w+)`).FindStringSubmatch(req.Query)[1]
		io.WriteString(w, `{"data":`+m.answer(t, name, req.Variables)+`}`)
	}))
	t.Cleanup(m.Close)
	return m
}

func (m *fakeMarket) answer(t *testing.T, operation string, variables map[string]any) string {
	switch operation {
	case "SignIn":
		return `{"sessionCreate":{"session":{"accessToken":"t"},"userErrors":[]}}`
	case "WhoSells":
		return fmt.Sprintf(`{"me":{"seller":{"id":"sel_1","tier":%q}}}`, m.tier)
	case "StagedUploadCreate":
		return fmt.Sprintf(`{"stagedUploadCreate":{"uploadId":"upl_1","url":%q,"headers":{},"userErrors":[]}}`, m.URL+"/upload")
	case "BulkImport":
		m.asked = variables["input"].(map[string]any)
		return `{"bulkImport":{"operation":{"id":"bulk_1"},"userErrors":[]}}`
	case "BulkProgress":
		status := "COMPLETED"
		if m.failure != "" {
			status = "FAILED"
		}
		return fmt.Sprintf(`{"bulkOperation":{"status":%q,"failure":%q,"processed":%d,"createdAt":"2026-01-02T00:00:00Z"}}`, status, m.failure, len(m.sent))
	case "BulkRowErrors":
		var rows []string
		for i, p := range m.sent {
			if p.Variants[0].SKU == m.refuses {
				rows = append(rows, fmt.Sprintf(`{"row":%d,"externalId":%q,"errors":[{"code":"SKU_TAKEN","message":"another product has this SKU","field":["variants","0","sku"]}]}`, i+1, p.ExternalID))
			}
		}
		return `{"bulkOperation":{"rowErrors":{"nodes":[` + strings.Join(rows, ",") + `],"pageInfo":{"hasNextPage":false}}}}`
	case "GoodsCount":
		m.counts++
		if m.counts < 3 { // the search is a moment behind
			return `{"products":{"totalCount":0}}`
		}
		return fmt.Sprintf(`{"products":{"totalCount":%d}}`, len(m.found()))
	case "GoodsOfSeller":
		return `{"products":{"nodes":[` + strings.Join(m.found(), ",") + `],"pageInfo":{"hasNextPage":false}}}`
	case "Warehouses":
		return `{"warehouses":[{"id":"wh_1","code":"ONE"},{"id":"wh_2","code":"TWO"}]}`
	case "VariantStock":
		var nodes []string
		for _, id := range variables["ids"].([]any) {
			seq := 0
			if m.stocked || id == "var_"+m.half {
				seq = 1
			}
			nodes = append(nodes, fmt.Sprintf(`{"id":%q,"stock":{"seq":%d}}`, id, seq))
		}
		return `{"nodes":[` + strings.Join(nodes, ",") + `]}`
	case "StockTakeIn":
		input, err := json.Marshal(variables["input"].(map[string]any)["changes"])
		if err != nil {
			t.Error(err)
		}
		m.adjusts = append(m.adjusts, string(input))
		return `{"stockAdjust":{"userErrors":[]}}`
	}
	t.Errorf("nobody expects %s", operation)
	return "null"
}

// found is what buyers find.
func (m *fakeMarket) found() (nodes []string) {
	for _, p := range m.sent {
		if sku := p.Variants[0].SKU; sku != m.refuses {
			seq := 0
			if m.stocked || sku == m.half {
				seq = 1
			}
			nodes = append(nodes, fmt.Sprintf(`{"id":"prod_%s","externalId":%q,"createdAt":"2026-01-02T00:00:01Z","updatedAt":"2026-01-02T00:00:01Z","variants":{"nodes":[{"id":"var_%s","sku":%q,"stock":{"seq":%d}}]}}`,
				sku, p.ExternalID, sku, sku, seq))
		}
	}
	return nodes
}

func TestImport(t *testing.T) {
	line := func(id string) string {
		return fmt.Sprintf(`{"externalId":%q,"title":"T","description":"D","categoryPath":["C"],"variants":[{"sku":"%[1]s-1","price":{"amount":"1.00","currencyCode":"USD"},"weightGrams":1}]}`, id)
	}
	feed := strings.Join([]string{line("a"), `{"title": broken}`, line("b"), "", line("c")}, "\n")
	const oneBroken = "row 2: this is not JSON: invalid character 'b' looking for beginning of value\n"

	for name, test := range map[string]struct {
		market  func(*fakeMarket)
		feed    string
		args    []string
		err     string
		stdout  string
		refused string
		adjusts []string
		sent    int
	}{
		"broken rows are left out": {
			feed: feed, args: []string{"--stock", "3"}, err: "1 of 4 rows were refused", refused: oneBroken, sent: 3,
			stdout: "4 rows: 3 products (3 new, 0 changed, 0 as they were), 9 units stocked, 1 refused",
			adjusts: []string{`[{"delta":2,"variantId":"var_a-1","warehouseId":"wh_1"},{"delta":1,"variantId":"var_a-1","warehouseId":"wh_2"},` +
				`{"delta":2,"variantId":"var_b-1","warehouseId":"wh_1"},{"delta":1,"variantId":"var_b-1","warehouseId":"wh_2"},` +
				`{"delta":2,"variantId":"var_c-1","warehouseId":"wh_1"},{"delta":1,"variantId":"var_c-1","warehouseId":"wh_2"}]`},
		},
		"what the shop refuses is told by its row in the feed": {
			market: func(m *fakeMarket) { m.refuses = "b-1" }, feed: feed, args: []string{"--stock", "1", "--warehouse", "TWO"},
			err: "2 of 4 rows were refused", refused: oneBroken + "row 3 (b), variants.0.sku: another product has this SKU\n", sent: 3,
			stdout:  "4 rows: 2 products (2 new, 0 changed, 0 as they were), 2 units stocked, 2 refused",
			adjusts: []string{`[{"delta":1,"variantId":"var_a-1","warehouseId":"wh_2"},{"delta":1,"variantId":"var_c-1","warehouseId":"wh_2"}]`},
		},
		"all or nothing": {
			feed: feed, args: []string{"--on-error", "reject-all"}, err: "1 of 4 rows were refused", refused: oneBroken, sent: 0,
			stdout: "4 rows: 0 products, 1 refused",
		},
		"what had stock gets none": {
			market: func(m *fakeMarket) { m.stocked = true }, feed: line("a"), sent: 1,
			stdout: "1 rows: 1 products (1 new, 0 changed, 0 as they were), 0 units stocked, 0 refused",
		},
		"what had none goes in alone where others had some": {
			market: func(m *fakeMarket) { m.half = "a-1" }, feed: line("a") + "\n" + line("b"), args: []string{"--stock", "1"}, sent: 2,
			stdout:  "2 rows: 2 products (2 new, 0 changed, 0 as they were), 1 units stocked, 0 refused",
			adjusts: []string{`[{"delta":1,"variantId":"var_b-1","warehouseId":"wh_1"}]`},
		},
		"only looking": {feed: line("a"), args: []string{"--dry-run"}, sent: 1, stdout: "1 rows: 1 products would be in, 0 refused"},
		"a feed that the shop does not take": {
			market: func(m *fakeMarket) { m.failure = "too much" }, feed: line("a"), err: "the shop refused the feed: too much", sent: 1,
		},
		"a seller who may not":        {market: func(m *fakeMarket) { m.tier = "INDIVIDUAL" }, feed: line("a"), err: "me@souk.test is no PROFESSIONAL seller; only they import in bulk"},
		"a warehouse that is nowhere": {feed: line("a"), args: []string{"--warehouse", "SIX"}, err: "there is no warehouse SIX; there are [ONE TWO]", sent: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := openMarket(t)
			if test.market != nil {
				test.market(m)
			}
			file := filepath.Join(t.TempDir(), "feed.jsonl")
			if err := os.WriteFile(file, []byte(test.feed), 0o600); err != nil {
				t.Fatal(err)
			}
			var stdout, stderr bytes.Buffer
			args := append([]string{"import", "products", file, "--url", m.URL, "--email", "me@souk.test", "--password", "secret"}, test.args...)
			err := souk(t.Context(), args, func(string) string { return "" }, &stdout, &stderr)
			if fmt.Sprint(err) != test.err && !(err == nil && test.err == "") {
				t.Errorf("it ends with %v, not with %s", err, test.err)
			}
			if !strings.HasPrefix(stdout.String(), test.stdout) {
				t.Errorf("it says %s, not %s", stdout.String(), test.stdout)
			}
			if test.refused != "" && !strings.HasSuffix(stderr.String(), test.refused) {
				t.Errorf("it refuses %s, not %s", stderr.String(), test.refused)
			}
			if diff := cmp.Diff(test.adjusts, m.adjusts); diff != "" {
				t.Error(diff)
			}
			if len(m.sent) != test.sent {
				t.Errorf("%d products were sent, not %d", len(m.sent), test.sent)
			}
		})
	}
}
