package postgres

import (
	"context"

	"github.com/souk-shop/souk/subgraphs/inventory"
)

// Audit compares the ledger with the levels, the sums and the reservations, and says where they disagree: nothing, as
// long as the constraints are in place. It reads everything, as of one moment, and locks nothing.
func (s *Store) Audit(ctx context.Context) ([]string, error) { return s.q.Audit(ctx) }

// A PoolMove is what the ledger says of units that went to a flash sale, or came back, under one key.
type PoolMove struct {
	PoolID    string
	VariantID string
	Kind      inventory.Kind // Allot or Return
	Key       string
	Quantity  int
}

// PoolMoves lists everything that went to flash sales and came back.
func (s *Store) PoolMoves(ctx context.Context) ([]PoolMove, error) {
	rows, err := s.q.PoolMoves(ctx)
	moves := make([]PoolMove, len(rows))
	for i, r := range rows {
		moves[i] = PoolMove{r.PoolID, r.VariantID, inventory.Kind(r.Kind), r.Key, int(r.Quantity)}
	}
	return moves, err
}
