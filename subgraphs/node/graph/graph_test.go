package graph_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/subgraphs/node"
	"github.com/souk-shop/souk/subgraphs/node/graph"
	"github.com/souk-shop/souk/subgraphs/node/internal/gen"
)

func ask(t *testing.T, query string, vars map[string]any) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": vars})
	if err != nil {
		t.Fatal(err)
	}
	req := httptest.NewRequestWithContext(t.Context(), "POST", "/graphql", strings.NewReader(string(body)))
	req.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	graph.Handler(slog.New(slog.NewTextHandler(t.Output(), nil))).ServeHTTP(rec, req)
	return rec.Body.String()
}

// prefixes is every prefix that an id of the shop may have.
var prefixes = []id.Prefix{
	id.Account, id.Address, id.Seller, id.Product, id.Variant, id.Category, id.Media, id.Upload, id.BulkOperation, id.Warehouse,
	id.Reservation, id.Cart, id.CartLine, id.Order, id.OrderLine, id.PaymentMethod, id.Payment, id.Transaction, id.Review,
	id.Shipment, id.FlashSale, id.Booking, id.Change, id.Event, id.Query,
}

func TestEveryNodeOfTheSchemaIsFound(t *testing.T) {
	t.Parallel()
	schema := gen.NewExecutableSchema(gen.Config{}).Schema()
	left := map[string]bool{}
	for _, possible := range schema.GetPossibleTypes(schema.Types["Node"]) {
		left[possible.Name] = true
	}
	for _, p := range prefixes {
		name, err := node.TypeOf(id.New(p))
		if err != nil {
			continue
		}
		if !left[name] {
			t.Errorf("%s_ names a %s, which is not a Node of the schema or has another prefix too", p, name)
		}
		delete(left, name)
		s := id.New(p)
		got := ask(t, `query ($id: ID!) { node(id: $id) { __typename id } }`, map[string]any{"id": s})
		if want := fmt.Sprintf(`{"data":{"node":{"__typename":%q,"id":%q}}}`, name, s); got != want {
			t.Errorf("%s: %s", s, got)
		}
	}
	for name := range left {
		t.Errorf("no id names a %s", name)
	}
}

func TestNodesInTheirOrder(t *testing.T) {
	t.Parallel()
	order, product := id.New(id.Order), id.New(id.Product)
	got := ask(t, `query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }`, map[string]any{"ids": []string{product, order, product}})
	want := fmt.Sprintf(`{"data":{"nodes":[{"__typename":"Product","id":%[1]q},{"__typename":"Order","id":%[2]q},{"__typename":"Product","id":%[1]q}]}}`, product, order)
	if got != want {
		t.Error(got)
	}
}

func TestMalformedIDs(t *testing.T) {
	t.Parallel()
	got := ask(t, `{ node(id: "ord_1") { id } }`, nil)
	want := `{"errors":[{"message":"\"ord_1\" is not an id of anything that can be fetched by its id","path":["node"],"extensions":{"code":"INVALID_ID","field":["id"]}}],"data":{"node":null}}`
	if got != want {
		t.Error(got)
	}
	order := id.New(id.Order)
	got = ask(t, `query ($ids: [ID!]!) { nodes(ids: $ids) { id } }`, map[string]any{"ids": []string{order, "nope"}})
	want = fmt.Sprintf(`{"errors":[{"message":"\"nope\" is not an id of anything that can be fetched by its id","path":["nodes",1],"extensions":{"code":"INVALID_ID","field":["ids","1"]}}],"data":{"nodes":[{"id":%q},null]}}`, order)
	if got != want {
		t.Error(got)
	}
	got = ask(t, `query ($ids: [ID!]!) { nodes(ids: $ids) { id } }`, map[string]any{"ids": make([]string, node.Most+1)})
	if want = `{"errors":[{"message":"at most 250 ids, not 251","path":["nodes"],"extensions":{"code":"INVALID","field":["ids"]}}],"data":null}`; got != want {
		t.Error(got)
	}
}
