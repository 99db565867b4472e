package postgres_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/souk-shop/souk/internal/id"
)

// What was sold comes back where it came from, once, however many ask for it at once.
func TestASaleIsUndoneOnce(t *testing.T) {
	for _, alone := range []bool{true, false} {
		t.Run(fmt.Sprintf("alone %v", alone), func(t *testing.T) {
			s := setup(t)
			a, b := s.warehouse("BLR-1"), s.warehouse("DEL-1")
			v := s.stocked(3, a, b)
			sold := s.held(lines(5, v)...) // from both
			if _, err := s.inv.Restock(t.Context(), ref(sold)); code(err) != "HOLD_HELD" {
				t.Error("what was not sold came back:", err)
			}
			if _, err := s.inv.Commit(t.Context(), ref(sold)); err != nil {
				t.Fatal(err)
			}
			s.want(v, 1, 0)
			times := 1
			if !alone {
				times = 16
			}
			var wg sync.WaitGroup
			for range times {
				wg.Go(func() {
					if r, err := s.inv.Restock(t.Context(), ref(sold)); err != nil || r.Status != "RESTOCKED" {
						t.Error(r, err)
					}
				})
				wg.Go(func() { // a late repetition, by a process that never heard the answer
					if _, err := s.inv.Commit(t.Context(), ref(sold)); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			s.want(v, 6, 0)
			levels, err := s.store.LevelsOf(t.Context(), []string{v})
			if err != nil || len(levels[v]) != 2 || levels[v][0].OnHand != 3 || levels[v][1].OnHand != 3 {
				t.Errorf("%+v, %v", levels, err)
			}
			if _, err := s.inv.Release(t.Context(), ref(sold)); code(err) != "HOLD_COMMITTED" {
				t.Error("units came back twice:", err)
			}
			if got := s.held(lines(6, v)...); got == "" { // all of it can be had again
				t.Error("what came back cannot be held")
			}
			s.sound()
		})
	}
}

// Of what ended without a sale there is nothing to put back.
func TestNothingComesBackOfWhatWasNotSold(t *testing.T) {
	s := setup(t)
	v := s.stocked(3, s.warehouse("BLR-1"))
	back := s.held(lines(2, v)...)
	if _, err := s.inv.Release(t.Context(), ref(back)); err != nil {
		t.Fatal(err)
	}
	if r, err := s.inv.Restock(t.Context(), ref(back)); err != nil || r.Status != "RELEASED" {
		t.Error(r, err)
	}
	if _, err := s.inv.Restock(t.Context(), ref(id.New(id.Reservation))); code(err) != "NOT_FOUND" {
		t.Error(err)
	}
	s.want(v, 3, 0)
	s.sound()
}
