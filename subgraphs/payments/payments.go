// Package payments moves the money of orders: has it promised, takes it, lets it go and gives it back.
//
// What the provider says arrives as an answer, as a webhook or from somebody's hand, once or several times, in any order.
// All of it goes through one function, Payment.learn, so it does not matter which was first. What the shop wants of the provider is
// written down before it is asked (an Operation), so that another process can go on where one died. No transaction is open
// while the provider is asked.
package payments

import (
	"context"
	"time"

	"github.com/souk-shop/souk/clients/psp"
	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/viewer"
)

// A Status is where a payment stands.
type Status string

// The states of a payment.
const (
	Pending           Status = "PENDING"
	ActionRequired    Status = "ACTION_REQUIRED"
	Authorized        Status = "AUTHORIZED"
	Captured          Status = "CAPTURED"
	PartiallyRefunded Status = "PARTIALLY_REFUNDED"
	Refunded          Status = "REFUNDED"
	Voided            Status = "VOIDED"
	Failed            Status = "FAILED"
	TimedOut          Status = "TIMED_OUT"
)

// A Payment is one try to pay an order.
type Payment struct {
	ID          string // also the key under which the provider knows it
	Version     int
	OrderID     string
	AccountID   string
	MethodID    string
	Token       string // of the method
	Provider    string
	Reference   string // the provider's own id, "" before it answered
	Status      Status
	Amount      money.Money // what is asked for
	Authorized  money.Money
	Captured    money.Money
	Refunded    money.Money
	Released    bool   // the provider let the promise go
	Abandoned   bool   // no money may be kept for its order
	DeclineCode string // why the provider refused
	RedirectURL string // while ACTION_REQUIRED
	ExpiresAt   time.Time
	CreatedAt   time.Time
	UpdatedAt   time.Time

	Operations   []Operation   // those that are open; known while the payment is changed
	Transactions []Transaction // known while the payment is changed

	news news
}

// Key returns the payment's id.
func (p Payment) Key() string { return p.ID }

// IsEntity lets other subgraphs refer to payments.
func (Payment) IsEntity() {}

// VisibleTo tells whether somebody may see the payment: who pays, and staff.
func (p Payment) VisibleTo(who viewer.Viewer) bool {
	return who.Is(p.AccountID) || who.Staff() || who.Has(viewer.ScopePayments)
}

// Visible returns those of the payments that somebody may see.
func Visible(who viewer.Viewer, found []Payment) []Payment {
	seen := []Payment{}
	for _, p := range found {
		if p.VisibleTo(who) {
			seen = append(seen, p)
		}
	}
	return seen
}

// Tell is the payment as other subgraphs see it.
func (p Payment) Tell() events.Payment {
	return events.Payment{
		PaymentID: p.ID, Version: p.Version, OrderID: p.OrderID, AccountID: p.AccountID, Status: string(p.Status),
		Amount: p.Amount, Captured: p.Captured, Refunded: p.Refunded, DeclineCode: p.DeclineCode, RedirectURL: p.RedirectURL,
	}
}

// A Kind is what can be done with money.
type Kind = psp.Kind

// A Transaction is one move of money, or a try. It never changes.
type Transaction struct {
	ID        string
	PaymentID string
	Kind      Kind
	Amount    money.Money
	Success   bool
	Reference string // the provider's own id for it
	Operation string // the key under which it was asked for, ours or the provider's; "" when nobody says
	At        time.Time

	Told bool // an event of the provider's stands for it; known while the payment is changed
}

// An Operation is something that the shop wants of the provider, from the moment it is decided until the provider has
// answered. Its id is the key of the request, so that it may be asked any number of times.
type Operation struct {
	ID        string // as the transaction that comes of it
	PaymentID string
	Kind      Kind
	Amount    money.Money
	State     State
	Undo      bool // nobody waits for it: it goes on until no money is kept
	Attempts  int
	DueAt     time.Time // when some process looks after it, unless one has done so
	Code      string    // why it was refused
}

// A State is how far an operation is.
type State string

// The states of an operation.
const (
	Open    State = "OPEN"
	Done    State = "DONE"
	Refused State = "REFUSED" // by the provider
	Dropped State = "DROPPED" // no longer wanted
)

// A Method is how an account can pay.
type Method struct {
	ID        string
	AccountID string
	Provider  string
	Token     string // the provider's; never a card number
	Kind      MethodKind
	Label     string
	Default   bool
	CreatedAt time.Time
}

// Key returns the method's id.
func (m Method) Key() string { return m.ID }

// IsEntity lets other subgraphs refer to methods.
func (Method) IsEntity() {}

// Own returns those of the methods that are somebody's own: nobody else may see them.
func Own(who viewer.Viewer, found []Method) []Method {
	var own []Method
	for _, m := range found {
		if who.Is(m.AccountID) {
			own = append(own, m)
		}
	}
	return own
}

// A MethodKind is what a method is.
type MethodKind string

