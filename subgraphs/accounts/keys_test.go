package accounts_test

import (
	"slices"
	"testing"
	"time"

	"github.com/souk-shop/souk/subgraphs/accounts"
)

// A year of turning the keys every minute: verifiers always know the key that signs, and every token can be checked while it lives.
func TestKeysTurn(t *testing.T) {
	t.Parallel()
	const lead, life = 5 * time.Minute, 10 * time.Minute
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var ring accounts.Keyring
	published := map[int]time.Time{}
	signed := map[int]time.Time{} // when a generation signed last
	most := 0
	for now := start; now.Before(start.AddDate(1, 0, 0)); now = now.Add(time.Minute) {
		if k, due := ring.Due(now); due {
			if len(ring) > 0 && k.Generation != ring[len(ring)-1].Generation+1 {
				t.Fatalf("generation %d follows %d", k.Generation, ring[len(ring)-1].Generation)
			}
			ring = append(ring, k)
			published[k.Generation] = now
		}
		oldest := ring.Oldest(now)
		ring = slices.DeleteFunc(ring, func(k accounts.SigningKey) bool { return k.Generation < oldest })
		k, ok := ring.Signing(now)
		if !ok {
			t.Fatalf("%v: nothing signs", now)
		}
		if k.Generation > 1 && now.Sub(published[k.Generation]) < lead {
			t.Fatalf("%v: generation %d signs before verifiers know it", now, k.Generation)
		}
		signed[k.Generation] = now
		for generation, last := range signed {
			known := slices.ContainsFunc(ring, func(k accounts.SigningKey) bool { return k.Generation == generation })
			if !known && now.Sub(last) < life {
				t.Fatalf("%v: generation %d is gone, its last token lives", now, generation)
			}
		}
		most = max(most, len(ring))
	}
	if len(signed) != 13 || most != 2 {
		t.Errorf("%d keys signed in a year, at most %d were kept at once", len(signed), most)
	}
}
