package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/souk-shop/souk/gateway/engine"
	"github.com/souk-shop/souk/gateway/rate"
	"github.com/souk-shop/souk/gateway/transport"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/forfeit"
	"github.com/souk-shop/souk/internal/viewer"
)

// CostHeader asks for the operation's cost, and what is left of the caller's budget, in the answer's extensions.
const CostHeader = "Souk-Cost"

// What is charged for something that is no operation.
const (
	knock   = 1  // to open a socket; to be looked at, anything at all must be left
	misread = 10 // a request that cannot be read, is signed in badly, or holds no valid operation: honest clients send none
	trouble = 10 // an operation that is refused after its document was read
)

// A visit is one HTTP request, or one socket, as budgets see it.
type visit struct {
	from  netip.Addr
	tells bool // the caller wants to know the cost
}

type visitKey struct{}

func visitOf(ctx context.Context) *visit {
	v, _ := ctx.Value(visitKey{}).(*visit)
	return v
}

// door notes where a request comes from, and turns away who has nothing left before anything is done for it: it is not read, traced
// or logged. A socket is paid for when it opens.
func (g *Gateway) door(next http.Handler) http.Handler {
	if g.config.Rate == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{from: rate.AddressOf(r, g.config.Proxies), tells: r.Header.Get(CostHeader) != ""}
		if d := g.admit(r, v.from); !d.Allowed {
			g.transport.TurnAway(w, r, seconds(d), turnedAway(d))
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), visitKey{}, v)))
	})
}

// admit looks at what is left of an address, and of an account if its token is one that was verified before: any other may be a lie, and
// to find out is work.
func (g *Gateway) admit(r *http.Request, from netip.Addr) rate.Decision {
	who := rate.Caller{Address: from}
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return g.config.Rate.Take(r.Context(), who, knock, 0)
	}
	if known, ok := g.sessions.Known(r.Header.Get("Authorization")); ok {
		who.Account = known.AccountID
	}
	return g.config.Rate.Peek(who, knock)
}

// refused hears of a request that never became an operation, and charges for it unless the fault is not the caller's.
func (g *Gateway) refused(r *http.Request, code string) {
	g.watch.turnedAway(code)
	if v := visitOf(r.Context()); v != nil && code != engine.CodeThrottled && code != string(fault.Unavailable) {
		g.config.Rate.Spend(r.Context(), rate.Caller{Address: v.from}, misread)
	}
}

// afford refuses a caller who has nothing left before the document is read.
func (g *Gateway) afford(ctx context.Context) error {
	who, v := g.caller(ctx)
	if v == nil {
		return nil
	}
	if d := g.config.Rate.Peek(who, knock); !d.Allowed {
		return throttled(d)
	}
	return nil
}

// pay charges for an operation before anything of it is run.
func (g *Gateway) pay(ctx context.Context, op *engine.Operation) (rate.Decision, error) {
	who, v := g.caller(ctx)
	if v == nil {
		return rate.Decision{}, nil
	}
	var draws []rate.Draw
	for _, d := range op.Draws() {
		draws = append(draws, rate.Draw(d))
	}
	d := g.config.Rate.Take(ctx, who, op.Cost(), trouble, draws...)
	if !d.Allowed {
		return d, throttled(d)
	}
	return d, nil
}

func (g *Gateway) caller(ctx context.Context) (rate.Caller, *visit) {
	v := visitOf(ctx)
	if v == nil {
		return rate.Caller{}, nil
	}
	return rate.Caller{Account: viewer.From(ctx).AccountID, Address: v.from}, v
}

// charge makes a caller pay for the proofs that subgraphs found wrong. It returns the decision with what that was.
func (g *Gateway) charge(ctx context.Context, wrong *forfeit.Heard, d rate.Decision) (rate.Decision, bool) {
	n := wrong.Take()
	who, v := g.caller(ctx)
	if n == 0 || v == nil {
		return d, false
	}
	return g.config.Rate.Forfeit(ctx, who, n, misread, d), true
}

const (
	spent    = "too much was asked for in a short time; the same is answered after a while"
	pollTime = "2006-01-02T15:04:05.000Z"
)

// seconds until a caller may come back.
func seconds(d rate.Decision) int { return int((d.Wait + time.Second - 1) / time.Second) }

// turnedAway is the answer that throttled makes, written at once: a script is told it a thousand times a second.
func turnedAway(d rate.Decision) []byte {
	b := make([]byte, 0, 512)
	cost := func() {
		b = append(b, `"cost":{"requested":`...)
		b = strconv.AppendInt(b, int64(d.Requested), 10)
		b = append(b, `,"throttleStatus":{"maximumAvailable":`...)
		b = strconv.AppendInt(b, int64(d.Budget.Burst), 10)
		b = append(b, `,"currentlyAvailable":`...)
		b = strconv.AppendInt(b, int64(d.Available), 10)
		b = append(b, `,"restoreRate":`...)
		b = strconv.AppendInt(b, int64(d.Budget.PerSecond), 10)
		b = append(b, `}}`...)
	}
	b = append(b, `{"errors":[{"message":"`+spent+`","extensions":{"budget":"`...)
	b = append(b, d.Reason...)
	b = append(b, `","code":"`+engine.CodeThrottled+`",`...)
	cost()
	b = append(b, `,"pollAfter":"`...)
	b = time.Now().Add(d.Wait).UTC().AppendFormat(b, pollTime)
	b = append(b, `","retryAfter":`...)
	b = strconv.AppendInt(b, int64(seconds(d)), 10)
	b = append(b, `}}],"extensions":{`...)
	cost()
	return append(b, `}}`...)
}

// throttled tells a caller when to come back.
func throttled(d rate.Decision) engine.Errors {
	message := spent
	if d.Common {
		message = "too many ask for the same " + d.Reason + " at once; nothing was tried, and the same is answered after a while"
	}
	return engine.Errors{{
		Message: message,
		Extensions: map[string]any{
			"code":       engine.CodeThrottled,
			"budget":     d.Reason,
			"pollAfter":  time.Now().Add(d.Wait).UTC().Format(pollTime),
			"retryAfter": seconds(d),
			"cost":       d.Cost(),
		},
	}}
}

// misunderstood charges for a request that holds no valid operation.
func (g *Gateway) misunderstood(ctx context.Context) {
	if who, v := g.caller(ctx); v != nil {
		g.config.Rate.Spend(ctx, who, misread)
	}
}

// misnamed charges for a request whose document is not known here: clients that name documents send such once for each.
func (g *Gateway) misnamed(ctx context.Context) {
	if who, v := g.caller(ctx); v != nil {
		g.config.Rate.Spend(ctx, who, knock)
	}
}

// priced returns a reply that puts the cost into the first result, if the caller wants to see it.
func priced(ctx context.Context, d rate.Decision, to transport.Reply) transport.Reply {
	v := visitOf(ctx)
	if v == nil || !v.tells {
		return to
	}
	cost, err := json.Marshal(d.Cost())
	if err != nil {
		return to
	}
	return &extender{Reply: to, name: "cost", value: cost}
}
