package node_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/subgraphs/node"
)

func TestTypeOf(t *testing.T) {
	good := id.New(id.Order)
	for s, want := range map[string]string{
		good:                          "Order",
		id.New(id.Variant):            "ProductVariant",
		id.New(id.OrderLine):          "", // only reached through its order
		id.New("ses"):                 "", // sessions are nobody's business
		id.New("nope"):                "",
		"ord_1":                       "",
		"ord":                         "",
		"":                            "",
		strings.ToLower(good):         "",
		good + "\x00":                 "",
		strings.Repeat("ord_", 10000): "",
	} {
		got, err := node.TypeOf(s, "id")
		var refused *fault.Error
		if got != want || errors.As(err, &refused) != (want == "") {
			t.Errorf("%.60q: %q, %v", s, got, err)
		}
		if refused != nil && (refused.Code != "INVALID_ID" || !slices.Equal(refused.Field, []string{"id"}) || len(refused.Message) > 300) {
			t.Errorf("%.60q: %+v", s, refused)
		}
	}
}

func TestTypesOfAtMost(t *testing.T) {
	if _, err := node.TypesOf(make([]string, node.Most)); err != nil {
		t.Error(err)
	}
	if _, err := node.TypesOf(make([]string, node.Most+1)); !errors.Is(err, node.ErrTooMany) {
		t.Errorf("%v", err)
	}
}
