package events

import (
	"strings"

	"github.com/souk-shop/souk/internal/call"
	"github.com/souk-shop/souk/internal/money"
)

// SubjectOrderChanged is where OrderChanged is told, whatever the order became.
const SubjectOrderChanged = "souk.event.orders.order_changed.*"

// OrderBecame is where OrderChanged is told of orders in a status, so that who cares for the placed need not hear of all others.
func OrderBecame(status string) string {
	return "souk.event.orders.order_changed." + strings.ToLower(status)
}

// OrderChanged is an order as it is at a version. It is told when the order is created and after every change.
type OrderChanged struct {
	At
	OrderID      string      `json:"orderId"`
	Version      int         `json:"version"`
	Number       string      `json:"number"`
	Status       string      `json:"status"`                 // CREATED, PLACED, PARTIALLY_SHIPPED, SHIPPED, DELIVERED, CANCELLED
	CancelReason string      `json:"cancelReason,omitempty"` // as the graph's CancelReason, of a cancelled order
	AccountID    string      `json:"accountId"`
	CartID       string      `json:"cartId"` // "" when a booking was bought
	CartVersion  int         `json:"cartVersion"`
	BookingID    string      `json:"bookingId,omitempty"`
	Lines        []OrderLine `json:"lines"`
	Total        money.Money `json:"total"`
	Address      Address     `json:"address"`
}

// OrderLine is one kind of goods in an order.
type OrderLine struct {
	LineID    string `json:"lineId"`
	VariantID string `json:"variantId"`
	ProductID string `json:"productId"`
	SellerID  string `json:"sellerId"`
	Title     string `json:"title"`
	Quantity  int    `json:"quantity"`
}

// OrderByID tells how an order stands now; NOT_FOUND when there is none.
var OrderByID = call.New[OrderRequest, OrderChanged]("souk.call.orders.order")

// OrderRequest names an order.
type OrderRequest struct {
	OrderID string `json:"orderId"`
}
