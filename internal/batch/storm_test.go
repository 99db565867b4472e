package batch_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/souk-shop/souk/internal/batch"
)

// Everything at once on real cores: callers that ask, leave, poison and blow up while the group is being closed.
func TestStorm(t *testing.T) {
	const callers, each = 128, 100
	s := newStore(batch.Config{MaxSize: 16, Depth: 48, TotalDepth: 100, Pipeline: 2, Concurrency: 3, MaxRuns: 1000})
	for i := range callers * each {
		switch rand.IntN(100) {
		case 0:
			s.kinds[i] = bomb
		case 1, 2:
			s.kinds[i] = poison
		case 3, 4, 5:
			s.kinds[i] = denied
		}
	}
	g := batch.New(s.run, s.cfg)
	var wg, most sync.WaitGroup
	most.Add(callers * each * 9 / 10)
	var mu sync.Mutex
	var answers []answer
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				req := c*each + i
				ctx, cancel := context.WithCancel(ctx)
				if rand.IntN(4) == 0 {
					wg.Go(cancel)
				}
				v, err := g.Do(ctx, rand.IntN(5), req)
				cancel()
				mu.Lock()
				if answers = append(answers, answer{req, v, err}); len(answers) <= callers*each*9/10 {
					most.Done()
				}
				mu.Unlock()
			}
		})
	}
	most.Wait()
	closed(t, g)
	wg.Wait()
	if len(answers) != callers*each || g.Waiting() != 0 {
		t.Errorf("%d answers, %d still waiting", len(answers), g.Waiting())
	}
	ok := 0
	for _, a := range answers {
		s.judge(a, true, false, false)
		if a.err == nil {
			ok++
		}
	}
	if len(s.breaches) > 0 {
		t.Error(len(s.breaches), s.breaches[:min(5, len(s.breaches))])
	}
	if ok == 0 {
		t.Error("nobody got anything")
	}
	t.Logf("%d of %d succeeded", ok, callers*each)
}
