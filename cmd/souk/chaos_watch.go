package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// A chaosAudience watches the counts of a sale through sockets, and comes back whenever one ends.
type chaosAudience struct {
	stop context.CancelFunc
	gone sync.WaitGroup

	mu       sync.Mutex
	seen     []chaosCounts  // by watcher, the newest
	ends     map[string]int // why sockets and subscriptions ended
	messages int
	broken   []string
}

// chaosCounts is what watchers are told.
type chaosCounts struct {
	Status                     string
	Remaining, Held, Sold, Seq int
}

// watchChaos seats so many watchers at each gateway.
func watchChaos(bases []string, sale string, each, quantity int) *chaosAudience {
	ctx, stop := context.WithCancel(context.Background())
	a := &chaosAudience{stop: stop, ends: map[string]int{}}
	for _, base := range bases {
		for range each {
			seat := len(a.seen)
			a.seen = append(a.seen, chaosCounts{})
			a.gone.Go(func() {
				for ctx.Err() == nil {
					why := a.watch(ctx, base, sale, seat, quantity)
					if ctx.Err() == nil {
						a.mu.Lock()
						a.ends[why]++
						a.mu.Unlock()
						sleepFor(ctx, 300*time.Millisecond)
					}
				}
			})
		}
	}
	return a
}

// watch watches until the socket or the subscription ends, and tells why it did.
func (a *chaosAudience) watch(ctx context.Context, base, sale string, seat, quantity int) string {
	dialing, cancel := context.WithTimeout(ctx, longestAnswer)
	defer cancel()
	socket, _, err := websocket.Dial(dialing, strings.Replace(base, "http", "ws", 1)+"/graphql", &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		return "cannot connect"
	}
	defer socket.CloseNow()
	for _, m := range []any{
		map[string]any{"type": "connection_init"},
		map[string]any{"id": "1", "type": "subscribe", "payload": map[string]any{"query": chaosWatch, "variables": map[string]any{"id": sale}}},
	} {
		if err := wsjson.Write(dialing, socket, m); err != nil {
			return "cannot subscribe"
		}
	}
	last := 0
	for {
		var m struct {
			Type    string
			Payload json.RawMessage
		}
		if err := wsjson.Read(ctx, socket, &m); err != nil {
			if code := websocket.CloseStatus(err); code >= 0 {
				return fmt.Sprintf("socket closed with %d", code)
			}
			return "connection lost"
		}
		switch m.Type {
		case "ping":
			wsjson.Write(ctx, socket, map[string]string{"type": "pong"})
		case "complete": // clients take it for the end of the sale
			a.contradict("a subscription was completed while the sale went on")
			return "subscription completed"
		case "error":
			var errs []struct {
				Message    string
				Extensions struct{ Code string }
			}
			json.Unmarshal(m.Payload, &errs)
			if len(errs) == 0 || !passingCode(errs[0].Extensions.Code) {
				a.contradict("a subscription ended with %.300s", m.Payload)
			}
			if len(errs) > 0 {
				return "subscription ended with " + errs[0].Extensions.Code
			}
			return "subscription ended with an error"
		case "next":
			var p struct {
				Data   struct{ FlashSaleChanged *chaosCounts }
				Errors []struct {
					Message    string
					Extensions struct{ Code string }
				}
			}
			json.Unmarshal(m.Payload, &p)
			now := p.Data.FlashSaleChanged
			if now == nil {
				if len(p.Errors) == 0 || !passingCode(p.Errors[0].Extensions.Code) {
					a.contradict("a watcher was told %.300s", m.Payload)
				}
				continue
			}
			if now.Seq < last {
				a.contradict("seq fell from %d to %d", last, now.Seq)
			}
			if now.Remaining+now.Held+now.Sold != quantity {
				a.contradict("at seq %d there were %d left, %d held and %d sold of %d", now.Seq, now.Remaining, now.Held, now.Sold, quantity)
			}
			last = now.Seq
			a.mu.Lock()
			a.seen[seat] = *now
			a.messages++
			a.mu.Unlock()
		}
	}
}

func (a *chaosAudience) contradict(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.broken) < mostOdd {
		a.broken = append(a.broken, fmt.Sprintf(format, args...))
	}
}

// behind counts the watchers who have not seen the counts as they are.
func (a *chaosAudience) behind(is chaosCounts) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, seen := range a.seen {
		if seen.Seq != is.Seq || seen.Remaining != is.Remaining || seen.Sold != is.Sold || seen.Held != is.Held {
			n++
		}
	}
	return n
}

func (a *chaosAudience) close() {
	a.stop()
	a.gone.Wait()
}
