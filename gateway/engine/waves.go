package engine

import (
	"slices"

	"github.com/wundergraph/graphql-go-tools/v2/pkg/ast"
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

// inSeries makes each mutation of an operation wait for all that is fetched for the one before it. The library has
// mutations wait for each other alone, so what a client reads after the first could already show the second.
func inSeries(p plan.Plan) {
	var r *resolve.GraphQLResponse
	switch p := p.(type) {
	case *plan.SynchronousResponsePlan:
		r = p.Response
	case *plan.DeferResponsePlan:
		r = p.Response.Response
	}
	if r == nil || r.Info == nil || r.Info.OperationType != ast.OperationTypeMutation {
		return
	}
	var roots []*resolve.FetchDependencies // in the order of the mutations
	below := map[string][]int{}            // response key of a mutation → the fetches for what it returns
	for _, f := range r.RawFetches {
		d := f.Fetch.Dependencies()
		if len(f.ResponsePathElements) > 0 {
			key := f.ResponsePathElements[0]
			below[key] = append(below[key], d.FetchID)
		} else if f.Fetch.FetchInfo().OperationType == ast.OperationTypeMutation {
			roots = append(roots, d)
		}
	}
	slices.SortFunc(roots, func(a, b *resolve.FetchDependencies) int { return a.FetchID - b.FetchID })
	keys := fetchedKeys(r.Data)
	if len(keys) != len(roots) {
		return // each mutation has a fetch of its own; anything else is not understood here
	}
	var before []int
	for i, root := range roots {
		for _, id := range before {
			if !slices.Contains(root.DependsOnFetchIDs, id) {
				root.DependsOnFetchIDs = append(root.DependsOnFetchIDs, id)
			}
		}
		before = append(append(before, root.FetchID), below[keys[i]]...)
	}
}

// fetchedKeys lists the response keys at the top of an answer that need a fetch.
func fetchedKeys(root *resolve.Object) []string {
	var keys []string
	for _, f := range root.Fields {
		if f.Info != nil && f.Info.Name != "__typename" {
			keys = append(keys, string(f.Name))
		}
	}
	return keys
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
