package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// What a chaos run asks the graph for.
const (
	chaosSave = `mutation ($input: FlashSaleSaveInput!) { flashSaleSave(input: $input) { flashSale { id } userErrors { code message field } } }`
	chaosEnd  = `mutation ($id: ID!) { flashSaleCancel(input: {id: $id}) { flashSale { status } userErrors { code message } } }`
	chaosBook = `mutation ($input: FlashSaleBookInput!) { flashSaleBook(input: $input) {
		result { kind: __typename
			... on FlashSaleBooking { id }
			... on FlashSaleSoldOut { final retryAfter }
			... on FlashSaleAlreadyBooked { booking { id } }
			... on FlashSaleThrottled { pollAfter } }
		userErrors { code message } } }`
	chaosRelease  = `mutation ($id: ID!) { flashSaleRelease(input: {bookingId: $id}) { booking { id } userErrors { code message } } }`
	chaosCheckout = `mutation ($input: CheckoutCompleteInput!) { checkoutComplete(input: $input) {
		result { kind: __typename
			... on CheckoutPlaced { order { id } }
			... on CheckoutActionRequired { order { id } redirectUrl }
			... on CheckoutPaymentFailed { order { id } }
			... on CheckoutRejected { problems { code } } }
		userErrors { code message } } }`
	chaosOrder = `query ($id: ID!) { order(id: $id) { status } }`
	chaosWatch = `subscription ($id: ID!) { flashSaleChanged(id: $id) { status remaining held sold seq } }`
)

// longestAnswer is how long a buyer waits for one answer.
const longestAnswer = 8 * time.Second

// chaosDoors are the gateways of a shop. Who gets no answer at one goes to the other.
type chaosDoors struct {
	bases []string
	http  *http.Client
	lines chan struct{} // how many may ask at once
}

func newDoors(bases []string, atOnce int) *chaosDoors {
	transport := &http.Transport{MaxIdleConnsPerHost: atOnce, IdleConnTimeout: 10 * time.Second}
	return &chaosDoors{bases, &http.Client{Transport: transport, Timeout: longestAnswer}, make(chan struct{}, atOnce)}
}

// A chaosTrouble is why an answer is none. Whether what was asked for happened is not known, unless refused says that nobody heard it.
type chaosTrouble struct {
	kind    string // for the report: a code, or what happened to the connection
	odd     string // "" for what a buyer may meet in a bad moment
	refused bool
}

func (t *chaosTrouble) Error() string { return t.kind }

// ask sends an operation to one of the doors and reads the data of the answer.
func (d *chaosDoors) ask(ctx context.Context, door int, token, query string, variables values, data any) *chaosTrouble {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return &chaosTrouble{kind: "cannot be asked", odd: err.Error()}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.bases[door%len(d.bases)]+"/graphql", bytes.NewReader(body))
	if err != nil {
		return &chaosTrouble{kind: "cannot be asked", odd: err.Error()}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/graphql-response+json")
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := d.http.Do(req)
	if err != nil {
		return lostConnection(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return lostConnection(err)
	}
	return readAnswer(res.StatusCode, text, data)
}

func lostConnection(err error) *chaosTrouble {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return &chaosTrouble{kind: "connection refused", refused: true}
	case errors.As(err, &timeout) && timeout.Timeout():
		return &chaosTrouble{kind: fmt.Sprintf("no answer in %s", longestAnswer)}
	}
	return &chaosTrouble{kind: "connection lost"}
}

// readAnswer takes an answer apart. Whatever goes wrong behind a gateway has to have a name that tells clients what to do.
func readAnswer(status int, text []byte, data any) *chaosTrouble {
	var answer struct {
		Data   json.RawMessage
		Errors []struct {
			Message    string
			Path       []any
			Extensions struct{ Code string }
		}
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return &chaosTrouble{kind: fmt.Sprintf("HTTP %d", status), odd: fmt.Sprintf("HTTP %d is no answer of the graph: %.200s", status, text)}
	}
	if len(answer.Errors) > 0 {
		e := answer.Errors[0]
		t := &chaosTrouble{kind: e.Extensions.Code}
		if !passingCode(e.Extensions.Code) {
			t.odd = fmt.Sprintf("HTTP %d, %s at %v: %s", status, or(e.Extensions.Code, "no code"), e.Path, e.Message)
		}
		return t
	}
	if err := json.Unmarshal(answer.Data, data); err != nil {
		return &chaosTrouble{kind: "unreadable", odd: err.Error()}
	}
	return nil
}

// passingCode tells whether a code says that the same may work in a moment.
func passingCode(code string) bool {
	for _, end := range []string{"UNAVAILABLE", "BUSY", "DOWN", "TIMEOUT", "UNDECIDED", "TOO_MANY_WAITING", "SHUTTING_DOWN"} {
		if strings.HasSuffix(code, end) {
			return true
		}
	}
	return false
}

// insist asks until there is an answer, at one door and then the other, with the same input each time, as long as a buyer would.
// It tells when it asked for the last time, and false when there is no answer and nobody knows what happened.
func (c *chaosCrowd) insist(ctx context.Context, n int, token, query string, variables values, data any) (asked time.Time, known bool) {
	ctx, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	for try := 0; ; try++ {
		select {
		case c.doors.lines <- struct{}{}:
		case <-ctx.Done():
			return asked, false
		}
		asked = time.Now()
		t := c.doors.ask(ctx, n+try, token, query, variables, data)
		<-c.doors.lines
		if t == nil {
			return asked, true
		}
		if ctx.Err() == nil {
			c.met(t)
		}
		sleepFor(ctx, min(100*time.Millisecond<<min(try, 4), time.Second)+time.Duration(n%100)*time.Millisecond)
		if ctx.Err() != nil {
			return asked, false
		}
	}
}

// met counts what a buyer met with instead of an answer.
func (c *chaosCrowd) met(t *chaosTrouble) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.troubles[t.kind]++
	if t.odd != "" && len(c.odd) < mostOdd {
		c.odd[t.odd]++
	}
	if !t.refused {
		c.unknown++
	}
}

// mostOdd is how many kinds of odd answers are kept.
const mostOdd = 20
