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
	seen  map[uint64]bool
	taken []bool
	most  int
	stuck []bool // what was taken when most was
}

// contradicts tells whether no order of the operations has the units move as the log says, and then which operation is the first to
// return that the longest one leaves out. It is false also when there are too many ways to try.
func (b *book) contradicts(ops []porcupine.Operation) (bool, *porcupine.Operation) {
	f := &follower{model: b.model(b.log), ops: slices.Clone(ops), seen: map[uint64]bool{}, taken: make([]bool, len(ops)), most: -1}
	slices.SortStableFunc(f.ops, func(x, y porcupine.Operation) int { return cmp.Compare(x.Call, y.Call) })
	rnd := rand.New(rand.NewPCG(1, 1))
	for range f.ops {
		f.names = append(f.names, rnd.Uint64())
	}
	if f.goOn(f.model.Init().(*state), 0, 0, 0) || len(f.seen) >= mostTried {
		return false, nil
	}
	var at *porcupine.Operation
	for i := range f.ops {
		if !f.stuck[i] && (at == nil || f.ops[i].Return < at.Return) {
			at = &f.ops[i]
		}
	}
	return true, at
}

// goOn tells whether the operations that are not taken yet can follow a state. Before first all are taken; the set that is has a name.
func (f *follower) goOn(s *state, first, count int, set uint64) bool {
	var looked []int
	defer func() {
		for _, i := range looked {
			f.taken[i] = false
		}
	}()
	for again := true; again; {
		again = false
		for first < len(f.ops) && f.taken[first] {
			first++
		}
		for _, i := range f.next(first) {
			if st := f.ops[i].Input.(*step); st.looks() {
				if ok, _ := f.model.Step(s, st, nil); ok {
					f.taken[i], again, count, set = true, true, count+1, set^f.names[i]
					looked = append(looked, i)
				}
			}
		}
	}
	if count > f.most {
		f.most, f.stuck = count, slices.Clone(f.taken)
	}
	if count == len(f.ops) {
		return true
	}
	if k := set ^ s.hash; f.seen[k] || len(f.seen) >= mostTried {
		return false
	} else {
		f.seen[k] = true
	}
	for _, i := range f.next(first) {
		st := f.ops[i].Input.(*step)
		if st.looks() {
			continue
		}
		ok, next := f.model.Step(s, st, nil)
		if !ok {
			continue
		}
		f.taken[i] = true
		if f.goOn(next.(*state), first, count+1, set^f.names[i]) {
			return true
		}
		f.taken[i] = false
	}
	return false
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

// looks tells whether a step changes nothing, whatever the state.
func (st *step) looks() bool {
	switch {
	case st.expire, st.server, !st.Known():
		return false
	}
	return st.moves() == Moved{} && st.Kind != Pay
}
