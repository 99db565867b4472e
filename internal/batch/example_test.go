package batch_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/souk-shop/souk/internal/batch"
)

// Three units are left, and everybody wants two.
func ExampleGroup() {
	errSoldOut := errors.New("sold out")
	left := map[string]int{"phone": 3}

	// One transaction for everyone who wants the same item: one read, one write, one commit.
	sell := func(_ context.Context, item string, wanted []int) ([]batch.Result[string], error) {
		results := make([]batch.Result[string], len(wanted))
		stock := left[item]
		for i, n := range wanted {
			if n > stock {
				results[i].Err = errSoldOut // this one's answer; the others' units are still theirs
				continue
			}
			stock -= n
			results[i].Value = fmt.Sprintf("%d held", n)
		}
		left[item] = stock
		return results, nil
	}

	ctx := context.Background()
	holds := batch.New(sell, batch.Config{Name: "holds"})
	for range 2 {
		fmt.Println(holds.Do(ctx, "phone", 2)) // from any number of goroutines
	}

	if err := holds.Close(ctx); err != nil {
		fmt.Println(err)
	}
	_, err := holds.Do(ctx, "phone", 1)
	var refused *batch.Refusal
	fmt.Println(errors.As(err, &refused), err)
	// Output:
	// 2 held <nil>
	//  sold out
	// true this server is shutting down, please try again in a moment
}
