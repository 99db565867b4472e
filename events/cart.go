package events

import (
	"github.com/souk-shop/souk/internal/call"
	"github.com/souk-shop/souk/internal/money"
)

// CartForCheckout reads an account's cart at the prices of now, with whatever stands against buying it.
// NOT_FOUND when there is no such cart, or it is another's.
var CartForCheckout = call.New[CartRequest, CartSnapshot]("souk.call.cart.checkout")

// CartRequest names a cart and who wants to buy it.
type CartRequest struct {
	CartID    string `json:"cartId"`
	AccountID string `json:"accountId"`
}

// CartSnapshot is a cart at a version and at the prices of now.
type CartSnapshot struct {
	CartID   string        `json:"cartId"`
	Version  int           `json:"version"`
	Lines    []CartLine    `json:"lines"`
	Total    money.Money   `json:"total"`
	Problems []CartProblem `json:"problems"` // stock is not among them: holding it decides
}

// CartLine is one kind of goods in a cart.
type CartLine struct {
	LineID      string      `json:"lineId"`
	VariantID   string      `json:"variantId"`
	ProductID   string      `json:"productId"`
	SellerID    string      `json:"sellerId"`
	Title       string      `json:"title"`
	Quantity    int         `json:"quantity"`
	UnitPrice   money.Money `json:"unitPrice"`
	WeightGrams int         `json:"weightGrams"`
}

// CartProblem is a reason why a cart cannot be bought, as the graph's CartProblem tells it.
type CartProblem struct {
	Code              string `json:"code"`
	Message           string `json:"message"`
	LineID            string `json:"lineId,omitempty"`
	AvailableQuantity *int   `json:"availableQuantity,omitempty"`
}
