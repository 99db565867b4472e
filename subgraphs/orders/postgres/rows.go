package postgres

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/subgraphs/orders"
	"github.com/souk-shop/souk/subgraphs/orders/postgres/internal/db"
)

func order(r db.Order, lines []db.OrderLine) (orders.Order, error) {
	o := orders.Order{
		ID: r.ID, Serial: r.Serial, Version: int(r.Version), AccountID: r.AccountID, CartID: r.CartID, CartVersion: int(r.CartVersion),
		Status: orders.Status(r.Status), CancelReason: (*orders.CancelReason)(r.CancelReason),
		Total:     money.Money{Amount: r.Amount, Currency: r.Currency},
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(), PlacedAt: utc(r.PlacedAt), Deadline: r.Deadline.UTC(),
		Saga: orders.Saga{
			Hold: orders.Hold{ReservationID: r.ReservationID, BookingID: r.BookingID}, PaymentMethodID: r.PaymentMethodID, PaymentID: r.PaymentID,
			PaymentVersion: int(r.PaymentVersion), PaymentStatus: r.PaymentStatus, RedirectURL: r.RedirectUrl, DeclineCode: r.DeclineCode,
			Committing: r.Committing, Cancelling: orders.CancelReason(r.Cancelling), Parcelled: r.Parcelled, StockSettled: r.StockSettled, PaymentSettled: r.PaymentSettled,
		},
	}
	if err := json.Unmarshal(r.Address, &o.Address); err != nil {
		return o, fmt.Errorf("address of order %s: %w", r.ID, err)
	}
	for _, l := range lines {
		o.Lines = append(o.Lines, orders.Line{
			ID: l.ID, OrderID: l.OrderID, VariantID: l.VariantID, ProductID: l.ProductID, SellerID: l.SellerID,
			Title: l.Title, Quantity: int(l.Quantity), UnitPrice: money.Money{Amount: l.UnitAmount, Currency: r.Currency},
		})
	}
	return o, nil
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

func attempt(r db.Checkout) (orders.Attempt, error) {
	a := orders.Attempt{AccountID: r.AccountID, Key: r.Key, InputHash: r.InputHash, OrderID: r.OrderID, Decision: orders.Decision(r.Decision)}
	if r.Problems != nil {
		var problems []events.CartProblem
		if err := json.Unmarshal(r.Problems, &problems); err != nil {
			return a, fmt.Errorf("problems of checkout %s: %w", r.OrderID, err)
		}
		a.Problems = problems
	}
	return a, nil
}
