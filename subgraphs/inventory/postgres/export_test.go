package postgres

import (
	"context"
	"time"

	"github.com/souk-shop/souk/subgraphs/inventory"
)

// EndTogether ends holds in one transaction, as callers who meet do.
func (s *Store) EndTogether(ctx context.Context, reservationIDs []string, to inventory.Status, at time.Time) ([]inventory.Status, error) {
	calls := make([]endCall, len(reservationIDs))
	for i, r := range reservationIDs {
		calls[i] = endCall{r, to, at}
	}
	return s.end(ctx, calls, at)
}
