package engine

import (
	"encoding/json"
	"sync"

	"github.com/wundergraph/graphql-go-tools/v2/pkg/engine/resolve"
)

// A Step is a node of a query plan.
type Step struct {
	Kind     string   `json:"kind"`               // fetch, sequence, parallel, subscription, defer
	Subgraph string   `json:"subgraph,omitempty"` // of a fetch
	Path     string   `json:"path,omitempty"`     // where the answer belongs; "@" stands for each item of a list
	Label    string   `json:"label,omitempty"`    // of a deferred part
	Query    string   `json:"query,omitempty"`
	Needs    []string `json:"needs,omitempty"` // the entities' fields that are sent along
	Steps    []*Step  `json:"steps,omitempty"`
}

// A description is a plan made readable, once, when somebody wants to read it.
type description struct {
	once    sync.Once
	json    json.RawMessage
	fetches int
	hops    int
}

// Plan describes how the operation is answered, as a tree of Steps.
func (op *Operation) Plan() json.RawMessage { return op.document.plan.describe().json }

// Fetches returns how many requests to subgraphs the plan has.
func (op *Operation) Fetches() int { return op.document.plan.describe().fetches }

// Hops returns the length of the longest chain of requests that wait for each other.
func (op *Operation) Hops() int { return op.document.plan.describe().hops }

func (x *executable) describe() *description {
	x.description.once.Do(func() {
		root := x.steps()
		x.description.fetches, x.description.hops = root.count()
		x.description.json, _ = json.Marshal(root)
	})
	return &x.description
}

func (x *executable) steps() *Step {
	first := stepOf(x.response.Fetches.QueryPlan())
	switch {
	case x.subscription != nil:
		s := &Step{Kind: "subscription", Steps: []*Step{{
			Kind: "fetch", Subgraph: x.subscription.Trigger.SourceName, Query: x.subscription.Trigger.QueryPlan.Query,
		}}}
		if first != nil {
			s.Steps = append(s.Steps, first)
		}
		return s
	case x.incremental != nil:
		s := &Step{Kind: "sequence"}
		if first != nil {
			s.Steps = append(s.Steps, first)
		}
		if d := x.deferredSteps(x.incremental.DeferTree); d != nil {
			s.Steps = append(s.Steps, d)
		}
		return s
	case first == nil:
		return &Step{Kind: "sequence"}
	}
	return first
}

func (x *executable) deferredSteps(n *resolve.DeferTreeNode) *Step {
	if n == nil {
		return nil
	}
	switch n.Kind {
	case resolve.DeferTreeNodeKindSingle:
		s := &Step{Kind: "defer", Label: x.incremental.DeferDescriptors[n.Item.DeferID].Label}
		if f := stepOf(n.Item.Fetches.QueryPlan()); f != nil {
			s.Steps = []*Step{f}
		}
		return s
	case resolve.DeferTreeNodeKindParallel:
		return &Step{Kind: "parallel", Steps: x.deferredAll(n.ChildNodes)}
	}
	return &Step{Kind: "sequence", Steps: x.deferredAll(n.ChildNodes)}
}

func (x *executable) deferredAll(nodes []*resolve.DeferTreeNode) []*Step {
	var out []*Step
	for _, n := range nodes {
		if s := x.deferredSteps(n); s != nil {
			out = append(out, s)
		}
	}
	return out
}

// stepOf translates the library's tree, leaving out what makes no request and groups of one.
func stepOf(n *resolve.FetchTreeQueryPlanNode) *Step {
	if n == nil {
		return nil
	}
	if n.Kind == resolve.FetchTreeNodeKindSingle {
		if n.Fetch == nil || resolve.IsIntrospectionDataSource(n.Fetch.SubgraphID) {
			return nil
		}
		s := &Step{Kind: "fetch", Subgraph: n.Fetch.SubgraphName, Path: n.Fetch.Path, Query: n.Fetch.Query}
		for _, r := range n.Fetch.Representations {
			s.Needs = append(s.Needs, r.Fragment)
		}
		return s
	}
	s := &Step{Kind: "sequence"}
	if n.Kind == resolve.FetchTreeNodeKindParallel {
		s.Kind = "parallel"
	}
	for _, c := range n.Children {
		if child := stepOf(c); child != nil {
			s.Steps = append(s.Steps, child)
		}
	}
	switch len(s.Steps) {
	case 0:
		return nil
	case 1:
		return s.Steps[0]
	}
	return s
}

// count returns the number of fetches below a step, and how many of them wait for each other at most.
func (s *Step) count() (fetches, hops int) {
	if s.Kind == "fetch" {
		return 1, 1
	}
	for _, c := range s.Steps {
		f, h := c.count()
		fetches += f
		if s.Kind == "parallel" {
			hops = max(hops, h)
		} else {
			hops += h
		}
	}
	return fetches, hops
}
