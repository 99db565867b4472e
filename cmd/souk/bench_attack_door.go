package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientsouk "github.com/souk-shop/souk/clients/souk"
	"github.com/souk-shop/souk/frontends"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	"github.com/souk-shop/souk/subgraphs/flashsale/altcha"
)

// A door is a sale behind a waiting room, with those who come to it.
type door struct {
	base, sale string
	buyers     []doorBuyer
	evil       []string // the access tokens of who asks too much
	client     *http.Client
}

type doorBuyer struct{ token, address string }

const (
	benchChallenge = `query ($id: ID!) { flashSale(id: $id) { challenge { algorithm challenge maxNumber salt signature } } }`
	benchJoin      = `mutation ($i: FlashSaleJoinInput!) { flashSaleJoin(input: $i) { ticket { status admissionToken } userErrors { code } } }`
	benchTicket    = `query ($id: ID!) { flashSale(id: $id) { myTicket { status admissionToken } } }`
	benchBook      = `mutation ($i: FlashSaleBookInput!) { flashSaleBook(input: $i) { result { ... on FlashSaleBooking { id } } userErrors { code } } }`
	benchRelease   = `mutation ($i: FlashSaleReleaseInput!) { flashSaleRelease(input: $i) { booking { status } userErrors { code } } }`

	longestTurn = 10 * time.Second // until who waits is let in
	pollTurn    = 100 * time.Millisecond
)

// journey is one buyer's way from the challenge to a unit, which is given back so that it can be gone again. It returns how long each
// answer took.
func (d *door) journey(ctx context.Context, b doorBuyer) (took []time.Duration, err error) {
	ask := func(query string, v map[string]any, into any) error {
		began := time.Now()
		code, data, err := send(ctx, d.client, d.base+"/graphql", b.token, b.address, query, v)
		took = append(took, time.Since(began))
		if err == nil && code != "" {
			err = fmt.Errorf("refused: %s", code)
		}
		if err != nil {
			return err
		}
		return json.Unmarshal(data, into)
	}
	type ticket struct{ Status, AdmissionToken string }
	var set struct {
		FlashSale struct{ Challenge flashsale.Challenge }
	}
	if err := ask(benchChallenge, map[string]any{"id": d.sale}, &set); err != nil {
		return took, fmt.Errorf("challenge: %w", err)
	}
	solution, err := altcha.Solve(ctx, set.FlashSale.Challenge)
	if err != nil {
		return took, err
	}
	var joined struct{ FlashSaleJoin struct{ Ticket ticket } }
	if err := ask(benchJoin, map[string]any{"i": map[string]any{"saleId": d.sale, "solution": solution}}, &joined); err != nil {
		return took, fmt.Errorf("join: %w", err)
	}
	mine := joined.FlashSaleJoin.Ticket
	for deadline := time.Now().Add(longestTurn); mine.AdmissionToken == ""; {
		if time.Now().After(deadline) {
			return took, fmt.Errorf("still %s after %s", mine.Status, longestTurn)
		}
		select {
		case <-ctx.Done():
			return took, ctx.Err()
		case <-time.After(pollTurn):
		}
		var asked struct{ FlashSale struct{ MyTicket ticket } }
		if err := ask(benchTicket, map[string]any{"id": d.sale}, &asked); err != nil {
			return took, fmt.Errorf("ticket: %w", err)
		}
		mine = asked.FlashSale.MyTicket
	}
	var booked struct {
		FlashSaleBook struct{ Result struct{ ID string } }
	}
	if err := ask(benchBook, map[string]any{"i": map[string]any{"saleId": d.sale, "admissionToken": mine.AdmissionToken, "idempotencyKey": newKey()}}, &booked); err != nil {
		return took, fmt.Errorf("book: %w", err)
	}
	if booked.FlashSaleBook.Result.ID == "" {
		return took, fmt.Errorf("nothing was booked")
	}
	var released any
	if err := ask(benchRelease, map[string]any{"i": map[string]any{"bookingId": booked.FlashSaleBook.Result.ID}}, &released); err != nil {
		return took, fmt.Errorf("release: %w", err)
	}
	return took, nil
}

