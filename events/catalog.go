package events

import (
	"time"

	"github.com/souk-shop/souk/internal/call"
	"github.com/souk-shop/souk/internal/money"
)

// SubjectProductSaved is where ProductSaved is told.
const SubjectProductSaved = "souk.event.catalog.product_saved"

// ProductSaved is a whole product as it is at a version. An archived one is told with its status.
type ProductSaved struct {
	At
	ProductID   string      `json:"productId"`
	Version     int         `json:"version"`
	Status      string      `json:"status"` // DRAFT, ACTIVE, ARCHIVED
	SellerID    string      `json:"sellerId"`
	Slug        string      `json:"slug"`
	Title       string      `json:"title"`
	Description string      `json:"description"`
	Brand       string      `json:"brand,omitempty"`
	Categories  []Category  `json:"categories"` // from the top of the tree down to the product's own
	Attributes  []Attribute `json:"attributes"`
	Variants    []Variant   `json:"variants"`
	Thumbnail   string      `json:"thumbnail,omitempty"`
	CreatedAt   time.Time   `json:"createdAt"`
}

// Category is one step of a product's path in the tree.
type Category struct {
	ID   string `json:"id"`
	Slug string `json:"slug"`
	Name string `json:"name"`
}

// Attribute is something known of a product.
type Attribute struct {
	Key   string `json:"key"`
	Label string `json:"label"`
	Value string `json:"value"`
	Unit  string `json:"unit,omitempty"`
}

// Variant is what can be bought of a product.
type Variant struct {
	ID          string      `json:"id"`
	SKU         string      `json:"sku"`
	Title       string      `json:"title"`
	Price       money.Money `json:"price"`
	WeightGrams int         `json:"weightGrams"`
}

// VariantsByID tells what can be said of variants right now; unknown ids are left out.
var VariantsByID = call.New[VariantsRequest, VariantsReply]("souk.call.catalog.variants")

// VariantsRequest names variants, at most 500.
type VariantsRequest struct {
	IDs []string `json:"ids"`
}

// VariantsReply has the variants found, in any order.
type VariantsReply struct {
	Variants []VariantInfo `json:"variants"`
}

// VariantInfo is a variant with what others need to know of its product.
type VariantInfo struct {
	Variant
	ProductID    string `json:"productId"`
	ProductTitle string `json:"productTitle"`
	SellerID     string `json:"sellerId"`
	ForSale      bool   `json:"forSale"` // the product is ACTIVE
}
