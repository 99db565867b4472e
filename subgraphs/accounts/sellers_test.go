package accounts_test

import (
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/accounts"
)

func TestSlug(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Ann's Lamps & Co.": "ann-s-lamps-co",
		"  Nike  2 ":        "nike-2",
		"ÉTÉ":               "été",
		"किताब घर":          "किताब-घर",
		"--":                "",
		"\x00\xff":          "",
	} {
		got := accounts.Slug(name)
		if got != want || accounts.Slug(got) != got {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	if accounts.NameKey(" ANN's  lamps") != accounts.NameKey("Ann's Lamps") {
		t.Error("case and spacing make no other name")
	}
}

func TestSellerRules(t *testing.T) {
	t.Parallel()
	a := accounts.New(shelf{}, nil, nil, clock.Hold(time.Unix(0, 0)))
	ann := viewer.Viewer{AccountID: id.New(id.Account)}
	for field, c := range map[string][2]string{
		"name":  {"A", ""},
		"taxId": {"Ann's", strings.Repeat("1", 41)},
	} {
		if got, at := code(second(a.Onboard(t.Context(), ann, c[0], accounts.Individual, c[1]))); got != "INVALID" || len(at) != 2 || at[1] != field {
			t.Errorf("%v: %s at %v", c, got, at)
		}
	}
	for _, name := range []string{strings.Repeat("ß", 81), "!!!", "a\tb"} {
		if got, at := code(second(a.Onboard(t.Context(), ann, name, accounts.Individual, ""))); got != "INVALID" || at[1] != "name" {
			t.Errorf("%q: %s at %v", name, got, at)
		}
	}
	seller, slug, malformed := id.New(id.Seller), "ann-s", "sel_1"
	for name, c := range map[string]struct {
		id, slug *string
		want     string
	}{
		"neither":      {nil, nil, "INVALID"},
		"both":         {&seller, &slug, "INVALID"},
		"malformed id": {&malformed, nil, "INVALID_ID"},
	} {
		if got, _ := code(second(a.SellerBy(t.Context(), c.id, c.slug))); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
	odd := "Ann's\x00"
	if found, err := a.SellerBy(t.Context(), nil, &odd); found != nil || err != nil {
		t.Errorf("a slug that nobody can have: %v, %v", found, err)
	}
}
