package batch_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/souk-shop/souk/internal/batch"
)

// A kind is what becomes of a request.
type kind int

const (
	good   kind = iota
	denied      // gets an error of its own, in a batch that commits
	poison      // fails every lot it is in
	bomb        // panics every lot it is in
)

var (
	errDenied  = errors.New("denied")
	errPoison  = errors.New("poison")
	errPassing = errors.New("passing")
)

// A store is what runs write to: it commits a lot as a whole or not at all, and sees to it that no rule is broken.
type store struct {
	mu       sync.Mutex
	cfg      batch.Config
	kinds    map[int]kind
	takes    func() time.Duration
	passes   func() bool // whether the next run meets a passing failure
	started  map[int]bool
	order    map[int][]int // of first runs, by key
	commits  map[int]int
	running  map[int]int // by key
	latest   map[int]int // how many were in the batch that began last, by key
	busy     int
	breaches []string
}

func newStore(cfg batch.Config) *store {
	return &store{
		cfg: cfg, kinds: map[int]kind{}, takes: func() time.Duration { return 0 }, passes: func() bool { return false },
		started: map[int]bool{}, order: map[int][]int{}, commits: map[int]int{}, running: map[int]int{}, latest: map[int]int{},
	}
}

func (s *store) breach(format string, args ...any) {
	s.breaches = append(s.breaches, fmt.Sprintf(format, args...))
}

func (s *store) run(ctx context.Context, key int, reqs []int) ([]batch.Result[int], error) {
	s.mu.Lock()
	s.busy++
	s.running[key]++
	if len(reqs) == 0 || len(reqs) > s.cfg.MaxSize || s.busy > s.cfg.Concurrency || s.running[key] > s.cfg.Pipeline {
		s.breach("a batch of %d, %d of its key at once, %d in all, with %+v", len(reqs), s.running[key], s.busy, s.cfg)
	}
	if len(reqs) > 0 && !s.started[reqs[0]] {
		s.latest[key] = len(reqs)
	}
	for _, r := range reqs {
		if !s.started[r] {
			s.started[r] = true
			s.order[key] = append(s.order[key], r)
		}
	}
	takes, passes := s.takes(), s.passes()
	s.mu.Unlock()
	if takes > 0 {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
	s.running[key]--
	if passes {
		return nil, errPassing
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	results := doubled(reqs)
	for i, r := range reqs {
		switch s.kinds[r] {
		case denied:
			results[i] = batch.Result[int]{Err: errDenied}
		case poison:
			return nil, fmt.Errorf("%w among %d", errPoison, reqs)
		case bomb:
			panic(fmt.Sprint("bomb among ", reqs))
		}
	}
	for _, r := range reqs {
		s.commits[r]++
	}
	return results, nil
}

// judge checks one answer against what the store saw. The lock is held, or nothing runs any more.
func (s *store) judge(a answer, cancellable, hurried, passing bool) {
	var refused *batch.Refusal
	var panicked *batch.PanicError
	k, commits, started := s.kinds[a.req], s.commits[a.req], s.started[a.req]
	alone := fmt.Sprint([]int{a.req})
	ok := commits <= 1
	switch {
	case a.err == nil:
		ok = ok && k == good && a.value == 2*a.req && commits == 1
	case errors.As(a.err, &refused):
		ok = ok && !started
	case errors.Is(a.err, errDenied):
		ok = ok && k == denied && commits == 1
	case errors.Is(a.err, batch.ErrClosed):
		ok = ok && hurried && !started
	case errors.Is(a.err, batch.ErrUndecided): // a run ends in the moment that its last caller's deadline passes
		ok = ok && (hurried || cancellable) && commits == 0
	case errors.Is(a.err, errPoison):
		ok = ok && k == poison && commits == 0 && a.err.Error() == "poison among "+alone
	case errors.As(a.err, &panicked):
		ok = ok && k == bomb && commits == 0 && panicked.Value == "bomb among "+alone
	case errors.Is(a.err, errPassing):
		ok = ok && passing && commits == 0
	case errors.Is(a.err, context.Canceled), errors.Is(a.err, context.DeadlineExceeded):
		ok = ok && cancellable
	default:
		ok = false
	}
	if !ok {
		s.breach("request %d of kind %d, started %t, committed %d times: got %d, %v", a.req, k, started, commits, a.value, a.err)
	}
}

// A step of a story.
type step struct {
	do       string // ask, cancel or sleep
	key      int
	kind     kind
	deadline time.Duration // zero for none
	which    int           // request to cancel
	sleep    time.Duration
}

// Any story of asking, leaving, poison, panic and closing, in any timing: each request is answered once, with its
// own answer, takes effect at most once, and is let in, run and refused exactly when it should be.
func TestAnyStory(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var (
			upTo      = func(name string, n int) int { return rapid.IntRange(0, n).Draw(rt, name) }
			durations = rapid.SliceOfN(rapid.IntRange(0, 3), 1, 8).Draw(rt, "run ms")
			passing   = rapid.SliceOfN(rapid.SampledFrom([]bool{false, false, false, true}), 1, 12).Draw(rt, "passing")
			pass      = rapid.Bool().Draw(rt, "any passing")
			hurry     = rapid.Bool().Draw(rt, "close in a hurry")
			cfg       = batch.Config{
				MaxSize: 1 + upTo("size", 7), Pipeline: 1 + upTo("pipeline", 2), Concurrency: 1 + upTo("concurrency", 3),
				Depth: 1 + upTo("depth", 11), TotalDepth: 1 + upTo("total depth", 19), Linger: time.Duration(upTo("linger", 3)) * ms,
				Timeout: time.Hour, MaxRuns: 1000, Backoff: ms,
				Classify: func(err error) batch.Verdict {
					if errors.Is(err, errPassing) {
						return batch.Retry
					}
					return batch.Split
				},
			}
			story = rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) step {
				s := step{do: rapid.SampledFrom([]string{"ask", "ask", "ask", "ask", "cancel", "sleep"}).Draw(rt, "do")}
				switch s.do {
				case "ask":
					s.key = rapid.IntRange(0, 2).Draw(rt, "key")
					s.kind = rapid.SampledFrom([]kind{good, good, good, good, denied, poison, bomb}).Draw(rt, "kind")
					s.deadline = time.Duration(max(0, rapid.IntRange(-20, 9).Draw(rt, "deadline"))) * ms
				case "cancel":
					s.which = rapid.IntRange(0, 60).Draw(rt, "which")
				case "sleep":
					s.sleep = time.Duration(rapid.IntRange(1, 4).Draw(rt, "ms")) * ms
				}
				return s
			}), 1, 80).Draw(rt, "story")
		)
		runs := 0
		s := newStore(cfg)
		s.takes = func() time.Duration { return time.Duration(durations[runs%len(durations)]) * ms }
		s.passes = func() bool { runs++; return pass && passing[runs%len(passing)] }
		synctest.Test(t, func(t *testing.T) { s.tell(story, hurry, pass) })
		if len(s.breaches) > 0 {
			rt.Fatal(s.breaches)
		}
	})
}

