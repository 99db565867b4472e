// Package catalog knows what the shop offers: products in variants, the tree they hang in, their pictures, and the feeds
// that bring them by the thousand.
package catalog

import (
	"context"
	"errors"
	"time"

	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/viewer"
)

// Catalog is what buyers, sellers and staff can do with the shop's offer.
type Catalog struct {
	Tree    // reads of categories, which everybody may see
	store   Store
	blobs   Blobs
	sellers Sellers
	feeds   Feeds
	clock   clock.Clock
}

// New returns the catalogue kept in a store.
func New(s Store, b Blobs, sellers Sellers, f Feeds, c clock.Clock) *Catalog {
	return &Catalog{Tree: s, store: s, blobs: b, sellers: sellers, feeds: f, clock: c}
}

// now is to the millisecond, which is what the store keeps.
func (c *Catalog) now() time.Time { return c.clock.Now().Truncate(time.Millisecond) }

// A Tree answers questions about categories. Rows come in any order; unknown ids are left out.
type Tree interface {
	CategoriesByID(ctx context.Context, ids []string) ([]Category, error)
	CategoriesBySlug(ctx context.Context, slugs []string) ([]Category, error)
	// ChildrenOf finds what is directly below each category, by name; "" asks for the top of the tree.
	ChildrenOf(ctx context.Context, ids []string) (map[string][]Category, error)
	// ProductCounts counts active products in and below each category; one that has none may be left out.
	ProductCounts(ctx context.Context, ids []string) ([]ProductCount, error)
}

// A Store keeps the catalogue. Reads return rows in any order and leave unknown keys out.
type Store interface {
	Tree
	ProductStore
	CategoryStore
	UploadStore
	BulkStore
}

// A ProductStore keeps products, and with each the promise to tell of its last change.
type ProductStore interface {
	ProductsByID(ctx context.Context, ids []string) ([]Product, error)
	ProductsBySlug(ctx context.Context, slugs []string) ([]Product, error)
	ProductsBySKU(ctx context.Context, skus []string) ([]Product, error)           // those that have one of the SKUs now
	ProductsByVariant(ctx context.Context, variantIDs []string) ([]Product, error) // those that have, or had, one of the variants
	ProductsOfSeller(ctx context.Context, sellerID string, externalIDs []string) ([]Product, error)
	// WriteProducts makes each change alone: what it returns at n is what became of the n-th. That is nil, ErrMoved,
	// ErrSlugTaken, ErrExternalIDTaken or a *TakenSKU. A change and the promise to tell of it are one atomic write.
	WriteProducts(ctx context.Context, changes []Change) ([]error, error)

	// Untold returns products whose last change nobody was told of yet, the longest waiting first.
	Untold(ctx context.Context, limit int) ([]Untold, error)
	// Told forgets these promises and no others: a product that changed meanwhile stays untold.
	Told(ctx context.Context, told []Untold) error
	// Changed is readable when this process has written something untold since it was last read.
	Changed() <-chan struct{}
}

// A Change replaces a product, or adds it.
type Change struct {
	From  int     // the version it replaces; 0 adds a product
	After Product // as it shall be
	Event string  // id of the event that tells of it
}

// An Untold is a product with the event that nobody was told of yet.
type Untold struct {
	Event   string
	Since   time.Time
	Product Product
}

// How a store refuses a write. Callers of the catalogue never see these.
var (
	ErrMoved           = errors.New("the product has another version")
	ErrSlugTaken       = errors.New("another product or category has this slug")
	ErrExternalIDTaken = errors.New("another product of the seller has this external id")
	ErrNameTaken       = errors.New("the parent has a category of this name")
)

// TakenSKU is the refusal of a SKU that another product has.
type TakenSKU struct{ SKU string }

// Error names the SKU.
func (t *TakenSKU) Error() string { return "another product has SKU " + t.SKU }

// The refusals of the catalogue.
var (
	ErrNotFound        = fault.New(fault.NotFound, "NOT_FOUND", "there is no such thing")
	ErrNotOwner        = fault.New(fault.Conflict, "NOT_OWNER", "this product belongs to another seller")
	ErrSKUTaken        = fault.New(fault.Conflict, "SKU_TAKEN", "another product has this SKU")
	ErrStale           = fault.New(fault.Conflict, "STALE_VERSION", "the product has moved on since; read it again")
	ErrTooLarge        = fault.New(fault.Invalid, "TOO_LARGE", "more than may be")
	ErrNotProfessional = fault.New(fault.Conflict, "NOT_PROFESSIONAL", "only professional sellers import in bulk")
	ErrKeyReused       = fault.New(fault.Conflict, "IDEMPOTENCY_CONFLICT", "this key was used before with other input").At("input", "idempotencyKey")
	ErrContended       = fault.New(fault.Unavailable, "CONTENDED", "too many changes at once; try again")

	errInvalid = fault.New(fault.Invalid, "INVALID", "")
)

func invalid(format string, args ...any) *fault.Error { return errInvalid.Says(format, args...) }

// seller returns whom the viewer sells as.
func seller(who viewer.Viewer) (string, error) {
	switch {
	case !who.SignedIn():
		return "", fault.New(fault.Unauthenticated, "UNAUTHENTICATED", "sign in first")
	case who.SellerID == "":
		return "", fault.New(fault.Forbidden, "FORBIDDEN", "only sellers may do this")
	}
	return who.SellerID, nil
}
