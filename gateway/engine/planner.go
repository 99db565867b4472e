package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/ast"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/astparser"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/engine/datasource/graphql_datasource"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/engine/datasource/introspection_datasource"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/engine/plan"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/engine/postprocess"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/operationreport"

	"github.com/souk-shop/souk/gateway/supergraph"
)

// A planner turns normalised operations into plans, each once.
type planner struct {
	config   plan.Configuration
	graph    *supergraph.Supergraph
	schema   *ast.Document
	plans    *cache[*executable]
	slots    chan struct{}
	budget   time.Duration
	duration prometheus.Histogram
	log      *slog.Logger
}

func newPlanner(ctx context.Context, graph *supergraph.Supergraph, upstream *http.Client, c Config, m *metrics) (*planner, error) {
	p := &planner{graph: graph, slots: make(chan struct{}, planners()), budget: c.PlanBudget, duration: m.planning, log: c.Log}
	var err error
	if p.plans, err = newCache[*executable](c.Plans, m.lookups, c.Log, "plans"); err != nil {
		return nil, err
	}
	if p.schema, err = graph.RouterSchema(); err != nil {
		return nil, fmt.Errorf("router schema: %w", err)
	}
	factory, err := graphql_datasource.NewFactory(ctx, upstream, noStreams{})
	if err != nil {
		return nil, err
	}
	// Types that never meet in one object may disagree about null, as far as the subgraphs are concerned. The switch in
	// the planner's configuration would write to the factory with every plan, which races.
	factory.EnableSubgraphFieldSelectionMergingNullabilityRelaxation()
	if p.config, err = graph.Configuration(factory, c.URLs); err != nil {
		return nil, err
	}
	introspected, err := graph.ClientSchema()
	if err != nil {
		return nil, fmt.Errorf("client schema: %w", err)
	}
	introspection, err := introspection_datasource.NewIntrospectionConfigFactory(introspected)
	if err != nil {
		return nil, fmt.Errorf("introspection: %w", err)
	}
	p.config.Fields = append(p.config.Fields, introspection.BuildFieldConfigurations()...)
	p.config.DataSources = append(p.config.DataSources, introspection.BuildDataSourceConfigurations()...)
	p.config.EnableMultiFetch = true
	for _, d := range p.config.DataSources {
		d.Hash() // computed on first use, which would race
	}
	return p, nil
}

// plan returns the plan of a normalised operation. Work that takes longer than its budget is given up.
func (p *planner) plan(text, name string) (*executable, error) {
	ctx, cancel := context.WithTimeout(context.Background(), p.budget)
	defer cancel()
	x, err := p.plans.get(ctx, digestOf(text, name), func() (*executable, error) {
		// The library cannot be interrupted. What outlives its budget keeps a slot, so hostile documents
		// cost at most the slots, and the same document asked for again joins the work in progress.
		select {
		case p.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		defer func() { <-p.slots }()
		return p.make(text, name)
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, failure(CodeTooComplex, "the operation is too complex to plan")
	}
	return x, err
}

func (p *planner) make(text, name string) (*executable, error) {
	began := time.Now()
	defer func() { p.duration.Observe(time.Since(began).Seconds()) }()
	doc, report := astparser.ParseGraphqlDocumentString(text) // a copy of its own: the planner writes in it
	if report.HasErrors() {
		return nil, internal()
	}
	placeholder := settle(&doc, p.schema, p.graph)
	planner, err := plan.NewPlanner(p.config)
	if err != nil {
		return nil, err
	}
	report = operationreport.Report{}
	made := planner.Plan(&doc, p.schema, name, &report, plan.IncludeQueryPlanInResponse())
	if report.HasErrors() {
		return nil, fromReport(p.log, report, CodeValidation)
	}
	forgetTrigger(made)
	inSeries(made)
	postprocess.NewProcessor(postprocess.EnableMultiFetch()).Process(made)
	x, err := newExecutable(made, text, name, p.log)
	if err == nil && placeholder != "" {
		hide(x.response.Data, placeholder)
	}
	return x, err
}
