package engine

import (
	"slices"

	"github.com/wundergraph/graphql-go-tools/v2/pkg/engine/plan"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/engine/resolve"
)

// The library lets fetches run side by side when all they depend on is before them in the same tree. Below an event or
// in a deferred part, they depend on something that came with an earlier answer, and would queue for no reason.

// forgetTrigger makes the fetches below an event independent of the event, which is there when they begin.
func forgetTrigger(p plan.Plan) {
	s, ok := p.(*plan.SubscriptionResponsePlan)
	if !ok {
		return
	}
	var ids []int
	for _, f := range s.Response.Response.RawFetches {
		ids = append(ids, f.Fetch.Dependencies().FetchID)
	}
	for _, f := range s.Response.Response.RawFetches {
		d := f.Fetch.Dependencies()
		d.DependsOnFetchIDs = slices.DeleteFunc(d.DependsOnFetchIDs, func(id int) bool { return !slices.Contains(ids, id) })
	}
}

// parallelise groups the fetches of each deferred part into waves.
func parallelise(n *resolve.DeferTreeNode) {
	if n == nil {
		return
	}
	if n.Item != nil && n.Item.Fetches != nil && n.Item.Fetches.Kind == resolve.FetchTreeNodeKindSequence {
		waves(n.Item.Fetches)
	}
	for _, c := range n.ChildNodes {
		parallelise(c)
	}
}

// waves puts into each step of a sequence every fetch that waits for earlier steps alone.
func waves(root *resolve.FetchTreeNode) {
	var rest []*resolve.FetchTreeNode
	missing := map[int]bool{}
	for _, c := range root.ChildNodes {
		for _, f := range append([]*resolve.FetchTreeNode{c}, c.ChildNodes...) {
			if f.Item != nil {
				rest = append(rest, f)
				for _, id := range fetchIDs(f) {
					missing[id] = true
				}
			}
		}
	}
	var steps []*resolve.FetchTreeNode
	for len(rest) > 0 {
		var ready, later []*resolve.FetchTreeNode
		for _, f := range rest {
			if slices.ContainsFunc(f.Item.Fetch.Dependencies().DependsOnFetchIDs, func(id int) bool { return missing[id] && !slices.Contains(fetchIDs(f), id) }) {
				later = append(later, f)
			} else {
				ready = append(ready, f)
			}
		}
		if len(ready) == 0 {
			return // nothing that this function understands; the library's order stands
		}
		for _, f := range ready {
			for _, id := range fetchIDs(f) {
				delete(missing, id)
			}
		}
		if len(ready) == 1 {
			steps = append(steps, ready[0])
		} else {
			steps = append(steps, resolve.Parallel(ready...))
		}
		rest = later
	}
	root.ChildNodes = steps
}

func fetchIDs(n *resolve.FetchTreeNode) []int {
	ids := []int{n.Item.Fetch.Dependencies().FetchID}
	if m, ok := n.Item.Fetch.(*resolve.MultiEntityFetch); ok {
		ids = append(ids, m.MergedFetchIDs...)
	}
	return ids
}
