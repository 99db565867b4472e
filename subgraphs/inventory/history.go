package inventory

import (
	"context"

	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
)

const mostMovements = 1000

// History lists a variant's movements behind a seq, oldest first, for its seller and staff.
func (inv *Inventory) History(ctx context.Context, who viewer.Viewer, variantID string, afterSeq int64, first int) ([]Movement, error) {
	if err := id.Check(id.Variant, variantID, "variantId"); err != nil {
		return nil, err
	}
	if afterSeq < 0 {
		return nil, invalid("afterSeq is 0 or above").At("afterSeq")
	}
	if first < 1 || first > mostMovements {
		return nil, invalid("first must be from 1 to %d", mostMovements).At("first")
	}
	mine, err := inv.Mine(ctx, who, []string{variantID})
	if err != nil {
		return nil, err
	}
	if !mine[variantID] {
		return nil, ErrNoVariant.At("variantId")
	}
	return inv.store.Movements(ctx, variantID, afterSeq, first)
}
