package batch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/souk-shop/souk/internal/batch"
	"github.com/souk-shop/souk/internal/fault"
)

const ms = time.Millisecond

// A commit is a run that takes a while, and notes when it started and with what.
type commit struct {
	takes  time.Duration
	epoch  time.Time
	starts []string
}

func (c *commit) run(_ context.Context, _ string, reqs []int) ([]batch.Result[int], error) {
	c.starts = append(c.starts, fmt.Sprintf("%v%v", time.Since(c.epoch), reqs))
	time.Sleep(c.takes)
	return doubled(reqs), nil
}

func inBubble(t *testing.T, f func(t *testing.T, c *commit)) {
	synctest.Test(t, func(t *testing.T) { f(t, &commit{takes: 10 * ms, epoch: time.Now()}) })
}

func TestLonelyRequestsWaitForNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, c *commit) {
		g := batch.New(c.run, batch.Config{Linger: 4 * ms})
		for i := range 2 { // one after the other
			<-ask(g, ctx, "key", i)
		}
		closed(t, g)
		if got := fmt.Sprint(c.starts, time.Since(c.epoch)); got != "[0s[0] 10ms[1]] 20ms" { // nor does Close
			t.Error(got)
		}
	})
}

func TestLinger(t *testing.T) {
	// Each starts with a batch of 0, followed by a batch of 1, 2, 3 from 10 to 20 ms.
	for _, c := range []struct {
		name string
		at   []int // when more arrive, in ms
		want string
	}{
		{"as many again end it", []int{21, 22, 23}, "[23ms[4 5 6]]"},
		{"its time ends it", []int{21, 22}, "[24ms[4 5]]"},
		{"it is for those who come soon", []int{24, 25}, "[24ms[4] 34ms[5]]"},
		{"those who gathered meanwhile count", []int{12, 13, 21}, "[21ms[4 5 6]]"},
		{"enough gathered meanwhile", []int{12, 13, 14, 15}, "[20ms[4 5 6 7]]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, m *commit) {
				g := batch.New(m.run, batch.Config{Linger: 4 * ms})
				var answers []<-chan answer
				say := func() {
					answers = append(answers, ask(g, ctx, "key", len(answers)))
					synctest.Wait()
				}
				for range 4 {
					say()
				}
				for _, at := range c.at {
					time.Sleep(time.Until(m.epoch.Add(time.Duration(at) * ms)))
					say()
				}
				for _, a := range answers {
					<-a
				}
				closed(t, g)
				if got := fmt.Sprint(m.starts[2:]); got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
			})
		})
	}
}

func TestCallerLeavesBeforeItsBatch(t *testing.T) {
	inBubble(t, func(t *testing.T, c *commit) {
		g := batch.New(c.run, batch.Config{})
		first := ask(g, ctx, "key", 0)
		synctest.Wait()
		short, cancel := context.WithTimeout(ctx, 5*ms)
		defer cancel()
		leaver, stays := ask(g, short, "key", 1), ask(g, ctx, "key", 2)
		if a := <-leaver; !errors.Is(a.err, context.DeadlineExceeded) || time.Since(c.epoch) != 5*ms {
			t.Error(a, time.Since(c.epoch))
		}
		for _, a := range []<-chan answer{first, stays} {
			if a := <-a; a.err != nil {
				t.Error(a)
			}
		}
		gone, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := g.Do(gone, "key", 3); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		closed(t, g)
		if got := fmt.Sprint(c.starts); got != "[0s[0] 10ms[2]]" {
			t.Error(got)
		}
	})
}

// A deaf context ends without telling anybody: so does any context in the moment before its caller gets to run.
type deaf struct {
	context.Context
	ended atomic.Bool
}

func (d *deaf) Err() error {
	if d.ended.Load() {
		return context.Canceled
	}
	return nil
}

