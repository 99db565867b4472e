package graph_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/subgraphs/logistics"
)

// An order is shipped or stopped, never both, whoever of many is first; and the first decision stands.
func TestShippedOrStoppedNeverBoth(t *testing.T) {
	s := setup(t)
	l := logistics.New(s.store, s.others, s.desk, s.clock)
	for range 20 {
		s.others.order.OrderID = id.New(id.Order)
		for i := range s.others.order.Lines {
			s.others.order.Lines[i].LineID = id.New(id.OrderLine)
		}
		var wg sync.WaitGroup
		var shipped, refused, stopped, late atomic.Int32
		for i := range 3 {
			wg.Go(func() {
				switch made, raw := s.ship(s.seller, s.parcel(fmt.Sprintf("parcel-%d-of-%s", i, s.others.order.OrderID), 1)); {
				case made != "":
					shipped.Add(1)
				case strings.Contains(raw, `"WRONG_STATE"`):
					refused.Add(1)
				default:
					t.Error(raw)
				}
			})
			wg.Go(func() {
				switch done, err := l.Stop(t.Context(), s.others.order.OrderID); {
				case err != nil:
					t.Error(err)
				case done:
					stopped.Add(1)
				default:
					late.Add(1)
				}
			})
		}
		wg.Wait()
		if got := fmt.Sprint(shipped.Load(), refused.Load(), stopped.Load(), late.Load()); got != "3 0 0 3" && got != "0 3 3 0" {
			t.Errorf("shipped, refused, stopped, too late to stop: %s", got)
		}
	}
	if _, err := l.Stop(t.Context(), "ord_1"); err == nil {
		t.Error("a malformed id was stopped")
	}
}
