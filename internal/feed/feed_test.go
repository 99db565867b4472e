package feed_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/souk-shop/souk/internal/feed"
)

// A count of something, which rises with its rank.
type count struct {
	of   string
	rank int64
}

func (c count) Key() string { return c.of }
func (c count) Rank() int64 { return c.rank }

const pace = 200 * time.Millisecond

func watch(t *testing.T, f *feed.Feed[count], now ...count) <-chan *count {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	t.Cleanup(leave)
	news, err := f.Watch(ctx, []string{"a", "b"}, func(context.Context) ([]count, error) { return now, nil })
	if err != nil {
		t.Fatal(err)
	}
	return news
}

// However much is told, a watcher hears of one thing five times a second at most, ever newer, and of the last value exactly. The
// tests run in a bubble, whose clock stands still while anybody has something to do.
func TestS101APaceAndTheLastExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := feed.New[count](pace)
		news := watch(t, f, count{"a", 1})
		var heard []int64
		var at []time.Time
		go func() {
			for v := range news {
				heard, at = append(heard, v.rank), append(at, time.Now())
			}
		}()
		synctest.Wait()
		for rank := range int64(1000) { // for a second
			f.Tell(count{"a", rank + 2})
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if len(heard) < 5 || len(heard) > 7 || heard[0] != 1 || heard[len(heard)-1] != 1001 {
			t.Errorf("of a thousand changes in a second it heard %v", heard)
		}
		for i := 1; i < len(heard); i++ {
			if heard[i] <= heard[i-1] || at[i].Sub(at[i-1]) < pace {
				t.Errorf("%d came %v after %d", heard[i], at[i].Sub(at[i-1]), heard[i-1])
			}
		}
	})
}

// Who is slow misses what was in between, hears nothing older than it heard, and keeps nobody waiting.
func TestASlowWatcherHearsTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := feed.New[count](pace)
		news := watch(t, f, count{"a", 5})
		synctest.Wait()
		for _, rank := range []int64{7, 9, 8, 3} {
			f.Tell(count{"a", rank})
		}
		f.Tell(count{"b", 1})
		f.Tell(count{"c", 1}) // which it does not watch
		got := map[string][]int64{}
		for range 3 {
			v := <-news
			got[v.of] = append(got[v.of], v.rank)
		}
		if a := got["a"]; len(a) != 2 || a[0] != 5 || a[1] != 9 || len(got["b"]) != 1 {
			t.Errorf("%v", got)
		}
		time.Sleep(time.Second)
		f.Tell(count{"a", 9}) // again
		f.Tell(count{"a", 4}) // and late
		time.Sleep(time.Second)
		synctest.Wait()
		select {
		case v := <-news:
			t.Errorf("%+v is no news", v)
		default:
		}
	})
}

// What falls between the reading and the watching is heard, and whoever leaves is forgotten.
func TestNothingFallsInBetween(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := feed.New[count](pace)
		ctx, leave := context.WithCancel(t.Context())
		news, err := f.Watch(ctx, []string{"a"}, func(context.Context) ([]count, error) {
			f.Tell(count{"a", 2})
			return []count{{"a", 1}}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if v := <-news; v.rank != 2 {
			t.Errorf("it heard %d", v.rank)
		}
		leave()
		if _, more := <-news; more || f.Watched() {
			t.Error("it is still watched")
		}
		away := errors.New("away")
		if _, err := f.Watch(t.Context(), []string{"a"}, func(context.Context) ([]count, error) { return nil, away }); !errors.Is(err, away) || f.Watched() {
			t.Errorf("what cannot be read is not watched: %v", err)
		}
	})
}
