package postal_test

import (
	"testing"

	"github.com/souk-shop/souk/internal/postal"
)

func TestCode(t *testing.T) {
	for text, want := range map[string]string{
		"10003": "10003", " sw1a 1aa ": "SW1A 1AA", "100": "100", "12345-6789": "12345-6789", "560001": "560001",
		"": "", "1": "", "12": "", "12345678901": "", "-123": "", "123 ": "123", "12\x003": "", "١٢٣٤٥": "", "56*": "", "1\n23": "",
	} {
		code, ok := postal.Code(text)
		if ok != (want != "") || ok && code != want {
			t.Errorf("%q: %q, %v", text, code, ok)
		}
	}
}
