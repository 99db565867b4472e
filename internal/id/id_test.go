package id_test

import (
	"errors"
	"testing"

	"github.com/souk-shop/souk/internal/id"
)

func TestIDs(t *testing.T) {
	a, b := id.New(id.Order), id.New(id.Order)
	if a == b || !id.Is(id.Order, a) || id.PrefixOf(b) != id.Order {
		t.Fatalf("New gave %s and %s", a, b)
	}
	for _, bad := range []string{"", "ord", "ord_", "ord_123", "cart_" + a[4:], a + "0", a[:len(a)-1] + "u", "ord_8ZZZZZZZZZZZZZZZZZZZZZZZZZ", "ord_" + "01jd3v2k8q5m7n9p0r1s2t3v4w"} {
		if err := id.Check(id.Order, bad, "input", "orderId"); !errors.Is(err, id.ErrMalformed) {
			t.Errorf("Check(%q) = %v, want ErrMalformed", bad, err)
		}
	}
	if err := id.Check(id.Order, a); err != nil {
		t.Error(err)
	}
}

func TestRanges(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		r := id.Range(id.Reservation)
		for _, n := range []int{0, 1, 31, 32, id.RangeSize - 1} {
			whole := r + id.Tail(n)
			if of, tail := id.Split(whole); !id.Is(id.Reservation, whole) || of != r || tail != id.Tail(n) || seen[whole] {
				t.Fatalf("%s, %s, %s", whole, of, tail)
			}
			seen[whole] = true
		}
	}
	if of, tail := id.Split("x"); of != "" || tail != "x" {
		t.Errorf("%q, %q", of, tail)
	}
}