// send asks from an address and returns the data, or the code of the refusal and, of one that is for asking too much, whose budget is spent.
func send(ctx context.Context, client *http.Client, to, token, address, query string, variables map[string]any) (code string, data json.RawMessage, err error) {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return "", nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return "", nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/graphql-response+json")
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("X-Forwarded-For", address)
	res, err := client.Do(req)
	if err != nil {
		return "", nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return "", nil, err
	}
	var a struct {
		Data   json.RawMessage
		Errors []struct{ Extensions struct{ Code, Budget string } }
	}
	if err := json.Unmarshal(text, &a); err != nil || res.StatusCode >= 500 {
		return "", nil, fmt.Errorf("%s %.200s", res.Status, text)
	}
	if len(a.Errors) > 0 {
		is := a.Errors[0].Extensions
		if is.Budget != "" {
			is.Code += " by " + is.Budget
		}
		return is.Code, nil, nil
	}
	var payloads map[string]struct{ UserErrors []struct{ Code string } }
	if json.Unmarshal(a.Data, &payloads) == nil {
		for _, p := range payloads {
			if len(p.UserErrors) > 0 {
				return p.UserErrors[0].Code, nil, nil
			}
		}
	}
	return "", a.Data, nil
}

// A script asks at an even rate, whatever it is told, from one address.
type script struct {
	to        string
	perSecond int
	tokens    []string // of accounts that take turns
	sale      string
}

const (
	scriptWorkers = 32
	scriptAddress = "203.0.113.9"
)

// run asks until the time is up. A request that is late by more than a second is left out, so that the rate is never more than was said.
func (s *script) run(ctx context.Context, how time.Duration, row *attackRow) {
	client := newLoadClient(s.to).http
	defer client.CloseIdleConnections()
	var next, sent atomic.Int64
	var mu sync.Mutex
	var all sync.WaitGroup
	began := time.Now()
	for range scriptWorkers {
		all.Go(func() {
			for ctx.Err() == nil {
				nth := next.Add(1) - 1
				due := began.Add(time.Duration(nth) * time.Second / time.Duration(s.perSecond))
				if due.Sub(began) >= how {
					return
				}
				if late := time.Since(due); late > time.Second {
					continue
				} else if late < 0 {
					time.Sleep(-late)
				}
				token := ""
				if len(s.tokens) > 0 {
					token = s.tokens[nth%int64(len(s.tokens))]
				}
				code, _, err := send(ctx, client, s.to, token, scriptAddress, benchJoin, map[string]any{"i": map[string]any{"saleId": s.sale, "solution": "eyJ9"}})
				if err != nil {
					code = "failed"
				}
				sent.Add(1)
				mu.Lock()
				row.Script[code]++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	mu.Lock()
	row.Sent += float64(sent.Load()) / how.Seconds()
	mu.Unlock()
}

// startBare serves what does nothing, and says so in the words of a refusal.
func startBare() (at string, end func() error, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	srv := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/graphql-response+json")
		w.WriteHeader(http.StatusTooManyRequests)
		io.WriteString(w, `{"errors":[{"message":"no","extensions":{"code":"NOTHING"}}]}`)
	})}
	go srv.Serve(l)
	return "http://" + l.Addr().String(), srv.Close, nil
}

// register opens an account, as fast as the shop lets one address do that, and returns its access token.
func register(ctx context.Context, base string) (string, error) {
	type registered struct {
		AccountRegister struct {
			Session    struct{ AccessToken string }
			UserErrors clientsouk.UserErrors
		}
	}
	got, err := clientsouk.Do[registered](ctx, clientsouk.New(base+"/graphql"), frontends.Operation("web/Register"), map[string]any{"input": map[string]any{
		"email": strings.ToLower(newKey()) + "@bench.souk.test", "password": benchPassword, "displayName": "Ann",
	}})
	if err == nil {
		err = got.AccountRegister.UserErrors.Err()
	}
	return got.AccountRegister.Session.AccessToken, err
}
