// Package scalar writes and reads the graph's own scalars.
package scalar

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/shopspring/decimal"
	"golang.org/x/text/language"
)

var plainDecimal = regexp.MustCompile(`^-?\d{1,20}(\.\d{1,12})?$`)

// MarshalDecimal writes the number as a string, with all the decimals it was made with: "19.90".
func MarshalDecimal(d decimal.Decimal) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) {
		io.WriteString(w, strconv.Quote(d.StringFixed(max(0, -d.Exponent()))))
	})
}

// UnmarshalDecimal reads a decimal number from a string. A float is refused: it may have been rounded already.
func UnmarshalDecimal(v any) (decimal.Decimal, error) {
	s, ok := v.(string)
	if !ok {
		return decimal.Decimal{}, fmt.Errorf("a Decimal is a string such as \"19.90\", not %v", v)
	}
	if !plainDecimal.MatchString(s) {
		return decimal.Decimal{}, fmt.Errorf("%.40q is not a decimal number", s)
	}
	return decimal.NewFromString(s)
}

// MarshalDateTime writes the moment in UTC, RFC 3339, to the microsecond.
func MarshalDateTime(t time.Time) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) {
		io.WriteString(w, strconv.Quote(t.UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano)))
	})
}

// UnmarshalDateTime reads an RFC 3339 moment.
func UnmarshalDateTime(v any) (time.Time, error) {
	s, ok := v.(string)
	if !ok {
		return time.Time{}, errors.New("a DateTime is a string such as \"2026-11-21T10:00:00Z\"")
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%.40q is not an RFC 3339 date and time", s)
	}
	return t.UTC(), nil
}

// MarshalURL writes the URL.
func MarshalURL(s string) graphql.Marshaler { return graphql.MarshalString(s) }

// UnmarshalURL reads an absolute http or https URL of at most 2,000 bytes.
func UnmarshalURL(v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", errors.New("a URL is a string")
	}
	u, err := url.Parse(s)
	if err != nil || len(s) > 2000 || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "", fmt.Errorf("%.60q is not an absolute http or https URL", s)
	}
	return s, nil
}

var codes = struct{ country, currency, language *regexp.Regexp }{
	regexp.MustCompile(`^[A-Z]{2}$`), regexp.MustCompile(`^[A-Z]{3}$`), regexp.MustCompile(`^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$`),
}

// MarshalCountryCode writes the code.
func MarshalCountryCode(s string) graphql.Marshaler { return graphql.MarshalString(s) }

// UnmarshalCountryCode reads an ISO 3166-1 alpha-2 code that some country has.
func UnmarshalCountryCode(v any) (string, error) {
	const want = "country code such as IN (ISO 3166-1 alpha-2)"
	s, err := code(v, codes.country, want)
	if err != nil {
		return "", err
	}
	if region, err := language.ParseRegion(s); err != nil || !region.IsCountry() || region.Canonicalize() != region {
		return "", fmt.Errorf("%q is not a %s", s, want)
	}
	return s, nil
}

// MarshalCurrencyCode writes the code.
func MarshalCurrencyCode(s string) graphql.Marshaler { return graphql.MarshalString(s) }

// UnmarshalCurrencyCode reads an ISO 4217 code.
func UnmarshalCurrencyCode(v any) (string, error) {
	return code(v, codes.currency, "currency code such as USD (ISO 4217)")
}

// MarshalLanguageCode writes the code.
func MarshalLanguageCode(s string) graphql.Marshaler { return graphql.MarshalString(s) }

// UnmarshalLanguageCode reads a BCP 47 tag.
func UnmarshalLanguageCode(v any) (string, error) {
	return code(v, codes.language, "language tag such as en-IN (BCP 47)")
}

func code(v any, shape *regexp.Regexp, want string) (string, error) {
	s, ok := v.(string)
	if !ok || !shape.MatchString(s) {
		return "", fmt.Errorf("%.40q is not a %s", fmt.Sprint(v), want)
	}
	return s, nil
}

// MarshalJSON writes any JSON value.
func MarshalJSON(v any) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) {
		b, err := json.Marshal(v)
		if err != nil {
			b = []byte("null")
		}
		w.Write(b)
	})
}

// UnmarshalJSON reads any JSON value.
func UnmarshalJSON(v any) (any, error) { return v, nil }
