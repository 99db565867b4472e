package frontends

import (
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"github.com/souk-shop/souk/schema"
)

// Every operation is one that the graph answers, in a file of its own name.
func TestOperationsFitTheSchema(t *testing.T) {
	graph, err := gqlparser.LoadSchema(&ast.Source{Name: "supergraph.graphql", Input: schema.Supergraph})
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	fs.WalkDir(files, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || path.Ext(file) != ".graphql" {
			return err
		}
		seen++
		text, err := files.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		doc, errs := gqlparser.LoadQueryWithRules(graph, string(text), rules.NewDefaultRules())
		if errs != nil {
			t.Errorf("%s: %v", file, errs)
			return nil
		}
		name := strings.TrimSuffix(path.Base(file), ".graphql")
		if len(doc.Operations) != 1 || doc.Operations[0].Name != name {
			t.Errorf("%s holds another operation than %s", file, name)
		}
		return nil
	})
	if seen < 30 {
		t.Errorf("only %d operations were looked at", seen)
	}
}

// Every example has the variables that its operation needs, of the right shape.
func TestExamples(t *testing.T) {
	graph := gqlparser.MustLoadSchema(&ast.Source{Name: "supergraph.graphql", Input: schema.Supergraph})
	all, err := Examples()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		doc, errs := gqlparser.LoadQueryWithRules(graph, e.Query, rules.NewDefaultRules())
		if errs != nil {
			t.Errorf("%s: %v", e.Name, errs)
			continue
		}
		if _, err := validator.VariableValues(graph, doc.Operations[0], plainValues(e.Variables)); err != nil {
			t.Errorf("%s: %v", e.Name, err)
		}
	}
	if len(all) < 15 {
		t.Errorf("only %d examples", len(all))
	}
}

// plainValues makes of YAML's numbers those that JSON would have.
func plainValues(v map[string]any) map[string]any {
	out := make(map[string]any, len(v))
	for k, x := range v {
		out[k] = plainValue(x)
	}
	return out
}

func plainValue(v any) any {
	switch v := v.(type) {
	case uint64:
		return int(v)
	case map[string]any:
		return plainValues(v)
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = plainValue(x)
		}
		return out
	}
	return v
}
