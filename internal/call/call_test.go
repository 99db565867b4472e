package call_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/souk-shop/souk/internal/call"
	"github.com/souk-shop/souk/internal/fault"
)

type number struct{ N int }

var double = call.New[number, number]("souk.call.maths.double")

func TestLocalCarriesCallsAndFaults(t *testing.T) {
	t.Parallel()
	tooLarge := fault.New(fault.Invalid, "TOO_LARGE", "too large")
	maths := call.Local(double.Handle(func(_ context.Context, n number) (number, error) {
		if n.N > 100 {
			return number{}, tooLarge
		}
		return number{2 * n.N}, nil
	}))
	if got, err := double.Do(t.Context(), maths, number{21}); err != nil || got.N != 42 {
		t.Fatalf("%v, %v", got, err)
	}
	if _, err := double.Do(t.Context(), maths, number{101}); !errors.Is(err, tooLarge) {
		t.Fatalf("%v", err)
	}
	_, err := double.Do(t.Context(), call.Local(), number{1})
	if !errors.Is(err, call.ErrDown) || !strings.Contains(err.Error(), "maths") {
		t.Fatalf("%v", err)
	}
}

func TestSubjectsThatAreNoCalls(t *testing.T) {
	t.Parallel()
	for _, subject := range []string{"", "call.maths.double", "souk.event.maths.double", "souk.call.maths", "souk.call..double", "souk.call.maths.double.twice"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q was accepted", subject)
				}
			}()
			call.New[number, number](subject)
		}()
	}
}