// tell lives through a story, looking around whenever everything has come to rest.
func (s *store) tell(story []step, hurry, passing bool) {
	type asked struct {
		key    int
		cancel context.CancelFunc
		to     <-chan answer
		got    *answer
		never  bool // left before it was taken
		mortal bool // may leave
	}
	g := batch.New(s.run, s.cfg)
	var all []*asked
	waiting := map[int]int{} // by key
	look := func() {
		synctest.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		clear(waiting)
		total, left := 0, map[int]int{}
		for i, a := range all {
			if a.got == nil {
				select {
				case got := <-a.to:
					a.got = &got
				default:
				}
			}
			if a.got == nil && !s.started[i] {
				waiting[a.key]++
				total++
			}
			if a.never && s.started[i] {
				s.breach("request %d ran after it left", i)
			}
			if a.got != nil && !s.started[i] {
				left[a.key]++ // perhaps out of a batch that was about to begin
			}
		}
		if n := g.Waiting(); n != total {
			s.breach("%d wait, it says %d", total, n)
		}
		if s.cfg.Linger == 0 && !passing { // else they may be pausing
			for key, n := range waiting {
				behind := s.running[key] < s.cfg.Pipeline && n >= s.latest[key]+left[key]
				if n > 0 && (s.running[key] == 0 || behind) && s.busy < s.cfg.Concurrency {
					s.breach("%d wait under %d for nothing", n, key)
				}
			}
		}
	}
	for _, st := range story {
		switch st.do {
		case "ask":
			ctx, cancel := context.WithCancel(ctx)
			if st.deadline > 0 {
				ctx, cancel = context.WithTimeout(ctx, st.deadline)
			}
			i, total := len(all), 0
			for _, n := range waiting {
				total += n
			}
			full := waiting[st.key] >= s.cfg.Depth || total >= s.cfg.TotalDepth
			s.mu.Lock()
			s.kinds[i] = st.kind
			s.mu.Unlock()
			a := &asked{key: st.key, cancel: cancel, mortal: st.deadline > 0, to: ask(g, ctx, st.key, i)}
			all = append(all, a)
			look()
			if refused := a.got != nil && errors.Is(a.got.err, batch.ErrFull); refused != full {
				s.breach("request %d was refused: %t; the queue was full: %t", i, refused, full)
			}
		case "cancel":
			if st.which >= len(all) {
				continue
			}
			a := all[st.which]
			a.mortal = a.mortal || a.got == nil
			a.never = a.never || a.got == nil && !s.started[st.which]
			a.cancel()
			look()
			if a.got == nil {
				s.breach("request %d left, but Do did not return", st.which)
			}
		case "sleep":
			time.Sleep(st.sleep)
			look()
		}
	}
	within, cancel := context.WithCancel(ctx)
	if hurry {
		within, cancel = context.WithTimeout(ctx, 2*ms)
	}
	if err := g.Close(within); err != nil && !hurry {
		s.breach("close: %v", err)
	}
	cancel()
	look()
	if err := g.Close(ctx); err != nil {
		s.breach("close: %v", err)
	}
	look()
	for i, a := range all {
		a.cancel()
		if a.got == nil {
			s.breach("request %d was never answered", i)
			continue
		}
		s.judge(*a.got, a.mortal, hurry, passing)
	}
	for key, order := range s.order {
		for i := 1; i < len(order) && s.cfg.Pipeline == 1; i++ {
			if order[i-1] > order[i] {
				s.breach("key %d ran %d, not first come first", key, order)
			}
		}
	}
}
