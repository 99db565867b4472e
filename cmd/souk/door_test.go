package main

import (
	"bytes"
	"strings"
	"testing"
)

// Keys for different things differ, though one secret is behind them, and a secret that comes after another stays good.
func TestFlashSaleSecrets(t *testing.T) {
	t.Parallel()
	old, next := strings.Repeat("o", 32), strings.Repeat("n", 32)
	keys := func(purpose, secrets string) [][]byte {
		t.Helper()
		c := config{func(name string) string {
			return map[string]string{"SOUK_FLASHSALE_SECRETS": secrets, "SOUK_PASSPORT_KEY": old}[name]
		}}
		ks, err := c.flashSaleSecrets(purpose)
		if err != nil {
			t.Fatal(err)
		}
		return ks
	}
	derived, turned := keys("challenges", ""), keys("challenges", next+", "+old)
	if len(derived) != 1 || len(turned) != 2 || !bytes.Equal(derived[0], turned[1]) || bytes.Equal(turned[0], turned[1]) {
		t.Errorf("%x %x", derived, turned)
	}
	if bytes.Equal(derived[0], keys("admissions", "")[0]) || bytes.Equal(derived[0], []byte(old)) {
		t.Error("one key for two things")
	}
	if _, err := (config{func(string) string { return "short" }}).flashSaleSecrets("challenges"); err == nil {
		t.Error("a short secret")
	}
}
