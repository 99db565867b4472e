package typesense

import (
	"math/rand/v2"
	"testing"
)

// edits is the Damerau-Levenshtein distance computed the slow way.
func edits(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}

// TestLikeAgainstBruteForce checks that the trie walk finds exactly the terms at each distance.
func TestLikeAgainstBruteForce(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	word := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = "abcd"[r.IntN(4)]
		}
		return string(b)
	}
	d := newDictionary()
	for range 3000 { // more than maxFresh, so that both parts are in use
		d.intern(word(1 + r.IntN(9)))
	}
	for range 60 {
		q := word(3 + r.IntN(6))
		for cost := 0; cost <= maxEdits; cost++ {
			for _, prefix := range []bool{false, true} {
				got := map[string]int{}
				d.like(q, cost, prefix, func(tm *term) { got[tm.text]++ })
				for _, tm := range d.byID {
					want := edits(q, tm.text)
					for n := 0; prefix && n <= len(tm.text); n++ {
						want = min(want, edits(q, tm.text[:n]))
					}
					if (want == cost) != (got[tm.text] == 1) {
						t.Fatalf("%q against %q at %d, prefix %v: found %d times, distance %d", q, tm.text, cost, prefix, got[tm.text], want)
					}
				}
			}
		}
	}
}

func TestSplit(t *testing.T) {
	plain := tokenizer{}
	for _, c := range []struct {
		z    tokenizer
		in   string
		want []string
	}{
		{plain, "Over-ear headphones, 1.7l!", []string{"overear", "headphones", "17l"}},
		{plain, "Café Crème  Ångström", []string{"cafe", "creme", "angstrom"}},
		{plain, "Straße Łódź ﬁne", []string{"strasse", "lodz", "fine"}},
		{plain, "Привет МИР", []string{"привет", "мир"}},
		{plain, "a\tb\nc\u00a0d", []string{"a", "b", "c", "d"}},
		{plain, "— ! ?", nil},
		{plain, "\xff\xfebad", []string{"bad"}},
		{tokenizer{separators: "-/"}, "non-stick/pan", []string{"non", "stick", "pan"}},
		{tokenizer{symbols: "+"}, "C++ guide", []string{"c++", "guide"}},
	} {
		got := c.z.words(c.in)
		if len(got) != len(c.want) {
			t.Errorf("%q: %q", c.in, got)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%q: %q", c.in, got)
			}
		}
	}
}
