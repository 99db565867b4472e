package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	shop "github.com/souk-shop/souk/clients/souk"
	"github.com/souk-shop/souk/demo"
	"github.com/souk-shop/souk/frontends"
)

// addresses gives every buyer one.
func (s *seeding) addresses(ctx context.Context) error {
	return each(ctx, s.Buyers, func(ctx context.Context, b demo.Buyer) error {
		have, err := s.account(ctx, b.Email)
		if err == nil && len(have.Addresses) == 0 {
			_, err = mutate[struct{}](ctx, s.who(b.Email), "web/AddressSave", values{"input": b.Address})
		}
		return err
	})
}

// paymentMethods gives every buyer a card that is good.
func (s *seeding) paymentMethods(ctx context.Context) error {
	return each(ctx, s.Buyers, func(ctx context.Context, b demo.Buyer) error {
		have, err := s.account(ctx, b.Email)
		if err == nil && len(have.PaymentMethods) == 0 {
			_, err = mutate[struct{}](ctx, s.who(b.Email), "web/PaymentMethodAdd", values{"input": values{"token": "tok_4242", "default": true}})
		}
		return err
	})
}

// An account is what a buyer needs at checkout.
type account struct {
	Addresses      []struct{ ID string }
	PaymentMethods []struct{ ID string }
	Cart           *demoCart
}

func (s *seeding) account(ctx context.Context, email string) (account, error) {
	answer, err := shop.Do[struct{ Me account }](ctx, s.who(email), frontends.Operation("web/Me"), nil)
	return answer.Me, err
}

// A purchase is an order of the demo, and how far it goes.
type purchase struct {
	skus    []string
	arrives bool
	reviews bool // everything in it
}

// purchases has the buyers order, receive and review. Reviews are real: only who received something may write one.
func (s *seeding) purchases(ctx context.Context) error {
	return each(ctx, s.Buyers, func(ctx context.Context, b demo.Buyer) error {
		if err := s.purchasesOf(ctx, b.Email); err != nil {
			return fmt.Errorf("orders of %s: %w", b.Email, err)
		}
		return nil
	})
}

func (s *seeding) purchasesOf(ctx context.Context, email string) error {
	wanted := s.wanted(email)
	orders, err := s.orders(ctx, email)
	if err != nil {
		return err
	}
	have, err := s.account(ctx, email)
	if err != nil {
		return err
	}
	if email == customer {
		s.name("address:customer", have.Addresses[0].ID)
		s.name("method:customer", have.PaymentMethods[0].ID)
	}
	for n, p := range wanted {
		if n >= len(orders) {
			if err := s.buy(ctx, email, have, p.skus); err != nil {
				return err
			}
			if orders, err = s.orders(ctx, email); err != nil {
				return err
			}
		}
		order := orders[n]
		if p.arrives {
			if order, err = s.receive(ctx, email, have, p, order); err != nil {
				return err
			}
		}
		if p.reviews {
			if err := s.review(ctx, email, p.skus); err != nil {
				return err
			}
		}
		if email == customer {
			s.name(fmt.Sprintf("order:%d", n+1), order.ID)
			s.name(fmt.Sprintf("orderLine:%d", n+1), order.Lines[0].ID)
		}
	}
	return nil
}

// receive waits until an order is delivered. A parcel that was on its way when the shop was killed is never heard of again, since
// the fake courier forgets: then the goods are bought once more.
func (s *seeding) receive(ctx context.Context, email string, with account, p purchase, o demoOrder) (demoOrder, error) {
	for again := false; ; again = true {
		if o.Status == "PLACED" {
			if err := s.ship(ctx, o); err != nil {
				return o, err
			}
		}
		err := s.await(ctx, email, o.ID, "DELIVERED")
		if again || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return o, err
		}
		if err := s.buy(ctx, email, with, p.skus); err != nil {
			return o, err
		}
		orders, err := s.orders(ctx, email)
		if err != nil {
			return o, err
		}
		o = orders[len(orders)-1]
	}
}

// wanted says what somebody buys. The customer has something to review, something that staff can still send off, and
// something to cancel.
func (s *seeding) wanted(email string) []purchase {
	if email == customer {
		return []purchase{
			{skus: []string{"LAMP-LANTERN-SMALL", "BOOK-BAZAAR-PAPERBACK", "TEA-MINT"}, arrives: true},
			{skus: []string{"PHONE-GALAXY-A-BLUEBLACK"}},
			{skus: []string{"TEA-ASSAM-125G"}},
		}
	}
	var skus []string
	who := slices.IndexFunc(s.Buyers, func(b demo.Buyer) bool { return b.Email == email })
	for n, p := range s.Products {
		if p.Stock > 5 && (n+who)%3 != 0 { // nobody buys what is nearly gone
			skus = append(skus, p.Variants[(n+who)%len(p.Variants)].SKU)
		}
	}
	return []purchase{{skus: skus, arrives: true, reviews: true}}
}

type demoOrder struct {
	ID, Status string
	Lines      []struct {
		ID       string
		Quantity int
	}
}

// orders returns somebody's orders, oldest first.
func (s *seeding) orders(ctx context.Context, email string) ([]demoOrder, error) {
	answer, err := shop.Do[struct {
		Me struct{ Orders struct{ Nodes []demoOrder } }
	}](ctx, s.who(email), frontends.Operation("web/MyOrders"), nil)
	found := answer.Me.Orders.Nodes
	slices.Reverse(found)
	return found, err
}

