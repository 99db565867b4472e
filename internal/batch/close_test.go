package batch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/souk-shop/souk/internal/batch"
)

func TestCloseFinishesWhatWaits(t *testing.T) {
	inBubble(t, func(t *testing.T, c *commit) {
		g := batch.New(c.run, batch.Config{MaxSize: 2, Linger: time.Hour})
		var answers []<-chan answer
		for i := range 6 {
			answers = append(answers, ask(g, ctx, "key", i))
			synctest.Wait()
		}
		time.Sleep(25 * ms) // the third batch runs, and 5 lingers for company after it
		go closed(t, g)
		closed(t, g)
		for _, a := range answers {
			if a := <-a; a.err != nil {
				t.Error(a)
			}
		}
		_, err := g.Do(ctx, "key", 7)
		var refused *batch.Refusal
		if !errors.As(err, &refused) || refused.Reason != batch.Closed || !errors.Is(err, batch.ErrClosed) || refused.PollAfter.IsZero() {
			t.Error(err)
		}
		if got := fmt.Sprint(c.starts); got != "[0s[0] 10ms[1 2] 20ms[3 4] 30ms[5]]" {
			t.Error(got)
		}
		closed(t, g)
	})
}

func TestCloseEndsALinger(t *testing.T) {
	inBubble(t, func(t *testing.T, c *commit) {
		g := batch.New(c.run, batch.Config{Linger: time.Hour})
		for i := range 4 {
			ask(g, ctx, "key", i)
			synctest.Wait()
		}
		time.Sleep(25 * ms)
		a := ask(g, ctx, "key", 4)
		synctest.Wait()
		closed(t, g)
		if a := <-a; a.err != nil || time.Since(c.epoch) != 35*ms {
			t.Error(a, time.Since(c.epoch))
		}
	})
}

func TestCloseInAHurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ran []int
		g := batch.New(func(ctx context.Context, _ string, reqs []int) ([]batch.Result[int], error) {
			ran = append(ran, reqs...)
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), batch.ErrClosed) {
				t.Error(context.Cause(ctx))
			}
			return nil, ctx.Err()
		}, batch.Config{})
		runs := ask(g, ctx, "key", 1)
		synctest.Wait()
		waits := ask(g, ctx, "key", 2)
		synctest.Wait()
		short, cancel := context.WithTimeout(ctx, ms)
		defer cancel()
		if err := g.Close(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if a := <-waits; !errors.Is(a.err, batch.ErrClosed) {
			t.Error(a)
		}
		if a := <-runs; !errors.Is(a.err, batch.ErrUndecided) {
			t.Error(a)
		}
		closed(t, g)
		if !slices.Equal(ran, []int{1}) {
			t.Error(ran)
		}
	})
}

// The bubble ends only when every goroutine in it has, and nobody closes this group.
func TestAGroupThatNobodyUsesHasNoGoroutine(t *testing.T) {
	inBubble(t, func(t *testing.T, c *commit) {
		g := batch.New(c.run, batch.Config{})
		for i := range 3 {
			<-ask(g, ctx, fmt.Sprint(i), i)
		}
		time.Sleep(time.Minute)
	})
}
