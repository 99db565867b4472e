package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/souk-shop/souk/frontends"
)

const (
	bookingPrice = "9.90"
	payers       = 4  // at the tills at once
	payTries     = 5  // of one step at the till
	mostTries    = 50 // of one account, when it is told to come again or hears nothing
)

const bookUnit = `mutation BookUnit($input: FlashSaleBookInput!) { flashSaleBook(input: $input) {
	result { kind: __typename
		... on FlashSaleBooking { id status expiresAt unitPrice { amount currencyCode } }
		... on FlashSaleSoldOut { held final retryAfter }
		... on FlashSaleAlreadyBooked { booking { id } }
		... on FlashSaleThrottled { pollAfter } }
	live { status remaining held sold seq }
	userErrors { code message } } }`

// bookAnswer is what the graph says to who wants a unit, in data or in errors.
type bookAnswer struct {
	Data struct {
		FlashSaleBook *struct {
			Result *struct {
				Kind      string
				ID        string
				Held      int
				Final     bool
				PollAfter time.Time
				Booking   struct{ ID string }
			}
			UserErrors []struct{ Code, Message string }
		}
	}
	Errors []struct {
		Message    string
		Extensions struct {
			Code      string
			PollAfter time.Time
		}
	}
}

// outcome names what came of asking, in the schema's words: the type of the result, or else the code of the refusal.
func (a *bookAnswer) outcome() string {
	switch b := a.Data.FlashSaleBook; {
	case len(a.Errors) > 0:
		return a.Errors[0].Extensions.Code
	case b == nil:
		return "NOTHING"
	case len(b.UserErrors) > 0:
		return b.UserErrors[0].Code
	case b.Result == nil:
		return "NOTHING"
	default:
		return b.Result.Kind
	}
}

const (
	gotUnit     = "FlashSaleBooking"
	gotNone     = "FlashSaleSoldOut"
	gotAlready  = "FlashSaleAlreadyBooked"
	gotTold     = "FlashSaleThrottled" // when to come again
	overBudget  = "THROTTLED"          // the same, of the gateway
	heardNone   = "NO_ANSWER"          // the connection broke: whether it was carried out nobody knows
	serverError = "HTTP_5XX"
)

// final tells whether an account that hears this has no more to ask.
func final(outcome string) bool {
	return outcome == gotUnit || outcome == gotNone || outcome == gotAlready || outcome == "NOT_OPEN"
}

// A crowd is all who want a unit. Its counters may be read while it is at it.
type crowd struct {
	*bazaar
	client  *http.Client
	url     string
	sale    string
	people  []person
	callers int
	units   int
	pay     float64
	notes   *history

	began    time.Time
	next     atomic.Int64 // the next to ask
	asking   atomic.Int64
	answered atomic.Int64 // accounts that have a final answer
	booked   atomic.Int64
	paid     atomic.Int64
	soldOut  atomic.Int64 // ns from the start until the last unit was booked
	all      time.Duration

	mu       sync.Mutex
	took     []time.Duration // of the answers that gave a unit
	others   []time.Duration // of all other answers
	outcomes map[string]int  // of answers, not accounts
	samples  map[string]string
	tills    []time.Duration
	payable  chan booking
}

// A booking is a unit that somebody got.
type booking struct {
	person
	id string
}

func newCrowd(m *bazaar, sale string, c flashSaleCommand, notes *history) *crowd {
	return &crowd{
		bazaar: m, url: m.base + "/graphql", sale: sale, people: m.people, callers: c.Callers, units: c.Units, pay: c.Pay, notes: notes,
		client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
			MaxIdleConnsPerHost: c.Callers + 2*payers, DisableCompression: true,
		}},
		outcomes: map[string]int{}, samples: map[string]string{}, payable: make(chan booking, len(m.people)),
	}
}

func (c *crowd) close() { c.client.CloseIdleConnections() }

// rush lets everybody ask, so many at once and the first of them in the same moment, until each has a final answer.
func (c *crowd) rush(ctx context.Context) error {
	tills, tillsCtx := errgroup.WithContext(ctx)
	g, ctx := errgroup.WithContext(ctx)
	for range payers {
		tills.Go(func() error { return c.till(tillsCtx) })
	}
	start := make(chan struct{})
	for range c.callers {
		g.Go(func() error {
			<-start
			for {
				n := int(c.next.Add(1)) - 1
				if n >= len(c.people) {
					return nil
				}
				if err := c.want(ctx, c.people[n]); err != nil {
					return err
				}
			}
		})
	}
	c.began = time.Now()
	close(start)
	err := g.Wait()
	c.all = time.Since(c.began)
	close(c.payable)
	if err != nil {
		tills.Wait()
		return err
	}
	return tills.Wait()
}

