package batch_test

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/goleak"

	"github.com/souk-shop/souk/internal/batch"
	"github.com/souk-shop/souk/internal/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ctx = context.Background()

// A desk is a run that tests hold: each run is announced on entered and waits for its turn.
type desk struct {
	entered chan []int
	turn    chan error // what the run returns; nil doubles the requests
}

func newDesk() *desk { return &desk{make(chan []int), make(chan error)} }

func (d *desk) run(_ context.Context, _ string, reqs []int) ([]batch.Result[int], error) {
	d.entered <- slices.Clone(reqs)
	if err := <-d.turn; err != nil {
		return nil, err
	}
	return doubled(reqs), nil
}

func doubled(reqs []int) []batch.Result[int] {
	results := make([]batch.Result[int], len(reqs))
	for i, r := range reqs {
		results[i].Value = 2 * r
	}
	return results
}

// An answer is what Do returned.
type answer struct {
	req, value int
	err        error
}

// ask calls Do elsewhere and returns where its answer will be.
func ask[K comparable](g *batch.Group[K, int, int], ctx context.Context, key K, req int) <-chan answer {
	to := make(chan answer, 1)
	go func() {
		v, err := g.Do(ctx, key, req)
		to <- answer{req, v, err}
	}()
	return to
}

func closed[K comparable](t *testing.T, g *batch.Group[K, int, int]) {
	t.Helper()
	if err := g.Close(ctx); err != nil {
		t.Error(err)
	}
}

func TestEveryCallerGetsItsOwnAnswer(t *testing.T) {
	g := batch.New(func(_ context.Context, _ string, reqs []int) ([]batch.Result[int], error) {
		results := doubled(reqs)
		for i, r := range reqs {
			if r%3 == 0 {
				results[i] = batch.Result[int]{Err: fmt.Errorf("%d is not for sale", r)}
			}
		}
		slices.Reverse(reqs) // a run may do with them as it likes
		return results, nil
	}, batch.Config{MaxSize: 7, Depth: 1000})
	defer closed(t, g)
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			v, err := g.Do(ctx, "key", i)
			if i%3 == 0 {
				if err == nil || err.Error() != fmt.Sprintf("%d is not for sale", i) {
					t.Errorf("%d: got %d, %v", i, v, err)
				}
			} else if err != nil || v != 2*i {
				t.Errorf("%d: got %d, %v", i, v, err)
			}
		})
	}
	wg.Wait()
}

func TestWhatGathersGoesTogetherInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		g := batch.New(d.run, batch.Config{MaxSize: 3})
		defer closed(t, g)
		var answers []<-chan answer
		answers = append(answers, ask(g, ctx, "key", 0))
		batches := [][]int{<-d.entered} // a lonely request waits for nobody
		for i := 1; i <= 4; i++ {
			answers = append(answers, ask(g, ctx, "key", i))
			synctest.Wait()
		}
		d.turn <- nil
		for range 2 {
			batches = append(batches, <-d.entered)
			d.turn <- nil
		}
		if got := fmt.Sprint(batches); got != "[[0] [1 2 3] [4]]" {
			t.Error(got)
		}
		for i, a := range answers {
			if a := <-a; a.err != nil || a.value != 2*i {
				t.Error(a)
			}
		}
	})
}

func TestFullQueueRefuses(t *testing.T) {
	for _, c := range []struct {
		cfg      batch.Config
		reason   batch.Reason
		key      string // that is refused
		letIn    string // that is not
		waitings int
	}{
		{batch.Config{Depth: 2}, batch.KeyFull, "hot", "other", 3},
		{batch.Config{Depth: 9, TotalDepth: 2}, batch.GroupFull, "other", "", 2},
	} {
		t.Run(string(c.reason), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.cfg.Concurrency = 1
				open := make(chan struct{})
				g := batch.New(func(_ context.Context, _ string, reqs []int) ([]batch.Result[int], error) {
					<-open
					return doubled(reqs), nil
				}, c.cfg)
				var answers []<-chan answer
				for i := range 3 { // one that runs, and two that wait
					answers = append(answers, ask(g, ctx, "hot", i))
					synctest.Wait()
				}
				_, err := g.Do(ctx, c.key, 3)
				var refused *batch.Refusal
				if !errors.As(err, &refused) || refused.Reason != c.reason || !refused.PollAfter.After(time.Now()) {
					t.Errorf("got %#v", err)
				}
				if !errors.Is(err, batch.ErrFull) || fault.KindOf(err) != fault.Unavailable {
					t.Error("a refusal is not a fault.Unavailable:", err)
				}
				if c.letIn != "" {
					answers = append(answers, ask(g, ctx, c.letIn, 4))
					synctest.Wait()
				}
				if n := g.Waiting(); n != c.waitings {
					t.Errorf("%d are waiting, want %d", n, c.waitings)
				}
				close(open)
				for _, a := range answers {
					if a := <-a; a.err != nil || a.value != 2*a.req {
						t.Error(a)
					}
				}
				closed(t, g)
			})
		})
	}
}

