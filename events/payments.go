package events

import (
	"time"

	"github.com/souk-shop/souk/internal/call"
	"github.com/souk-shop/souk/internal/money"
)

// SubjectPaymentChanged is where PaymentChanged is told.
const SubjectPaymentChanged = "souk.event.payments.payment_changed"

// PaymentChanged is a payment as it is at a version.
type PaymentChanged struct {
	At
	Payment
}

// Payment is one try to pay an order.
type Payment struct {
	PaymentID   string      `json:"paymentId"`
	Version     int         `json:"version"`
	OrderID     string      `json:"orderId"`
	AccountID   string      `json:"accountId"`
	Status      string      `json:"status"` // as the graph's PaymentStatus
	Amount      money.Money `json:"amount"`
	Captured    money.Money `json:"captured"`
	Refunded    money.Money `json:"refunded"`
	DeclineCode string      `json:"declineCode,omitempty"`
	RedirectURL string      `json:"redirectUrl,omitempty"` // while ACTION_REQUIRED
}

// AuthorizePayment asks the provider to promise the money. It waits for the answer as long as a buyer would (about two seconds),
// then answers PENDING; what the provider says later is told as PaymentChanged. The same key gives the same payment.
// NOT_FOUND when the method is not the account's; IDEMPOTENCY_CONFLICT when the key was used with other input.
var AuthorizePayment = call.New[AuthorizeRequest, Payment]("souk.call.payments.authorize")

// AuthorizeRequest says who pays how much, with what, until when.
type AuthorizeRequest struct {
	IdempotencyKey  string      `json:"idempotencyKey"`
	OrderID         string      `json:"orderId"`
	AccountID       string      `json:"accountId"`
	PaymentMethodID string      `json:"paymentMethodId"`
	Amount          money.Money `json:"amount"`
	ExpiresAt       time.Time   `json:"expiresAt"`
}

// CapturePayment takes the money of an authorised payment. Only the saga of a PLACED order may ask. Capturing what is captured
// changes nothing; WRONG_STATE (Conflict) when the payment cannot be captured any more.
var CapturePayment = call.New[PaymentRequest, Payment]("souk.call.payments.capture")

// AbandonPayments makes sure no money is kept for an order: what is authorised is voided, what is captured refunded, what is
// undecided given up (TIMED_OUT or VOIDED), and what the provider says of it later undone the same way, by payments alone.
var AbandonPayments = call.New[AbandonRequest, AbandonReply]("souk.call.payments.abandon")

// PaymentRequest names a payment.
type PaymentRequest struct {
	PaymentID string `json:"paymentId"`
}

// AbandonRequest names an order that will not be paid, and why.
type AbandonRequest struct {
	OrderID  string `json:"orderId"`
	TimedOut bool   `json:"timedOut"` // an undecided payment ends as TIMED_OUT
}

// AbandonReply has the order's payments as they are now.
type AbandonReply struct {
	Payments []Payment `json:"payments"`
}

// CheckPaymentMethod answers when the account may pay with this method; NOT_FOUND when it may not.
var CheckPaymentMethod = call.New[PaymentMethodRequest, PaymentMethodReply]("souk.call.payments.method")

// PaymentMethodRequest names a method and whose it should be.
type PaymentMethodRequest struct {
	AccountID       string `json:"accountId"`
	PaymentMethodID string `json:"paymentMethodId"`
}

// PaymentMethodReply describes the method for people.
type PaymentMethodReply struct {
	Label string `json:"label"`
}
