package souk

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/souk-shop/souk"

// What the domain must not reach, however deep: wires, stores and GraphQL are for the folders beside it.
var technology = []string{
	"github.com/99designs/gqlgen/graphql", "github.com/jackc/pgx/v5", "database/sql", "net/http",
	"github.com/nats-io/nats.go", "go.mongodb.org/mongo-driver/v2/mongo", "github.com/typesense/typesense-go/v4/typesense",
}

// The shape of the code, kept honest. ARCHITECTURE.md says why.
func TestArchitecture(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	subgraph := regexp.MustCompile(`^` + module + `/subgraphs/(\w+)(/.*)?$`)
	seen := 0
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var pkg struct {
			ImportPath    string
			Imports, Deps []string
		}
		if err := dec.Decode(&pkg); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		seen++
		m := subgraph.FindStringSubmatch(pkg.ImportPath)
		for _, imp := range pkg.Imports {
			n := subgraph.FindStringSubmatch(imp)
			switch {
			case m != nil && n != nil && n[1] != m[1]:
				t.Errorf("%s imports %s: subgraphs meet in the graph or on the bus, not in Go", pkg.ImportPath, imp)
			case n != nil && strings.HasPrefix(n[2], "/internal/") && (m == nil || m[1] != n[1]):
				t.Errorf("%s imports %s: generated code belongs to its subgraph", pkg.ImportPath, imp)
			}
		}
		if strings.HasPrefix(pkg.ImportPath, module+"/gateway") {
			for _, dep := range pkg.Deps {
				if subgraph.MatchString(dep) {
					t.Errorf("%s reaches %s: the gateway knows the supergraph, never a subgraph", pkg.ImportPath, dep)
				}
			}
		}
		if m == nil && !strings.HasPrefix(pkg.ImportPath, module+"/cmd/") {
			for _, imp := range pkg.Imports {
				if strings.HasPrefix(imp, module+"/internal/devstores/") && !forTests(pkg.ImportPath) {
					t.Errorf("%s imports %s: development engines are for souk dev and tests", pkg.ImportPath, imp)
				}
			}
		}
		if m == nil || m[2] != "" {
			continue // graph, stores and adapters may use what they like
		}
		for _, tech := range technology {
			if slices.Contains(pkg.Deps, tech) {
				t.Errorf("%s reaches %s: the domain knows no store, no wire and no GraphQL", pkg.ImportPath, tech)
			}
		}
	}
	if seen < 30 {
		t.Fatalf("only %d packages were looked at", seen)
	}
}

func forTests(pkg string) bool {
	return strings.HasSuffix(pkg, "test") || strings.Contains(pkg, "/internal/devstores/") || strings.Contains(pkg, "test/")
}