// The runs it takes to find the poisoned grow with their number and the logarithm of the lot.
func TestPoisonIsIsolated(t *testing.T) {
	errPoison := errors.New("check constraint")
	for _, c := range []struct {
		n, poisoned int
		panics      bool
	}{{1, 1, false}, {2, 1, false}, {16, 0, false}, {64, 1, true}, {64, 3, false}, {256, 1, false}, {256, 8, true}, {16, 16, false}} {
		t.Run(fmt.Sprintf("%d of %d", c.poisoned, c.n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				entered, turn, first := make(chan struct{}), make(chan struct{}), true
				runs, ran := 0, map[int]int{}
				bad := func(r int) bool { return c.poisoned > 0 && r%(c.n/c.poisoned) == 0 && r/(c.n/c.poisoned) < c.poisoned }
				g := batch.New(func(_ context.Context, _ string, reqs []int) ([]batch.Result[int], error) {
					if first {
						first = false
						close(entered)
						<-turn
						return doubled(reqs), nil
					}
					runs++
					if slices.ContainsFunc(reqs, bad) {
						if c.panics {
							panic(errPoison)
						}
						return nil, errPoison
					}
					for _, r := range reqs {
						ran[r]++
					}
					return doubled(reqs), nil
				}, batch.Config{MaxSize: c.n, MaxRuns: 2 * c.n})
				opener := ask(g, ctx, "key", -1)
				<-entered
				var answers []<-chan answer
				for i := range c.n {
					answers = append(answers, ask(g, ctx, "key", i))
				}
				synctest.Wait()
				close(turn)
				<-opener
				closed(t, g)
				for i, a := range answers {
					a := <-a
					var panicked *batch.PanicError
					switch {
					case bad(i) && !errors.Is(a.err, errPoison), bad(i) && errors.As(a.err, &panicked) != c.panics:
						t.Errorf("poisoned %d got %v", i, a.err)
					case !bad(i) && (a.err != nil || a.value != 2*i || ran[i] != 1):
						t.Errorf("innocent %d got %d, %v after taking effect %d times", i, a.value, a.err, ran[i])
					}
				}
				if most := 1 + 2*c.poisoned*(bits.Len(uint(c.n))-1); runs > most {
					t.Errorf("%d runs, want at most %d", runs, most)
				}
			})
		})
	}
}

func TestRunsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		reg := prometheus.NewRegistry()
		g := batch.New(d.run, batch.Config{Name: "holds", MaxRuns: 6, Metrics: reg})
		opener := ask(g, ctx, "key", 0)
		<-d.entered
		var answers []<-chan answer
		for i := range 8 {
			answers = append(answers, ask(g, ctx, "key", i))
			synctest.Wait()
		}
		d.turn <- nil
		<-opener
		for range 6 { // 01234567, 0123, 01, 0, 1, 23
			<-d.entered
			d.turn <- errors.New("bug")
		}
		for i, a := range answers {
			a := <-a
			if a.err == nil || errors.Is(a.err, batch.ErrUndecided) != (i > 1) || !strings.Contains(a.err.Error(), "bug") {
				t.Errorf("%d got %v", i, a.err)
			}
		}
		closed(t, g)
		scraped(t, reg, `souk_batch_runs_total{batch="holds",outcome="ok"} 1`,
			`souk_batch_runs_total{batch="holds",outcome="poison"} 2`,
			`souk_batch_runs_total{batch="holds",outcome="split"} 4`,
			`souk_batch_depth{batch="holds"} 0`,
			`souk_batch_size_sum{batch="holds"} 9`, `souk_batch_size_count{batch="holds"} 2`,
			`souk_batch_wait_seconds_count{batch="holds"} 9`, `souk_batch_run_seconds_count{batch="holds"} 2`)
	})
}

func scraped(t *testing.T, reg *prometheus.Registry, want ...string) {
	t.Helper()
	rec := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	for _, line := range want {
		if !strings.Contains(rec.Body.String(), line+"\n") {
			t.Errorf("no %s in\n%s", line, rec.Body)
		}
	}
}

func TestWrongNumberOfResultsRunsNothingTwice(t *testing.T) {
	inBubble(t, func(t *testing.T, c *commit) {
		g := batch.New(func(ctx context.Context, key string, reqs []int) ([]batch.Result[int], error) {
			results, err := c.run(ctx, key, reqs)
			return results[:1], err
		}, batch.Config{})
		var answers []<-chan answer
		for i := range 4 {
			answers = append(answers, ask(g, ctx, "key", i))
			synctest.Wait()
		}
		for i, a := range answers {
			if a := <-a; (a.err == nil) != (i == 0) || i > 0 && fault.KindOf(a.err) != fault.Internal {
				t.Error(a)
			}
		}
		closed(t, g)
		if got := fmt.Sprint(c.starts); got != "[0s[0] 10ms[1 2 3]]" {
			t.Error(got)
		}
	})
}

func TestGoexitLeavesNobodyWaiting(t *testing.T) {
	inBubble(t, func(t *testing.T, c *commit) {
		g := batch.New(func(ctx context.Context, key string, reqs []int) ([]batch.Result[int], error) {
			results, err := c.run(ctx, key, reqs)
			if key == "bad" {
				runtime.Goexit()
			}
			return results, err
		}, batch.Config{Concurrency: 1})
		first := ask(g, ctx, "bad", 1)
		synctest.Wait()
		next, other := ask(g, ctx, "bad", 2), ask(g, ctx, "key", 3)
		for _, bad := range []<-chan answer{first, next} {
			if a := <-bad; !errors.Is(a.err, batch.ErrUndecided) {
				t.Error(a)
			}
		}
		if a := <-other; a.err != nil || a.value != 6 {
			t.Error(a)
		}
		closed(t, g)
	})
}

func TestTwoGroupsOfOneNameAddUp(t *testing.T) {
	reg := prometheus.NewRegistry()
	for range 2 {
		g := batch.New(func(_ context.Context, _ string, reqs []int) ([]batch.Result[int], error) {
			return doubled(reqs), nil
		}, batch.Config{Name: "holds", Metrics: reg})
		if _, err := g.Do(ctx, "key", 1); err != nil {
			t.Error(err)
		}
		closed(t, g)
		if _, err := g.Do(ctx, "key", 1); !errors.Is(err, batch.ErrClosed) {
			t.Error(err)
		}
	}
	scraped(t, reg, `souk_batch_refusals_total{batch="holds",reason="closed"} 2`)
}
