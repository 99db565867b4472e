package supergraph

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/engine/datasource/graphql_datasource"
	"github.com/wundergraph/graphql-go-tools/v2/pkg/engine/plan"
)

// Factory plans and runs the fetches of all subgraphs.
type Factory = plan.PlannerFactory[graphql_datasource.Configuration]

// Configuration tells the planner about every subgraph. urls, by subgraph name, go before those of the file.
func (s *Supergraph) Configuration(f Factory, urls map[string]string) (plan.Configuration, error) {
	c := plan.Configuration{Fields: s.fieldConfigurations()}
	for i, g := range s.subgraphs {
		url := g.url
		if u := urls[g.name]; u != "" {
			url = u
		}
		if url == "" {
			return c, fmt.Errorf("supergraph: subgraph %s has no URL", g.name)
		}
		source, err := s.source(i, g, url, f)
		if err != nil {
			return c, fmt.Errorf("supergraph: subgraph %s: %w", g.name, err)
		}
		c.DataSources = append(c.DataSources, source)
	}
	return c, nil
}

func (s *Supergraph) source(i int, g *subgraph, url string, f Factory) (plan.DataSource, error) {
	schema, err := graphql_datasource.NewSchemaConfiguration(g.sdl(false), &graphql_datasource.FederationConfiguration{Enabled: true, ServiceSDL: g.sdl(true)})
	if err != nil {
		return nil, err
	}
	custom, err := graphql_datasource.NewConfiguration(graphql_datasource.ConfigurationInput{
		Fetch:               &graphql_datasource.FetchConfiguration{URL: url, Method: http.MethodPost},
		Subscription:        &graphql_datasource.SubscriptionConfiguration{URL: url, UseSSE: true, SSEMethodPost: true},
		SchemaConfiguration: schema,
	})
	if err != nil {
		return nil, err
	}
	return plan.NewDataSourceConfigurationWithName(strconv.Itoa(i), g.name, f, s.metadata(g), custom)
}

// fieldConfigurations names the arguments of each field, and marks the fields that not everybody may see.
func (s *Supergraph) fieldConfigurations() plan.FieldConfigurations {
	var out plan.FieldConfigurations
	for _, d := range s.ordered {
		if d.Kind != ast.Object && d.Kind != ast.Interface {
			continue
		}
		for _, f := range d.Fields {
			_, guarded := s.rules[Coordinate{d.Name, f.Name}]
			c := plan.FieldConfiguration{TypeName: d.Name, FieldName: f.Name, HasAuthorizationRule: guarded}
			for _, a := range f.Arguments {
				c.Arguments = append(c.Arguments, plan.ArgumentConfiguration{Name: a.Name, SourceType: plan.FieldArgumentSource})
			}
			if guarded || len(c.Arguments) > 0 {
				out = append(out, c)
			}
		}
	}
	return out
}