// want asks for a unit until there is a final answer, always under the same key.
func (c *crowd) want(ctx context.Context, who person) error {
	key := newKey()
	for range mostTries {
		began := time.Now()
		c.asking.Add(1)
		outcome, id, again := c.ask(ctx, who, key)
		c.asking.Add(-1)
		took := time.Since(began)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.notes.saw(operation{Account: who.account, Kind: "book", Key: key, Asked: began, Answered: began.Add(took), Outcome: outcome, Booking: id})
		c.count(outcome, took)
		if final(outcome) {
			c.answered.Add(1)
			if outcome != gotUnit {
				return nil
			}
			if c.booked.Add(1) == int64(c.units) {
				c.soldOut.Store(int64(time.Since(c.began)))
			}
			if rand.Float64() < c.pay {
				c.payable <- booking{who, id}
			}
			return nil
		}
		if err := pause(ctx, max(time.Until(again), time.Millisecond)); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s has no final answer after %d tries; last ones: %v", who.account, mostTries, c.samples)
}

func (c *crowd) count(outcome string, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outcomes[outcome]++
	if outcome == gotUnit {
		c.took = append(c.took, took)
	} else {
		c.others = append(c.others, took)
	}
}

// ask books once, and says how that went and, when it is not over, when to ask again.
func (c *crowd) ask(ctx context.Context, who person, key string) (outcome, id string, again time.Time) {
	status, text, err := c.send(ctx, who.token, bookUnit, values{"input": values{"saleId": c.sale, "idempotencyKey": key}})
	again = time.Now().Add(50 * time.Millisecond)
	switch {
	case err != nil:
		c.sample(heardNone, err.Error())
		return heardNone, "", again
	case status >= 500:
		c.sample(serverError, strconv.Itoa(status)+" "+string(text))
		return serverError, "", again
	}
	var a bookAnswer
	if err := json.Unmarshal(text, &a); err != nil {
		c.sample("UNREADABLE", string(text))
		return "UNREADABLE", "", again
	}
	outcome = a.outcome()
	switch outcome {
	case gotUnit:
		id = a.Data.FlashSaleBook.Result.ID
	case gotAlready:
		id = a.Data.FlashSaleBook.Result.Booking.ID
	case gotTold:
		again = a.Data.FlashSaleBook.Result.PollAfter
	case overBudget:
		again = a.Errors[0].Extensions.PollAfter
	case gotNone:
	default:
		c.sample(outcome, string(text))
	}
	return outcome, id, again
}

// sample keeps the first answer of each kind that should not have come.
func (c *crowd) sample(outcome, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.samples[outcome] == "" {
		c.samples[outcome] = text[:min(len(text), 500)]
	}
}

func (c *crowd) send(ctx context.Context, token, query string, variables any) (status int, answer []byte, err error) {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return 0, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/graphql-response+json")
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := c.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(res.Body)
	return res.StatusCode, answer, err
}

// till takes those to the checkout who are to pay.
func (c *crowd) till(ctx context.Context) error {
	for b := range c.payable {
		began := time.Now()
		err := c.buy(ctx, b)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		outcome := "PLACED"
		if err != nil {
			outcome = "FAILED"
			c.sample("CHECKOUT", err.Error())
		}
		c.notes.saw(operation{Account: b.account, Kind: "pay", Asked: began, Answered: time.Now(), Outcome: outcome, Booking: b.id})
		c.mu.Lock()
		c.outcomes["checkout "+outcome]++
		if err == nil {
			c.tills = append(c.tills, time.Since(began))
			c.paid.Add(1)
		}
		c.mu.Unlock()
	}
	return nil
}

// buy gives an account an address and a card, and checks its booking out.
func (c *crowd) buy(ctx context.Context, b booking) error {
	var got struct {
		AddressSave struct {
			Account struct{ Addresses []struct{ ID string } }
		}
		PaymentMethodAdd struct{ PaymentMethod struct{ ID string } }
		CheckoutComplete struct {
			Result struct {
				Typename string `json:"__typename"`
			}
		}
	}
	key := newKey()
	for _, step := range []struct {
		operation string
		input     func() values
	}{
		{"web/AddressSave", func() values {
			return values{"name": "Ann", "line1": "1 Market Street", "city": "Bloomington", "region": "MN", "pincode": "55425", "country": "US"}
		}},
		{"web/PaymentMethodAdd", func() values { return values{"token": "tok_4242"} }},
		{"web/Checkout", func() values {
			return values{
				"bookingId": b.id, "addressId": got.AddressSave.Account.Addresses[0].ID, "paymentMethodId": got.PaymentMethodAdd.PaymentMethod.ID,
				"expectedTotal": values{"amount": bookingPrice, "currencyCode": "USD"}, "idempotencyKey": key,
			}
		}},
	} {
		var text []byte
		var err error
		for range payTries { // under the same key, as who heard nothing would
			var status int
			status, text, err = c.send(ctx, b.token, frontends.Operation(step.operation), values{"input": step.input()})
			if err == nil && (status != http.StatusOK || !bytes.Contains(text, []byte(`"userErrors":[]`)) || bytes.Contains(text, stillAsked)) {
				err = fmt.Errorf("%d %.500s", status, text)
			}
			if err == nil || pause(ctx, time.Second) != nil {
				break
			}
		}
		if err == nil {
			err = json.Unmarshal(text, &struct{ Data any }{&got})
		}
		if err != nil {
			return fmt.Errorf("%s: %w", step.operation, err)
		}
	}
	if kind := got.CheckoutComplete.Result.Typename; kind != "CheckoutPlaced" {
		return fmt.Errorf("the checkout ended with %s", kind)
	}
	return nil
}

// stillAsked is in the answer while the bank is asked, which the till does not wait for longer than a person would.
var stillAsked = []byte(`"CheckoutActionRequired"`)

// A tally is how a crowd stands.
type tally struct {
	answered, booked, paid, asking, yet int
	outcomes                            map[string]int
	booking                             timings
}

func (c *crowd) tally() tally {
	c.mu.Lock()
	t := tally{outcomes: map[string]int{}, booking: timings{took: slices.Clone(c.took)}}
	for k, n := range c.outcomes {
		t.outcomes[k] = n
	}
	c.mu.Unlock()
	slices.Sort(t.booking.took)
	t.answered, t.booked, t.paid, t.asking = int(c.answered.Load()), int(c.booked.Load()), int(c.paid.Load()), int(c.asking.Load())
	t.yet = max(0, len(c.people)-int(c.next.Load()))
	return t
}
