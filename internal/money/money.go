// Package money holds amounts as integers of minor units, so that nothing is ever rounded by accident.
package money

import (
	"errors"
	"math"
	"math/big"

	"github.com/shopspring/decimal"

	"github.com/souk-shop/souk/internal/fault"
)

// Money is an amount in the minor unit of its currency: {1999, "USD"} is 19.99 dollars.
type Money struct {
	Amount   int64  `json:"amount" bson:"amount"`
	Currency string `json:"currency" bson:"currency"`
}

// The refusals of Parse and of arithmetic.
var (
	ErrCurrency  = fault.New(fault.Invalid, "INVALID_CURRENCY", "unknown currency")
	ErrPrecision = fault.New(fault.Invalid, "INVALID_AMOUNT", "more decimals than the currency has")
	ErrTooLarge  = fault.New(fault.Invalid, "INVALID_AMOUNT", "amount out of range")
	ErrMixed     = fault.New(fault.Invalid, "CURRENCY_MISMATCH", "amounts in different currencies cannot be combined")
)

// Max is the largest amount the shop deals in, far from where int64 overflows in a sum of lines.
const Max = int64(1e15)

// exponents is the number of decimals of a currency, ISO 4217. The shop trades in these only.
var exponents = map[string]int32{
	"USD": 2, "EUR": 2, "GBP": 2, "INR": 2, "CHF": 2, "CAD": 2, "AUD": 2, "SEK": 2, "AED": 2, "SGD": 2, "JPY": 0, "KRW": 0, "KWD": 3, "BHD": 3,
}

// Known tells whether the shop trades in a currency.
func Known(currency string) bool { _, ok := exponents[currency]; return ok }

// FromDecimal converts an amount in major units, refusing what the currency cannot express.
func FromDecimal(d decimal.Decimal, currency string) (Money, error) {
	exp, ok := exponents[currency]
	if !ok {
		return Money{}, ErrCurrency.Says("%.10q is not a currency of this shop", currency)
	}
	if d.Exponent() < -30 || d.Exponent() > 30 {
		return Money{}, ErrTooLarge
	}
	minor := d.Shift(exp)
	if !minor.IsInteger() {
		return Money{}, ErrPrecision.Says("%s has more decimals than %s has", d, currency)
	}
	if minor.Abs().Cmp(decimal.NewFromBigInt(big.NewInt(Max), 0)) > 0 {
		return Money{}, ErrTooLarge
	}
	return Money{minor.IntPart(), currency}, nil
}

// Decimal returns the amount in major units: 19.99.
func (m Money) Decimal() decimal.Decimal { return decimal.New(m.Amount, -exponents[m.Currency]) }

// String prints the amount with all the decimals of its currency: "19.90 USD".
func (m Money) String() string { return m.Major() + " " + m.Currency }

// Major prints the amount in major units with all the decimals of its currency: "19.90".
func (m Money) Major() string { return m.Decimal().StringFixed(exponents[m.Currency]) }

// Add returns the sum; it refuses to mix currencies or to leave the range. The zero Money adds to anything.
func (m Money) Add(o Money) (Money, error) {
	if m == (Money{}) {
		return o, nil
	}
	if o == (Money{}) {
		return m, nil
	}
	if m.Currency != o.Currency {
		return Money{}, ErrMixed.Says("cannot add %s to %s", o.Currency, m.Currency)
	}
	sum := m.Amount + o.Amount // both within ±Max, so no overflow
	if sum > Max || sum < -Max {
		return Money{}, ErrTooLarge
	}
	return Money{sum, m.Currency}, nil
}

// Times returns n of it; n must not be negative.
func (m Money) Times(n int) (Money, error) {
	if n < 0 || (m.Amount != 0 && int64(n) > math.MaxInt64/abs(m.Amount)) || abs(m.Amount)*int64(n) > Max {
		return Money{}, ErrTooLarge
	}
	return Money{m.Amount * int64(n), m.Currency}, nil
}

func abs(n int64) int64 {
	if n < 0 {
		return -n
	}
	return n
}

// An Input is an amount as a client writes it: in major units, not yet checked.
type Input struct {
	Amount       decimal.Decimal
	CurrencyCode string
}

// Money converts the input; a refusal names the field it is at.
func (in Input) Money(field ...string) (Money, error) {
	m, err := FromDecimal(in.Amount, in.CurrencyCode)
	var refused *fault.Error
	if errors.As(err, &refused) {
		return m, refused.At(field...)
	}
	return m, err
}