// buy puts one of each in the cart, pays, and waits until the cart has heard of it: what is bought next is added to the rest.
func (s *seeding) buy(ctx context.Context, email string, with account, skus []string) error {
	cart, err := s.pay(ctx, email, with, skus)
	if err != nil {
		return err
	}
	return within(ctx, 30*time.Second, "the cart keeps what was bought", func(ctx context.Context) (bool, error) {
		has, err := s.account(ctx, email)
		return has.Cart == nil || has.Cart.ID != cart.ID || has.Cart.TotalQuantity < cart.TotalQuantity, err
	})
}

// pay orders one of each, and returns the cart that was bought.
func (s *seeding) pay(ctx context.Context, email string, with account, skus []string) (demoCart, error) {
	cart, err := s.cart(ctx, s.who(email), skus)
	if err != nil {
		return cart, err
	}
	bought, err := mutate[struct {
		Result struct {
			Typename string `json:"__typename"`
			Order    struct{ ID string }
			Problems []struct{ Code, Message string }
		}
	}](ctx, s.who(email), "web/Checkout", values{"input": values{
		"cartId": cart.ID, "addressId": with.Addresses[0].ID, "paymentMethodId": with.PaymentMethods[0].ID,
		"expectedTotal": cart.Cost.Total, "idempotencyKey": "demo-" + rand.Text(),
	}})
	switch r := bought.Result; {
	case err != nil:
		return cart, err
	case r.Typename == "CheckoutPlaced":
		return cart, nil
	case r.Typename == "CheckoutActionRequired":
		return cart, s.await(ctx, email, r.Order.ID, "PLACED")
	default:
		return cart, fmt.Errorf("%s %v", r.Typename, r.Problems)
	}
}

type demoCart struct {
	ID            string
	TotalQuantity int
	Cost          struct{ Total values }
}

func (s *seeding) cart(ctx context.Context, c *shop.Client, skus []string) (demoCart, error) {
	var lines []values
	for _, sku := range skus {
		lines = append(lines, values{"variantId": s.id("variant:" + sku), "quantity": 1})
	}
	made, err := mutate[struct{ Cart demoCart }](ctx, c, "web/GuestCart", values{"lines": lines})
	return made.Cart, err
}

// guestCart is one that the examples claim and buy.
func (s *seeding) guestCart(ctx context.Context) error {
	cart, err := s.cart(ctx, s.graph, []string{"LAMP-HERON-BRASS", "TEA-ASSAM-125G"})
	if err != nil {
		return err
	}
	s.name("cart:guest", cart.ID)
	s.name("total:guest", fmt.Sprint(cart.Cost.Total["amount"]))
	return nil
}

// claimed notes which cart a guest's becomes part of when the customer claims it.
func (s *seeding) claimed(ctx context.Context) error {
	have, err := s.account(ctx, customer)
	if err != nil {
		return err
	}
	s.name("cart:claimed", s.id("cart:guest"))
	if have.Cart != nil {
		s.name("cart:claimed", have.Cart.ID)
	}
	return nil
}

const courierName = "kite"

// ship hands all of an order to a courier.
func (s *seeding) ship(ctx context.Context, o demoOrder) error {
	var lines []values
	for _, l := range o.Lines {
		lines = append(lines, values{"orderLineId": l.ID, "quantity": l.Quantity})
	}
	_, err := mutate[struct{}](ctx, s.who(staff), "seller/ShipmentCreate", values{"input": values{
		"orderId": o.ID, "warehouseId": s.id("warehouse:" + s.Warehouses[0].Code), "lines": lines, "courier": courierName,
		"idempotencyKey": "demo-" + o.ID,
	}})
	return err
}

// await listens to an order until it has a status, however often that is too much for the caller's budget.
func (s *seeding) await(ctx context.Context, email, orderID, status string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		err := s.listen(ctx, email, orderID, status)
		if shop.Code(err) != "THROTTLED" || pause(ctx, time.Second) != nil {
			return err
		}
	}
}

func (s *seeding) listen(ctx context.Context, email, orderID, status string) error {
	updates, err := shop.Subscribe[struct {
		OrderUpdated struct{ Status string }
	}](ctx, s.who(email), frontends.Operation("web/OrderUpdated"), values{"id": orderID})
	if err != nil {
		return err
	}
	last := ""
	for u, err := range updates {
		if err != nil {
			return fmt.Errorf("order %s, last seen %s: %w", orderID, last, err)
		}
		if last = u.OrderUpdated.Status; last == status {
			return nil
		}
	}
	return fmt.Errorf("order %s ended as %s, not as %s", orderID, last, status)
}

// review says what somebody thinks of everything they received.
func (s *seeding) review(ctx context.Context, email string, skus []string) error {
	who := slices.IndexFunc(s.Buyers, func(b demo.Buyer) bool { return b.Email == email })
	return each(ctx, skus, func(ctx context.Context, sku string) error {
		n := slices.IndexFunc(s.Products, func(p demo.Product) bool {
			return slices.ContainsFunc(p.Variants, func(v demo.Variant) bool { return v.SKU == sku })
		})
		p := s.Products[n]
		thinks := s.Opinions[p.Family][(n+who)%len(s.Opinions[p.Family])]
		return within(ctx, 30*time.Second, "reviews do not hear of deliveries", func(ctx context.Context) (bool, error) {
			_, err := mutate[struct{}](ctx, s.who(email), "web/ReviewSave", values{"input": values{
				"productId": s.id("product:" + p.ID), "rating": thinks.Stars, "title": thinks.Title, "body": thinks.Body,
			}})
			if shop.Code(err) == "NOT_PURCHASED" { // the news of the delivery is still on its way
				return false, nil
			}
			if err != nil {
				return false, err
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.reviews++
			return true, nil
		})
	})
}
