package postgres

import "context"

// Audit compares the ledger with the levels, the sums and the reservations, and says where they disagree: nothing, as
// long as the constraints are in place. It reads everything, as of one moment, and locks nothing.
func (s *Store) Audit(ctx context.Context) ([]string, error) { return s.q.Audit(ctx) }
