package history

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"github.com/anishathalye/porcupine"
)

// mostTried is how many ways to go on are tried before a search is given up.
const mostTried = 1 << 20

// A follower looks for an order of the operations in which the units move as the sale's log says. There is little to choose then, so it
// comes to an end where a search among all orders would not: what only tells how things stand is taken as soon as it is true, which
// keeps no other operation from anything.
type follower struct {
	model porcupine.Model
	ops   []porcupine.Operation // by when they began
	names []uint64              // of each, to tell sets of them apart
	told  map[Moved]int         // in which line of the log something moves
	seen  map[uint64]bool
	taken []bool
	order []int // in which they were taken
	most  int
	stuck []bool // what was taken when most was
}

// follow looks for an explanation that follows the log. Without one it tells what the longest leaves out: of that, the operation that
// is the first to return. Known is false when there were too many ways to try.
func (b *book) follow(ops []porcupine.Operation) (explained, known bool, stuckAt *porcupine.Operation) {
	f := &follower{model: b.model(b.log), ops: slices.Clone(ops), told: map[Moved]int{}, seen: map[uint64]bool{}, taken: make([]bool, len(ops)), most: -1}
	slices.SortStableFunc(f.ops, func(x, y porcupine.Operation) int { return cmp.Compare(x.Call, y.Call) })
	for i, m := range b.log {
		f.told[m] = i
	}
	rnd := rand.New(rand.NewPCG(1, 1))
	for range f.ops {
		f.names = append(f.names, rnd.Uint64())
	}
	if f.goOn(f.model.Init().(*state), 0, 0) {
		// It kept to the times; porcupine has the last word on the rules.
		var found []porcupine.Operation
		for at, i := range f.order {
			o := f.ops[i]
			o.Call, o.Return = int64(2*at), int64(2*at+1)
			found = append(found, o)
		}
		return porcupine.CheckOperations(b.model(nil), found), true, nil
	}
	for i := range f.ops {
		if !f.stuck[i] && (stuckAt == nil || f.ops[i].Return < stuckAt.Return) {
			stuckAt = &f.ops[i]
		}
	}
	return false, len(f.seen) < mostTried, stuckAt
}

// goOn tells whether the operations that are not taken yet can follow a state. Before first all are taken; the set that is has a name.
func (f *follower) goOn(s *state, first int, set uint64) bool {
	began := len(f.order)
	for again := true; again; {
		again = false
		for first < len(f.ops) && f.taken[first] {
			first++
		}
		for _, i := range f.next(first) {
			if f.idle(s, f.ops[i].Input.(*step)) {
				if ok, _ := f.model.Step(s, f.ops[i].Input, nil); ok {
					f.taken[i], again, set = true, true, set^f.names[i]
					f.order = append(f.order, i)
				}
			}
		}
	}
	if len(f.order) > f.most {
		f.most, f.stuck = len(f.order), slices.Clone(f.taken)
	}
	if len(f.order) == len(f.ops) {
		return true
	}
	if k := set ^ s.hash; !f.seen[k] && len(f.seen) < mostTried {
		f.seen[k] = true
		for _, i := range f.next(first) {
			ok, next := f.model.Step(s, f.ops[i].Input, nil)
			if !ok || f.idle(s, f.ops[i].Input.(*step)) {
				continue
			}
			f.taken[i] = true
			f.order = append(f.order, i)
			if f.goOn(next.(*state), first, set^f.names[i]) {
				return true
			}
			f.taken[i] = false
			f.order = f.order[:len(f.order)-1]
		}
	}
	for _, i := range f.order[began:] {
		f.taken[i] = false
	}
	f.order = f.order[:began]
	return false
}

// idle tells whether a step changes nothing from a state on: it only looks, or what it would do is not in the log any more.
func (f *follower) idle(s *state, st *step) bool {
	if st.Kind == Pay {
		return false
	}
	line, told := f.told[st.moves()]
	return !told || line < s.moved
}

// next lists the operations that may come next: those that began before any that is left returned.
func (f *follower) next(first int) (may []int) {
	until := int64(Never)
	for i := first; i < len(f.ops) && f.ops[i].Call <= until; i++ {
		if !f.taken[i] {
			may = append(may, i)
			until = min(until, f.ops[i].Return)
		}
	}
	return slices.DeleteFunc(may, func(i int) bool { return f.ops[i].Call > until })
}
