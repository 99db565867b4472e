package money_test

import (
	"errors"
	"math"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/souk-shop/souk/internal/money"
)

func TestFromDecimal(t *testing.T) {
	for _, c := range []struct {
		in, currency string
		want         int64
		err          error
	}{
		{"19.99", "USD", 1999, nil},
		{"19.9", "USD", 1990, nil},
		{"-0.01", "EUR", -1, nil},
		{"500", "JPY", 500, nil},
		{"1.234", "KWD", 1234, nil},
		{"1e3", "USD", 100000, nil},
		{"0.5", "JPY", 0, money.ErrPrecision},
		{"0.001", "USD", 0, money.ErrPrecision},
		{"1", "XXX", 0, money.ErrCurrency},
		{"1e20", "USD", 0, money.ErrTooLarge},
		{"1e400", "USD", 0, money.ErrTooLarge},
	} {
		got, err := money.FromDecimal(decimal.RequireFromString(c.in), c.currency)
		if !errors.Is(err, c.err) || got.Amount != c.want {
			t.Errorf("FromDecimal(%s %s) = %v, %v; want %d, %v", c.in, c.currency, got, err, c.want, c.err)
		}
	}
}

func TestArithmetic(t *testing.T) {
	a := money.Money{Amount: 1990, Currency: "USD"}
	if s := a.String(); s != "19.90 USD" {
		t.Error(s)
	}
	if got, err := a.Times(3); err != nil || got.Amount != 5970 {
		t.Error(got, err)
	}
	for _, n := range []int{-1, math.MaxInt, 1e15} {
		if _, err := a.Times(n); !errors.Is(err, money.ErrTooLarge) {
			t.Errorf("Times(%d) = %v", n, err)
		}
	}
	if _, err := a.Add(money.Money{Amount: 1, Currency: "EUR"}); !errors.Is(err, money.ErrMixed) {
		t.Error(err)
	}
	most, one := money.Money{Amount: money.Max, Currency: "USD"}, money.Money{Amount: 1, Currency: "USD"}
	if _, err := most.Add(one); !errors.Is(err, money.ErrTooLarge) {
		t.Errorf("beyond the most: %v", err)
	}
	if got, err := (money.Money{Amount: money.Max - 1, Currency: "USD"}).Add(one); err != nil || got != most {
		t.Errorf("up to the most: %v, %v", got, err)
	}
	if got, err := (money.Money{}).Add(a); err != nil || got != a {
		t.Error(got, err)
	}
}
