package psp_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/clients/psp"
)

func TestSignatures(t *testing.T) {
	secret, body, now := []byte("secret"), []byte(`{"id":"1"}`), time.Unix(1_700_000_000, 0)
	good := psp.Sign(secret, body, now)
	if want := "t=1700000000,v1="; !strings.HasPrefix(good, want) || len(good) != len(want)+64 {
		t.Error(good)
	}
	for name, c := range map[string]struct {
		secret, body []byte
		header       string
		at           time.Time
		ok           bool
	}{
		"good":               {secret, body, good, now, true},
		"late, within 5 min": {secret, body, good, now.Add(5 * time.Minute), true},
		"too late":           {secret, body, good, now.Add(5*time.Minute + time.Second), false},
		"too early":          {secret, body, good, now.Add(-6 * time.Minute), false},
		"another secret":     {[]byte("other"), body, good, now, false},
		"no secret":          {nil, body, psp.Sign(nil, body, now), now, false},
		"another body":       {secret, []byte(`{"id":"2"}`), good, now, false},
		"another time":       {secret, body, strings.Replace(good, "t=1700000000", "t=1700000001", 1), now, false},
		"two, one good":      {secret, body, "t=1700000000,v1=00," + good[len("t=1700000000,"):], now, true},
		"nothing":            {secret, body, "", now, false},
		"no time":            {secret, body, good[len("t=1700000000,"):], now, false},
		"cut off":            {secret, body, good[:len(good)-2], now, false},
		"not hex":            {secret, body, "t=1700000000,v1=zz", now, false},
		"huge time":          {secret, body, "t=99999999999999999999,v1=00", now, false},
	} {
		err := psp.Verify(c.secret, c.header, c.body, c.at)
		if c.ok && err != nil || !c.ok && !errors.Is(err, psp.ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
