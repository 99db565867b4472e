package history

import (
	"fmt"
	"io"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/souk-shop/souk/subgraphs/flashsale"
)

// A Verdict is what a check comes to.
type Verdict struct {
	Result Result
	Took   time.Duration
	Steps  int    // the operations that were judged: without those that changed nothing for sure, with what the server does by itself
	Stuck  string // where nothing explains the history any more, "" when all is explained

	model porcupine.Model
	info  porcupine.LinearizationInfo
}

// A Result tells whether there is an explanation.
type Result string

// The results of a check, of which all but the first are failures. AgainstLog is what the sale's own log speaks against, where whether
// something else explains it is more than could be tried. Undecided shows nothing.
const (
	Explained   Result = "EXPLAINED"
	Unexplained Result = "UNEXPLAINED"
	AgainstLog  Result = "AGAINST_THE_LOG"
	Undecided   Result = "UNDECIDED"
)

// Check judges the operations on one sale, which is given as it was set up, before the first of them. The census that ends a history,
// if there is one, has to begin when all else has ended or been given up.
func Check(sale flashsale.Sale, ops []Operation, patience time.Duration) Verdict {
	b := read(sale, ops)
	v := Verdict{model: b.model(nil)}
	began := time.Now()
	// When something without an answer may have happened any time, the guesses are more than anybody can try. So the sale's own log
	// is heard too. It is not trusted: what follows it is an explanation like any other, and its word is held against a history only where
	// nothing else can be said, which is not to say that nothing explains it.
	all, suggested := b.operations(ops, nil), b.operations(ops, b.suggested(ops))
	v.Steps = len(all)
	result, spoken := porcupine.Unknown, (*porcupine.Operation)(nil)
	if b.log != nil {
		explained, known, at := b.follow(suggested)
		if explained {
			result = porcupine.Ok
		} else if known {
			spoken = at
		}
	}
	for wait := patience / 64; wait <= patience && result == porcupine.Unknown; wait *= 4 {
		result = porcupine.CheckOperationsTimeout(v.model, all, wait)
	}
	v.Result = map[porcupine.CheckResult]Result{porcupine.Ok: Explained, porcupine.Illegal: Unexplained, porcupine.Unknown: Undecided}[result]
	if v.Result != Explained {
		_, v.info = porcupine.CheckOperationsVerbose(v.model, all, patience)
		v.Stuck = stuck(all, v.info)
	}
	if v.Result == Undecided && spoken != nil {
		v.Result, v.Stuck = AgainstLog, spoken.Input.(*step).at(*spoken)
	}
	v.Took = time.Since(began)
	return v
}

// Draw writes a page that shows the operations over time, and how far they can be explained. There is one only when not all is.
func (v Verdict) Draw(w io.Writer) error { return porcupine.Visualize(v.model, v.info, w) }

// stuck names the operation that returned first of those that the longest explanation leaves out.
func stuck(steps []porcupine.Operation, info porcupine.LinearizationInfo) string {
	longest := map[int]bool{}
	for _, partial := range info.PartialLinearizations()[0] {
		if len(partial) > len(longest) {
			longest = map[int]bool{}
			for _, i := range partial {
				longest[i] = true
			}
		}
	}
	var at *porcupine.Operation
	for i := range steps {
		if !longest[i] && (at == nil || steps[i].Return < at.Return) {
			at = &steps[i]
		}
	}
	if at == nil {
		return ""
	}
	return at.Input.(*step).at(*at)
}

func (st *step) at(o porcupine.Operation) string {
	return fmt.Sprintf("client %d, %v to %v: %v", o.ClientId, time.Duration(o.Call).Round(time.Microsecond), time.Duration(o.Return).Round(time.Microsecond), st)
}
