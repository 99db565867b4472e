package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// A graph is a folder of testdata with data behind it and the queries to ask.
type graph struct {
	folder   string
	services func(t testing.TB) []*service
	queries  []query
}

type query struct{ name, text, variables string }

// TestFederation asks each small supergraph its queries and compares answers, plans and fetches with golden files. The
// services execute what they are sent against their own schemas, so a fetch that a subgraph would refuse fails here.
func TestFederation(t *testing.T) {
	for _, g := range graphs {
		t.Run(g.folder, func(t *testing.T) {
			e, m := newEngine(t, g.folder, g.services(t)...)
			for _, q := range g.queries {
				t.Run(q.name, func(t *testing.T) {
					m.reset()
					op := prepare(t, e, q.text, q.variables)
					var out, pretty bytes.Buffer
					if _, err := e.Execute(context.Background(), op, &out); err != nil {
						t.Fatal(err)
					}
					if err := json.Indent(&pretty, out.Bytes(), "", "  "); err != nil {
						t.Fatalf("%s: %v", out.Bytes(), err)
					}
					got := fmt.Sprintf("# query\n%s\n%s# answer\n%s\n# plan: %d fetches, %d hops\n%s\n", strings.TrimSpace(q.text),
						section("# variables\n", q.variables), pretty.String(), op.Fetches(), op.Hops(), strings.Join(m.fetches(), "\n"))
					golden(t, filepath.Join(testdata, g.folder, q.name+".golden"), got)
				})
			}
		})
	}
}

func section(title, text string) string {
	if text == "" {
		return ""
	}
	return title + text + "\n"
}

func golden(t testing.TB, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; run with -update and read the difference\ngot:\n%s", file, got)
	}
}
