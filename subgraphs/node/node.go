// Package node knows of any id what it names. It keeps nothing: the subgraph that owns the thing knows the rest.
package node

import (
	"strconv"

	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
)

// Most is how many ids one question may have.
const Most = 250

// types is what the ids of each prefix name. Ids of things that are reached through others only, such as order lines, are
// not among them.
var types = map[id.Prefix]string{
	id.Account:       "Account",
	id.Seller:        "Seller",
	id.Product:       "Product",
	id.Variant:       "ProductVariant",
	id.Category:      "Category",
	id.BulkOperation: "BulkOperation",
	id.Warehouse:     "Warehouse",
	id.Reservation:   "Reservation",
	id.Cart:          "Cart",
	id.Order:         "Order",
	id.Payment:       "Payment",
	id.PaymentMethod: "PaymentMethod",
	id.Review:        "Review",
	id.Shipment:      "Shipment",
	id.FlashSale:     "FlashSale",
	id.Booking:       "FlashSaleBooking",
}

// ErrTooMany says that a question has more ids than are answered at a time.
var ErrTooMany = fault.New(fault.Invalid, "INVALID", "at most 250 ids").At("ids")

// TypeOf returns the type of whatever has this id. An id of no such type is refused, naming the field.
func TypeOf(s string, field ...string) (string, error) {
	if name, ok := types[id.PrefixOf(s)]; ok {
		return name, nil
	}
	return "", id.ErrMalformed.Says("%.40q is not an id of anything that can be fetched by its id", s).At(field...)
}

// A Named is an id with the type of what it names, or with the reason why there is none.
type Named struct {
	ID   string
	Type string
	Err  error
}

// TypesOf names what many ids name, in their order.
func TypesOf(ids []string) ([]Named, error) {
	if len(ids) > Most {
		return nil, ErrTooMany.Says("at most %d ids, not %d", Most, len(ids))
	}
	named := make([]Named, len(ids))
	for i, s := range ids {
		name, err := TypeOf(s, "ids", strconv.Itoa(i))
		named[i] = Named{s, name, err}
	}
	return named, nil
}