func TestCallerLeavesAtTheLastMoment(t *testing.T) {
	inBubble(t, func(t *testing.T, c *commit) {
		g := batch.New(c.run, batch.Config{})
		first := ask(g, ctx, "key", 0)
		synctest.Wait()
		d := &deaf{Context: ctx}
		leaver := ask(g, d, "key", 1)
		synctest.Wait()
		d.ended.Store(true)
		<-first
		if a := <-leaver; !errors.Is(a.err, context.Canceled) {
			t.Error(a)
		}
		closed(t, g)
		if got := fmt.Sprint(c.starts); got != "[0s[0]]" {
			t.Error(got)
		}
	})
}

func TestCallerLeavesDuringItsBatch(t *testing.T) {
	inBubble(t, func(t *testing.T, c *commit) {
		short, cancel := context.WithTimeout(ctx, 15*ms)
		defer cancel()
		var ended error
		g := batch.New(func(ctx context.Context, key string, reqs []int) ([]batch.Result[int], error) {
			defer func() { ended = ctx.Err() }()
			return c.run(ctx, key, reqs)
		}, batch.Config{})
		first := ask(g, ctx, "key", 0)
		synctest.Wait()
		leaver, stays := ask(g, short, "key", 1), ask(g, ctx, "key", 2)
		<-first
		if a := <-leaver; !errors.Is(a.err, context.DeadlineExceeded) || time.Since(c.epoch) != 15*ms {
			t.Error(a, time.Since(c.epoch))
		}
		if a := <-stays; a.err != nil || a.value != 4 || time.Since(c.epoch) != 20*ms {
			t.Error(a, time.Since(c.epoch))
		}
		closed(t, g)
		if ended != nil {
			t.Error("the batch ended with its caller:", ended)
		}
	})
}

func TestBatchEndsWithTheLastOfItsCallers(t *testing.T) {
	for _, c := range []struct {
		deadlines []time.Duration // of the callers; zero for none
		want      time.Duration   // for the run
	}{
		{[]time.Duration{20 * ms, 70 * ms, 30 * ms}, 70 * ms},
		{[]time.Duration{20 * ms, 0}, 100 * ms},
		{[]time.Duration{0, 20 * ms}, 100 * ms},
		{[]time.Duration{time.Hour, 20 * ms}, 100 * ms},
	} {
		t.Run(fmt.Sprint(c.deadlines), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var left time.Duration
				g := batch.New(func(ctx context.Context, key string, reqs []int) ([]batch.Result[int], error) {
					if reqs[0] < 0 {
						time.Sleep(ms)
						return doubled(reqs), nil
					}
					d, _ := ctx.Deadline()
					left = time.Until(d) + ms
					<-ctx.Done()
					return nil, fmt.Errorf("insert: %w", ctx.Err())
				}, batch.Config{Timeout: 100*ms - ms})
				opener := ask(g, ctx, "key", -1)
				synctest.Wait()
				var answers []<-chan answer
				for i, d := range c.deadlines {
					ctx := ctx
					if d > 0 {
						limited, cancel := context.WithTimeout(ctx, d)
						defer cancel()
						ctx = limited
					}
					answers = append(answers, ask(g, ctx, "key", i))
					synctest.Wait()
				}
				<-opener
				for i, a := range answers {
					a := <-a
					if c.deadlines[i] == 0 && fault.KindOf(a.err) != fault.Unavailable || !errors.Is(a.err, context.DeadlineExceeded) {
						t.Error(a.err)
					}
				}
				closed(t, g)
				if left != c.want {
					t.Errorf("the run had %v, want %v", left, c.want)
				}
			})
		})
	}
}

