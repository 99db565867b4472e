package supergraph

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
)

func read(t testing.TB, folder string) *Supergraph {
	t.Helper()
	sdl, err := os.ReadFile(filepath.Join("testdata", folder, "supergraph.graphql"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse(string(sdl))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func folders(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*/supergraph.graphql")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for i, f := range files {
		files[i] = filepath.Base(filepath.Dir(f))
	}
	return files
}

func TestSchemasAreValidAndFreeOfMachinery(t *testing.T) {
	for _, folder := range folders(t) {
		s := read(t, folder)
		for name, sdl := range map[string]string{"client": s.ClientSDL(), "router": s.RouterSDL()} {
			for _, word := range []string{"join__", "link__", "federation__", "requiresScopes", "authenticated", "@link"} {
				if strings.Contains(sdl, word) {
					t.Errorf("%s: the %s schema speaks of %s", folder, name, word)
				}
			}
			if name == "router" {
				sdl += "\ndirective @inaccessible on FIELD_DEFINITION | OBJECT | ENUM_VALUE | ARGUMENT_DEFINITION"
			}
			if _, err := gqlparser.LoadSchema(&ast.Source{Name: folder, Input: sdl}); err != nil {
				t.Errorf("%s: the %s schema: %v", folder, name, err)
			}
		}
	}
}

func TestServicesAreNamedAsInTheFile(t *testing.T) {
	got := read(t, "shop").Services()
	want := []Service{
		{"catalog", "http://catalog.test/graphql"}, {"inventory", "http://inventory.test/graphql"},
		{"logistics", "http://logistics.test/graphql"}, {"reviews", "http://reviews.test/graphql"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestWhatIsInaccessibleIsTheRoutersAlone(t *testing.T) {
	s := read(t, "inaccessible")
	for _, hidden := range []string{"hidden", "Secret", "cost", "RETIRED", "Agent", "draft"} {
		if strings.Contains(s.ClientSDL(), hidden) {
			t.Errorf("clients see %s", hidden)
		}
		if !strings.Contains(s.RouterSDL(), hidden) {
			t.Errorf("the router does not see %s", hidden)
		}
	}
}

func TestDescriptionsAndExecutableDirectivesReachClients(t *testing.T) {
	if sdl := read(t, "shop").ClientSDL(); !strings.Contains(sdl, "directive @inContext(country: String, language: String) on QUERY | MUTATION | SUBSCRIPTION") {
		t.Error(sdl)
	}
	s, err := Parse(minimal + `"""What the shop sells""" type Query @join__type(graph: A) { "by id" product("which" id: ID! = "1" @deprecated(reason: "old")): String @deprecated(reason: "older") }`)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"What the shop sells", "by id", "which", `@deprecated(reason: "old")`, `@deprecated(reason: "older")`, `= "1"`} {
		if !strings.Contains(s.ClientSDL(), text) {
			t.Errorf("%q is missing from %s", text, s.ClientSDL())
		}
	}
}

func TestComposedDirectivesBelongToTheGraph(t *testing.T) {
	s, err := Parse(strings.Replace(minimal, "schema @link", `schema @link(url: "https://my.specs/access/v1.0", import: ["@access"]) @link`, 1) +
		"directive @access(scope: access__Scope! = PUBLIC) on FIELD enum access__Scope @join__type(graph: A) { PUBLIC @join__enumValue(graph: A) } type Query @join__type(graph: A) { x: Int }")
	if err != nil {
		t.Fatal(err)
	}
	if sdl := s.ClientSDL(); !strings.Contains(sdl, "directive @access") || !strings.Contains(sdl, "enum access__Scope") {
		t.Error(sdl)
	}
}

const minimal = `schema @link(url: "https://specs.apollo.dev/link/v1.0") @link(url: "https://specs.apollo.dev/join/v0.3", for: EXECUTION) { query: Query }
enum join__Graph { A @join__graph(name: "a", url: "http://a.test") }
`

func TestFilesThatAreNoSupergraphAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ sdl, says string }{
		"not GraphQL":                 {"<html>", "supergraph"},
		"empty":                       {"", "join__Graph"},
		"a plain schema":              {"type Query { x: Int }", "join__Graph"},
		"no subgraphs":                {"enum join__Graph { A } type Query { x: Int }", "no subgraph"},
		"no queries":                  {minimal + "type Product @join__type(graph: A) { id: ID! }", "Query"},
		"an unknown graph":            {minimal + "type Query @join__type(graph: B) { x: Int }", `"B"`},
		"an unknown graph of a field": {minimal + "type Query @join__type(graph: A) { x: Int @join__field(graph: C) }", `"C"`},
		"scopes without scopes":       {minimal + "type Query @join__type(graph: A) { x: Int @requiresScopes }", "Query.x"},
	} {
		if _, err := Parse(c.sdl); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestASubgraphNeedsAnAddress(t *testing.T) {
	s, err := Parse(strings.Replace(minimal, "http://a.test", "", 1) + "type Query @join__type(graph: A) { x: Int }")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Configuration(nil, nil); err == nil || !strings.Contains(err.Error(), "subgraph a has no URL") {
		t.Errorf("got %v", err)
	}
}

func TestRules(t *testing.T) {
	rules := read(t, "access").Rules()
	holds := func(scopes ...string) func(string) bool {
		return func(s string) bool { return slices.Contains(scopes, s) }
	}
	for _, c := range []struct {
		at       Coordinate
		signedIn bool
		scopes   []string
		want     Verdict
	}{
		{Coordinate{"Query", "version"}, false, nil, Allowed},
		{Coordinate{"Query", "me"}, false, nil, Unauthenticated},
		{Coordinate{"Query", "me"}, true, nil, Allowed},
		{Coordinate{"Query", "audit"}, false, nil, Unauthenticated},
		{Coordinate{"Query", "audit"}, true, []string{"staff"}, Forbidden},
		{Coordinate{"Query", "audit"}, true, []string{"staff", "audit"}, Allowed},
		{Coordinate{"Query", "audit"}, true, []string{"root"}, Allowed},
		{Coordinate{"Shop", "ledger"}, true, nil, Forbidden},  // by the rule of the type it returns
		{Coordinate{"Ledger", "total"}, true, nil, Forbidden}, // by the rule of the type it is of
		{Coordinate{"Ledger", "total"}, true, []string{"staff"}, Allowed},
	} {
		if got := rules[c.at].Judge(c.signedIn, holds(c.scopes...)); got != c.want {
			t.Errorf("%v for %v (signed in: %v): %v, want %v", c.at, c.scopes, c.signedIn, got, c.want)
		}
	}
}

func TestRulesOfObjectsGuardTheirInterfaces(t *testing.T) {
	s, err := Parse(minimal + `
type Query @join__type(graph: A) { node: Node closed: Int @policy(policies: [["p"]]) }
interface Node @join__type(graph: A) { id: ID! }
type Open implements Node @join__type(graph: A) @join__implements(graph: A, interface: "Node") { id: ID! }
type Closed implements Node @join__type(graph: A) @join__implements(graph: A, interface: "Node") { id: ID! @authenticated }`)
	if err != nil {
		t.Fatal(err)
	}
	nobody := func(string) bool { return false }
	everything := func(string) bool { return true }
	if got := s.Rules()[Coordinate{"Node", "id"}].Judge(false, nobody); got != Unauthenticated {
		t.Errorf("Node.id for a guest: %v", got)
	}
	if got := s.Rules()[Coordinate{"Open", "id"}].Judge(false, nobody); got != Allowed {
		t.Errorf("Open.id for a guest: %v", got)
	}
	if got := s.Rules()[Coordinate{"Query", "closed"}].Judge(true, everything); got != Forbidden {
		t.Errorf("a policy that nobody can judge: %v", got)
	}
}

func TestRequiredFieldSetsNameTheirTypes(t *testing.T) {
	s := read(t, "requires")
	got := s.required(fieldSet{"Product", "estimate", `price(currency:EUR)packaging{...on Box{width height}...on Tube{length}}`})
	want := `price(currency: EUR) packaging { __typename ... on Box { width height } ... on Tube { length } }`
	if got != want {
		t.Errorf("got %q", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, folder := range folders(f) {
		sdl, _ := os.ReadFile(filepath.Join("testdata", folder, "supergraph.graphql"))
		f.Add(string(sdl))
	}
	f.Fuzz(func(t *testing.T, sdl string) {
		s, err := Parse(sdl)
		if err != nil {
			return
		}
		s.ClientSDL()
		s.RouterSDL()
		for _, g := range s.subgraphs {
			g.sdl(true)
			s.metadata(g)
		}
		s.fieldConfigurations()
	})
}
