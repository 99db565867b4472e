package gateway

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/souk-shop/souk/gateway/engine"
	"github.com/souk-shop/souk/gateway/rate"
)

// Who is turned away at the door hears the same words as who is refused later.
func TestTurnedAwaySaysWhatThrottledDoes(t *testing.T) {
	for _, d := range []rate.Decision{
		{Reason: rate.ReasonAddress, Wait: 12*time.Second + time.Millisecond, Requested: 1, Budget: rate.Budget{PerSecond: 500, Burst: 20_000}, Available: 0},
		{Reason: rate.ReasonAccount, Wait: time.Microsecond, Requested: 30, Budget: rate.Budget{PerSecond: 1, Burst: 1}, Available: 1},
	} {
		type response struct {
			Errors     engine.Errors  `json:"errors"`
			Extensions map[string]any `json:"extensions"`
		}
		errs := throttled(d)
		var made response
		if err := json.Unmarshal(turnedAway(d), &made); err != nil || len(made.Errors) != 1 {
			t.Fatalf("%v %s", err, turnedAway(d))
		}
		at, err := time.Parse(time.RFC3339, made.Errors[0].Extensions["pollAfter"].(string))
		if wait := time.Until(at); err != nil || wait > d.Wait || wait < d.Wait-time.Minute {
			t.Errorf("%v %v", at, err)
		}
		made.Errors[0].Extensions["pollAfter"] = errs[0].Extensions["pollAfter"] // made a moment later
		got, _ := json.Marshal(made)
		want, _ := json.Marshal(response{errs, map[string]any{"cost": d.Cost()}})
		var a, b any
		json.Unmarshal(got, &a)
		json.Unmarshal(want, &b)
		got, _ = json.Marshal(a)
		want, _ = json.Marshal(b)
		if string(got) != string(want) {
			t.Errorf("%s\n%s", got, want)
		}
	}
}
