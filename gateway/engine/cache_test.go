package engine

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"
)

type word string

func (w word) bytes() int { return len(w) }

func newWords(t *testing.T, size int) *cache[word] {
	t.Helper()
	m, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := newCache[word](size, m.lookups, slog.New(slog.DiscardHandler), "words")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWorkIsDoneOnceForAllWhoWait(t *testing.T) {
	c := newWords(t, 10)
	start, done := make(chan struct{}), make(chan struct{})
	n := 0
	work := func() (word, error) {
		n++
		close(start)
		<-done
		return "made", nil
	}
	impatient, leave := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := c.get(impatient, digestOf("k"), work); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	<-start
	leave()
	for range 10 {
		wg.Go(func() {
			if v, err := c.get(context.Background(), digestOf("k"), work); v != "made" || err != nil {
				t.Errorf("%q, %v", v, err)
			}
		})
	}
	close(done)
	wg.Wait()
	if v, err := c.get(context.Background(), digestOf("k"), work); v != "made" || err != nil || n != 1 {
		t.Errorf("%q, %v after %d times", v, err, n)
	}
}

func TestFailuresAreNotKept(t *testing.T) {
	c := newWords(t, 10)
	broken := errors.New("broken")
	if _, err := c.get(context.Background(), digestOf("k"), func() (word, error) { return "", broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	var es Errors
	if _, err := c.get(context.Background(), digestOf("k"), func() (word, error) { panic("10.0.0.7") }); !errors.As(err, &es) || es[0].Code() != CodeInternal {
		t.Errorf("a panic is %v", err)
	}
	if v, err := c.get(context.Background(), digestOf("k"), func() (word, error) { return "made", nil }); v != "made" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
}

func TestDigestsKeepPartsApart(t *testing.T) {
	if digestOf("ab", "c") == digestOf("a", "bc") || digestOf("a", "") == digestOf("a") {
		t.Error("parts flow together")
	}
}

func TestAPlanHasABudget(t *testing.T) {
	e, _ := newEngineWith(t, "shop", Config{PlanBudget: time.Nanosecond}, newShop(t)...)
	if got := refusal(t, e, threeHops, `{"id":"1"}`); got.Code() != CodeTooComplex {
		t.Errorf("got %+v", got)
	}
}
