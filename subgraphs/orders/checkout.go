package orders

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/call"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/viewer"
)

// The refusals of a checkout. What stands against buying the cart is not among them: that is an outcome.
var (
	ErrUnauthenticated = fault.New(fault.Unauthenticated, "UNAUTHENTICATED", "sign in first")
	ErrKey             = fault.New(fault.Invalid, "INVALID", "an idempotency key has 8 to 128 characters").At("input", "idempotencyKey")
	ErrConflict        = fault.New(fault.Conflict, "IDEMPOTENCY_CONFLICT", "this key was used before with other input").At("input", "idempotencyKey")
	ErrOne             = fault.New(fault.Invalid, "INVALID", "buy either a cart or a booking").At("input")
	ErrEmpty           = fault.New(fault.Invalid, "INVALID", "the cart is empty").At("input", "cartId")
	ErrAlreadyOrdered  = fault.New(fault.Conflict, "ALREADY_ORDERED", "this cart was ordered already").At("input", "cartId")
	ErrBookingOrdered  = ErrAlreadyOrdered.Says("this booking was ordered already").At("input", "bookingId")
	ErrDecided         = errors.New("the checkout was decided meanwhile")
)

// holdGrace is how much longer the stock is held than the order waits: the order decides, the end of the hold only backs it up.
const holdGrace = time.Minute

// firstLook is when the saga looks at an order by itself, should the process that took it die.
const firstLook = 5 * time.Second

// An Input is a wish to buy a cart, or what is booked.
type Input struct {
	CartID          string      `json:"cartId"`
	BookingID       string      `json:"bookingId,omitempty"` // so that the hashes of carts stay what they were
	AddressID       string      `json:"addressId"`
	PaymentMethodID string      `json:"paymentMethodId"`
	ExpectedTotal   money.Money `json:"expectedTotal"`
	Key             string      `json:"-"`
}

// An Attempt is a checkout under its key. The same key always names the same order.
type Attempt struct {
	AccountID string
	Key       string
	InputHash []byte
	OrderID   string
	Decision  Decision
	Problems  []events.CartProblem // why it was rejected
}

// A Decision is how an attempt went.
type Decision string

// The decisions of a checkout. The first one stands, whoever makes it.
const (
	Undecided Decision = ""
	Ordered   Decision = "ORDERED"
	Rejected  Decision = "REJECTED"
)

// An Outcome is what comes of a checkout: an order, or problems.
type Outcome struct {
	Order    *Order
	Problems []events.CartProblem
}

// A Checkout takes orders and brings them to their end. It asks the other subgraphs over the bus.
type Checkout struct {
	store  Store
	bus    call.Carrier
	clock  clock.Clock
	expiry time.Duration
}

// NewCheckout returns a checkout whose orders wait so long for their payment.
func NewCheckout(s Store, bus call.Carrier, c clock.Clock, expiry time.Duration) *Checkout {
	return &Checkout{s, bus, c, expiry}
}

// Complete buys a cart, or what is booked. It may be called again with the same key, at once or years later, and gives the same answer.
func (c *Checkout) Complete(ctx context.Context, who viewer.Viewer, in Input) (Outcome, error) {
	if err := check(who, in); err != nil {
		return Outcome{}, err
	}
	hash, err := hashOf(in)
	if err != nil {
		return Outcome{}, err
	}
	attempt, err := c.store.Claim(ctx, Attempt{AccountID: who.AccountID, Key: in.Key, InputHash: hash, OrderID: id.New(id.Order)})
	if err != nil {
		return Outcome{}, err
	}
	if string(attempt.InputHash) != string(hash) {
		return Outcome{}, ErrConflict
	}
	var created Order
	if attempt.Decision == Undecided {
		if attempt, created, err = c.decide(ctx, who, in, attempt); err != nil {
			return Outcome{}, err
		}
	}
	if attempt.Decision == Rejected {
		return Outcome{Problems: attempt.Problems}, nil
	}
	if created.ID != "" {
		return outcome(c.advance(ctx, created))
	}
	return outcome(c.Advance(ctx, attempt.OrderID))
}

func check(who viewer.Viewer, in Input) error {
	switch {
	case !who.SignedIn():
		return ErrUnauthenticated
	case len(in.Key) < 8 || len(in.Key) > 128:
		return ErrKey
	case (in.CartID == "") == (in.BookingID == ""):
		return ErrOne
	}
	what := struct {
		kind         id.Prefix
		value, field string
	}{id.Cart, in.CartID, "cartId"}
	if in.BookingID != "" {
		what.kind, what.value, what.field = id.Booking, in.BookingID, "bookingId"
	}
	for _, c := range []struct {
		kind         id.Prefix
		value, field string
	}{what, {id.Address, in.AddressID, "addressId"}, {id.PaymentMethod, in.PaymentMethodID, "paymentMethodId"}} {
		if err := id.Check(c.kind, c.value, "input", c.field); err != nil {
			return err
		}
	}
	return nil
}

func hashOf(in Input) ([]byte, error) {
	b, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	return sum[:], nil
}