func TestVerdicts(t *testing.T) {
	errLost := fault.New(fault.Unavailable, "LOST", "the connection is lost")
	errPassing := errors.New("could not serialise")
	classify := func(err error) batch.Verdict {
		if errors.Is(err, errPassing) {
			return batch.Retry
		}
		return batch.Judge(err)
	}
	for _, c := range []struct {
		name  string
		fails []error // of the first runs of the lot 1 2 3
		want  error   // for all of them
		runs  string  // what and when, after the first batch from 0 to 10 ms
	}{
		{"a lost connection fails the lot", []error{errLost}, errLost, "[10ms[1 2 3]]"},
		{"what passes is run again", []error{errPassing, errPassing}, nil, "[10ms[1 2 3] 25ms[1 2 3] 45ms[1 2 3]]"},
		{"but not for ever", []error{errPassing, errPassing, errPassing, errPassing}, errPassing, "[10ms[1 2 3] 25ms[1 2 3] 45ms[1 2 3] 75ms[1 2 3]]"},
		{"failing ends a search", []error{errors.New("bad"), nil, errLost}, errLost, "[10ms[1 2 3] 20ms[1] 30ms[2 3]]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, m *commit) {
				runs := 0
				g := batch.New(func(ctx context.Context, key string, reqs []int) ([]batch.Result[int], error) {
					results, _ := m.run(ctx, key, reqs)
					if runs++; runs > 1 && runs-2 < len(c.fails) && c.fails[runs-2] != nil {
						return nil, c.fails[runs-2]
					}
					return results, nil
				}, batch.Config{Classify: classify})
				var answers []<-chan answer
				for i := range 4 {
					answers = append(answers, ask(g, ctx, "key", i))
					synctest.Wait()
				}
				for i, a := range answers {
					a := <-a
					want := c.want
					if i == 0 || c.name == "failing ends a search" && i == 1 {
						want = nil
					}
					if !errors.Is(a.err, want) {
						t.Errorf("%d got %v, want %v", i, a.err, want)
					}
				}
				closed(t, g)
				if got := fmt.Sprint(m.starts[1:]); got != c.runs {
					t.Errorf("got %s, want %s", got, c.runs)
				}
			})
		})
	}
}

func TestPipeline(t *testing.T) {
	inBubble(t, func(t *testing.T, c *commit) {
		g := batch.New(c.run, batch.Config{Pipeline: 2})
		var answers []<-chan answer
		for i := range 4 {
			answers = append(answers, ask(g, ctx, "key", i))
			synctest.Wait()
			time.Sleep(ms)
		}
		for _, a := range answers {
			<-a
		}
		closed(t, g)
		if got := fmt.Sprint(c.starts); got != "[0s[0] 1ms[1] 10ms[2 3]]" {
			t.Error(got)
		}
	})
}

// Behind a batch of three, another begins with three or when the first has ended.
func TestPipelineWaitsForAsMany(t *testing.T) {
	inBubble(t, func(t *testing.T, c *commit) {
		g := batch.New(c.run, batch.Config{Pipeline: 2})
		var answers []<-chan answer
		for _, pause := range []time.Duration{0, ms, 0, 0, 10 * ms, ms, ms, ms, 0} { // after each
			answers = append(answers, ask(g, ctx, "key", len(answers)))
			synctest.Wait()
			time.Sleep(pause)
		}
		for _, a := range answers {
			<-a
		}
		closed(t, g)
		if got := fmt.Sprint(c.starts); got != "[0s[0] 0s[1] 10ms[2 3 4] 13ms[5 6 7] 23ms[8]]" {
			t.Error(got)
		}
	})
}

// A key with a thousand waiting takes turns with the keys that have one.
func TestHotKeyStarvesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turns []string
		g := batch.New(func(_ context.Context, key string, reqs []int) ([]batch.Result[int], error) {
			turns = append(turns, key)
			time.Sleep(ms)
			return doubled(reqs), nil
		}, batch.Config{MaxSize: 10, Depth: 1000, Concurrency: 1, Pipeline: 4})
		var answers []<-chan answer
		for i := range 1000 {
			answers = append(answers, ask(g, ctx, "hot", i))
		}
		synctest.Wait()
		for _, key := range []string{"a", "b", "c"} {
			answers = append(answers, ask(g, ctx, key, 1))
			synctest.Wait()
		}
		for _, a := range answers {
			if a := <-a; a.err != nil {
				t.Error(a)
			}
		}
		closed(t, g)
		// One hot batch runs, and the hot key is in line already when the others come.
		if got := turns[:6]; !slices.Equal(got, []string{"hot", "hot", "a", "b", "c", "hot"}) {
			t.Error(got)
		}
	})
}
