// Package nats is what accounts answer other subgraphs.
package nats

import (
	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/call"
	"github.com/souk-shop/souk/subgraphs/accounts"
)

// Calls lists the questions with who answers them.
func Calls(a *accounts.Accounts) []call.Endpoint {
	return []call.Endpoint{events.AddressOf.Handle(a.AddressOf), events.SellerByID.Handle(a.SellerInfo)}
}