// decide holds the stock and creates the order, or rejects the checkout. Two calls with one key may both come here: the hold
// is the same by its key, and the database lets one decision stand. The order is returned to the one that created it.
func (c *Checkout) decide(ctx context.Context, who viewer.Viewer, in Input, a Attempt) (_ Attempt, created Order, err error) {
	cart, address, problems, err := c.survey(ctx, who, in)
	if err != nil {
		return a, created, err
	}
	if len(problems) > 0 {
		a, err = c.store.Reject(ctx, a, problems)
		return a, created, err
	}
	held, deadline, short, err := c.hold(ctx, in, a.OrderID, who.AccountID, cart)
	if err != nil {
		return a, created, err
	}
	if len(short) > 0 {
		a, err = c.store.Reject(ctx, a, shortages(cart, short))
		return a, created, err
	}
	created, err = c.store.Create(ctx, a, newOrder(c.clock.Now(), deadline, who, in, a, cart, address, held))
	if err == nil {
		a.Decision = Ordered
		return a, created, nil
	}
	if errors.Is(err, ErrDecided) { // by another call with the same key
		decided, claimErr := c.store.Claim(ctx, a)
		if claimErr != nil || decided.Decision == Ordered {
			return decided, Order{}, claimErr
		}
		if decided.Decision == Undecided { // the key was forgotten this moment, and is claimed anew, with the same order and hold
			return c.decide(ctx, who, in, decided)
		}
		a, err = decided, nil
	}
	if err != nil && held.BookingID != "" { // the same key may go on with it; another unit may not be to be had
		return a, Order{}, err
	}
	// Nobody will order what is held: give it back now rather than when the hold ends.
	if releaseErr := held.release(ctx, c, a.OrderID); releaseErr != nil {
		err = errors.Join(err, fmt.Errorf("release: %w", releaseErr))
	}
	return a, Order{}, err
}

func newOrder(now, deadline time.Time, who viewer.Viewer, in Input, a Attempt, cart events.CartSnapshot, to events.Address, held Hold) Order {
	o := Order{
		ID: a.OrderID, AccountID: who.AccountID, CartID: cart.CartID, CartVersion: cart.Version, Status: Created, Total: cart.Total,
		Address:   Address{to.Name, to.Line1, to.Line2, to.City, to.Region, to.Pincode, to.Country, to.Phone},
		CreatedAt: now, UpdatedAt: now, Deadline: deadline,
		Saga: Saga{Hold: held, PaymentMethodID: in.PaymentMethodID},
	}
	for _, l := range cart.Lines {
		o.Lines = append(o.Lines, Line{
			ID: id.New(id.OrderLine), OrderID: o.ID, VariantID: l.VariantID, ProductID: l.ProductID, SellerID: l.SellerID,
			Title: l.Title, Quantity: l.Quantity, UnitPrice: l.UnitPrice,
		})
	}
	o.step(now, "STOCK_HELD", "The stock is held for this order.")
	o.step(now, "CREATED", "The order waits for its payment.")
	later := now.Add(firstLook)
	o.wake = &later
	return o
}

// survey reads everything a checkout depends on and lists what stands against it.
func (c *Checkout) survey(ctx context.Context, who viewer.Viewer, in Input) (events.CartSnapshot, events.Address, []events.CartProblem, error) {
	cart, err := c.wanted(ctx, who.AccountID, in)
	if err != nil {
		return cart, events.Address{}, nil, err
	}
	to, err := events.AddressOf.Do(ctx, c.bus, events.AddressRequest{AccountID: who.AccountID, AddressID: in.AddressID})
	if err != nil {
		return cart, to, nil, blame(err, "addressId")
	}
	if _, err := events.CheckPaymentMethod.Do(ctx, c.bus, events.PaymentMethodRequest{AccountID: who.AccountID, PaymentMethodID: in.PaymentMethodID}); err != nil {
		return cart, to, nil, blame(err, "paymentMethodId")
	}
	reach, err := events.Serviceable.Do(ctx, c.bus, events.ServiceableRequest{Pincode: to.Pincode, Country: to.Country})
	if err != nil {
		return cart, to, nil, fmt.Errorf("serviceability: %w", err)
	}
	problems := cart.Problems
	if len(reach.Couriers) == 0 {
		problems = append(problems, events.CartProblem{Code: "NOT_DELIVERABLE", Message: fmt.Sprintf("No courier goes to %s.", to.Pincode)})
	}
	if cart.Total != in.ExpectedTotal {
		problems = append(problems, events.CartProblem{Code: "PRICE_CHANGED", Message: fmt.Sprintf("The total is %s now.", cart.Total)})
	}
	return cart, to, problems, nil
}

// blame makes the refusal of another subgraph point at our input.
func blame(err error, field string) error {
	if e, ok := fault.ForUser(err); ok {
		return e.At("input", field)
	}
	return err
}

func holdLines(cart events.CartSnapshot) []events.HoldLine {
	lines := make([]events.HoldLine, len(cart.Lines))
	for i, l := range cart.Lines {
		lines[i] = events.HoldLine{VariantID: l.VariantID, Quantity: l.Quantity}
	}
	return lines
}

func shortages(cart events.CartSnapshot, short []events.Shortage) []events.CartProblem {
	var problems []events.CartProblem
	for _, s := range short {
		for _, l := range cart.Lines {
			if l.VariantID != s.VariantID {
				continue
			}
			p := events.CartProblem{Code: "NOT_ENOUGH_STOCK", Message: fmt.Sprintf("Only %d of %s can be had.", s.Available, l.Title), LineID: l.LineID, AvailableQuantity: &s.Available}
			if s.Available == 0 {
				p.Message = l.Title + " is sold out."
			}
			problems = append(problems, p)
		}
	}
	return problems
}

// outcome says how an order stands that went as far as it goes without waiting. That a later step could not be
// reached is no error here: the order exists, and the saga goes on by itself.
func outcome(o Order, err error) (Outcome, error) {
	if o.ID == "" {
		return Outcome{}, err
	}
	if o.Status == Cancelled && *o.CancelReason == OutOfStock && o.PlacedAt == nil {
		return Outcome{Problems: []events.CartProblem{{Code: "OUT_OF_STOCK", Message: "The stock was gone before it could be committed."}}}, nil
	}
	return Outcome{Order: &o}, nil
}
