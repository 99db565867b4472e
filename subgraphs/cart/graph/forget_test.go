package graph_test

import (
	"testing"
	"time"
)

// An order that was noted is forgotten when it is told no more.
func TestOldOrdersAreForgotten(t *testing.T) {
	s := setup(t)
	if _, err := s.pool.Exec(t.Context(), `INSERT INTO ordered (order_id, at) SELECT n, now() - CASE WHEN n % 2 = 0 THEN interval '31 days' ELSE interval '29 days' END FROM generate_series(1, 4000) n`); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int64{2000, 0} {
		if n, err := s.store.ForgetOrdered(t.Context(), time.Now().AddDate(0, 0, -30)); n != want || err != nil {
			t.Errorf("%d are forgotten, want %d, %v", n, want, err)
		}
	}
}