// The kinds of methods.
const (
	Card       MethodKind = "CARD"
	UPI        MethodKind = "UPI"
	Wallet     MethodKind = "WALLET"
	NetBanking MethodKind = "NET_BANKING"
)

// A Reader answers questions. Rows come in any order; unknown ids are left out.
type Reader interface {
	PaymentsByID(ctx context.Context, ids []string) ([]Payment, error)
	// PaymentsOf finds the payments of orders, oldest first.
	PaymentsOf(ctx context.Context, orderIDs []string) (map[string][]Payment, error)
	// TransactionsOf finds the moves of payments, oldest first.
	TransactionsOf(ctx context.Context, paymentIDs []string) (map[string][]Transaction, error)
	MethodsByID(ctx context.Context, ids []string) ([]Method, error)
	// MethodsOf finds the methods of accounts, the default first.
	MethodsOf(ctx context.Context, accountIDs []string) (map[string][]Method, error)
}

// A Store also keeps and changes things. It calls rules with payments that nobody else can change meanwhile, and
// saves what they change together with its moves, its entries in the ledger, its operations and its event.
type Store interface {
	Reader
	// AddMethod keeps a method, or returns the one the account has of this token. The first one of an account is its
	// default until another becomes it. It refuses with ErrTooMany beyond limit.
	AddMethod(ctx context.Context, m Method, limit int) (Method, error)
	// Begin keeps a new payment under a key, or returns the one of the key; begun tells which. It refuses with
	// ErrKeyReused when the key was used with other input, with ErrMethod when the account has no such method, and
	// with ErrBeingPaid while another payment of the order is alive.
	Begin(ctx context.Context, p Payment, key Once, rule func(*Payment, Order)) (_ Payment, begun bool, err error)
	// Change lets a rule change a payment. ErrNotFound when there is none.
	Change(ctx context.Context, paymentID string, rule func(*Payment) error) (Payment, error)
	// ChangeOnce is Change under a key: it returns the operation that the rule asked for, or the one that the key
	// asked for already. It refuses with ErrKeyReused when the key was used with other input.
	ChangeOnce(ctx context.Context, paymentID string, key Once, rule func(*Payment) (Operation, error)) (Payment, Operation, error)
	// Abandon notes that no money may be kept for an order, now or later, and lets a rule change its payments.
	Abandon(ctx context.Context, orderID string, timedOut bool, at time.Time, rule func(*Payment) error) ([]Payment, error)
	// Report keeps what a provider said, and lets a rule change the payment that it is about. It counts once, as it was told
	// first; as long as it cannot, it is due again.
	Report(ctx context.Context, r Report, again time.Time, rule func(*Payment, Report) (Verdict, error)) (Reported, error)

	// TakeOperations finds up to most open operations that are due, and makes them due again later.
	TakeOperations(ctx context.Context, now, again time.Time, most int) ([]Operation, error)
	// TakeReports finds up to most reports that did not count yet and are due, and makes them due again later.
	TakeReports(ctx context.Context, now, again time.Time, most int) ([]Report, error)
	// OperationByID finds an operation, open or not.
	OperationByID(ctx context.Context, id string) (Operation, error)
	// Audit compares the payments with the ledger, and says where they disagree.
	Audit(ctx context.Context) ([]string, error)
}

// An Order is what is known of one: whether it was abandoned, and how.
type Order struct {
	Abandoned bool
	TimedOut  bool
}

// A Once makes a request that is repeated have the effect of one.
type Once struct {
	Caller string
	Key    string
	Input  []byte // a hash
}

// The refusals.
var (
	ErrUnauthenticated = fault.New(fault.Unauthenticated, "UNAUTHENTICATED", "sign in first")
	ErrNotFound        = fault.New(fault.NotFound, "NOT_FOUND", "there is no such payment")
	ErrMethod          = fault.New(fault.NotFound, "NOT_FOUND", "there is no such payment method, or it is not yours").At("paymentMethodId")
	ErrState           = fault.New(fault.Conflict, "WRONG_STATE", "the payment is in a state that does not allow it")
	ErrBeingPaid       = fault.New(fault.Conflict, "WRONG_STATE", "the order is being paid already")
	ErrTooLarge        = fault.New(fault.Conflict, "AMOUNT_TOO_LARGE", "more than is there").At("input", "amount")
	ErrAmount          = fault.New(fault.Invalid, "INVALID", "an amount is more than nothing, in the currency of the payment").At("input", "amount")
	ErrDeclined        = fault.New(fault.Conflict, "DECLINED", "the provider refused")
	ErrKeyReused       = fault.New(fault.Conflict, "IDEMPOTENCY_CONFLICT", "this key was used before with other input")
	ErrKey             = fault.New(fault.Invalid, "INVALID", "an idempotency key has 1 to 128 characters")
	ErrWaiting         = fault.New(fault.Unavailable, "PROVIDER_SLOW", "the provider has not answered yet; ask again")
)
