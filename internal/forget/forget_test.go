package forget_test

import (
	"context"
	"errors"
	"testing"

	"github.com/souk-shop/souk/internal/forget"
)

func TestLotsEndWithTheFirstThatIsNotFull(t *testing.T) {
	left, asked := int64(2500), 0
	n, err := forget.Lots(t.Context(), func(_ context.Context, most int32) (int64, error) {
		asked++
		took := min(left, int64(most))
		left -= took
		return took, nil
	})
	if n != 2500 || left != 0 || asked != 3 || err != nil {
		t.Errorf("%d removed in %d lots, %d left, %v", n, asked, left, err)
	}
}

// Of a table of any size each page is looked at in one round, and a page where that fails is looked at again.
func TestARoundPassesOverNoPage(t *testing.T) {
	for _, size := range []int64{0, 1, 59, 60, 61, 640, 100_000} {
		var round forget.Round
		seen, failed := make([]int, size), false
		for range forget.Parts + 1 {
			if _, err := round.Part(t.Context(), func(context.Context) (int64, error) { return size, nil }, func(_ context.Context, from, to int64) (int64, error) {
				if to <= from || to-from > 64 {
					t.Fatalf("pages %d to %d at once", from, to)
				}
				if from > 0 && !failed {
					failed = true
					return 0, errors.New("no answer")
				}
				for p := from; p < min(to, size); p++ {
					seen[p]++
				}
				return 0, nil
			}); err != nil && size == 0 {
				t.Fatal(err)
			}
		}
		for p, n := range seen {
			if n == 0 {
				t.Errorf("page %d of %d is never looked at", p, size)
			}
		}
	}
}
