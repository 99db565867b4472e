package main

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// The script asks as often as it is told to, never more, and tells apart what it is told.
func TestScriptKeepsItsRate(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Forwarded-For") != scriptAddress {
			t.Errorf("it comes from %s", r.Header.Get("X-Forwarded-For"))
		}
		if asked.Add(1)%2 == 0 {
			w.Write([]byte(`{"data":{"flashSaleJoin":{"userErrors":[{"code":"CHALLENGE_FAILED"}]}}}`))
			return
		}
		w.WriteHeader(http.StatusTooManyRequests)
		w.Write([]byte(`{"errors":[{"extensions":{"code":"THROTTLED","budget":"address"}}]}`))
	}))
	defer s.Close()
	row := &attackRow{Script: map[string]int{}}
	(&script{to: s.URL, perSecond: 200}).run(t.Context(), 250*time.Millisecond, row)
	if n := asked.Load(); n > 50 || row.Script["THROTTLED by address"]+row.Script["CHALLENGE_FAILED"] != int(n) || row.Sent != float64(n)/0.25 {
		t.Errorf("%d were asked: %+v", n, row)
	}
}

func TestAttackReport(t *testing.T) {
	t.Parallel()
	r := &attackReport{Rows: []*attackRow{
		{Round: quietRound, Journeys: 10, Booked: 10},
		{Round: attackRound, Journeys: 10, Booked: 9, Sent: 1000, Script: map[string]int{"THROTTLED": 7, "CHALLENGE_FAILED": 3}, first: errors.New("join: refused: THROTTLED")},
	}, ToControl: 2, ToQuiet: 3, Each: 54.4}
	if err := r.wrong(); err == nil || !strings.Contains(err.Error(), "attack: 1 of 10 buyers failed, the first: join: refused: THROTTLED") {
		t.Error(err)
	}
	var out bytes.Buffer
	if err := r.writeTable(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"9 of 10", "CHALLENGE_FAILED 3, THROTTLED 7", "1000/s", "2 ×", "MISSED", "54 µs"} {
		if !strings.Contains(out.String(), strings.Replace(want, "2 ×", "2.00 ×", 1)) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
