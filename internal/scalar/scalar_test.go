package scalar_test

import (
	"testing"

	"github.com/souk-shop/souk/internal/scalar"
)

func TestCountryCodesAreOfCountries(t *testing.T) {
	for _, country := range []string{"IN", "US", "DE", "GB", "XK"} {
		if got, err := scalar.UnmarshalCountryCode(country); err != nil || got != country {
			t.Errorf("%s: %q, %v", country, got, err)
		}
	}
	for _, other := range []any{"ZZ", "QO", "EU", "XX", "UK", "in", "IND", "", nil, 7} {
		if got, err := scalar.UnmarshalCountryCode(other); err == nil {
			t.Errorf("%v is taken for %q", other, got)
		}
	}
}
