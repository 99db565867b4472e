package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/souk-shop/souk/internal/viewer"
)

func count(t testing.TB, m prometheus.Metric) int {
	t.Helper()
	var out dto.Metric
	if err := m.Write(&out); err != nil {
		t.Fatal(err)
	}
	return int(out.GetCounter().GetValue()) + int(out.GetHistogram().GetSampleCount())
}

func TestBadRequestsAreRefusedByName(t *testing.T) {
	e, _ := newEngine(t, "shop", newShop(t)...)
	for _, c := range []struct{ query, variables, code, message string }{
		{`{ version`, "", CodeParse, ""},
		{``, "", CodeValidation, "no operation"},
		{`# nothing`, "", CodeValidation, "no operation"},
		{`fragment f on Product { id }`, "", CodeValidation, "no operation"},
		{`type Query { x: Int }`, "", CodeValidation, "no type definitions"},
		{`{ version } query Q { version }`, "", CodeValidation, "several operations"},
		{`{ nothing }`, "", CodeValidation, "nothing"},
		{`{ version { x } }`, "", CodeValidation, "version"},
		{`{ product(id: "1") }`, "", CodeValidation, "product"},
		{`{ product { id } }`, "", CodeValidation, "id"},
		{`{ product(id: "1", nope: 1) { id } }`, "", CodeValidation, "nope"},
		{`{ product(id: ["1"]) { id } }`, "", CodeValidation, ""},
		{`{ ...missing }`, "", CodeValidation, "missing"},
		{`{ ...f } fragment f on Query { ...f }`, "", CodeValidation, "f"},
		{`{ ...f } fragment f on Nothing { id }`, "", CodeValidation, "Nothing"},
		{`{ product(id: $id) { id } }`, "", CodeValidation, "id"},
		{`query ($id: ID!) { version }`, `{"id":"1"}`, CodeValidation, "id"},
		{`query ($x: Nothing) { echo(value: $x) }`, "", CodeValidation, "Nothing"},
		{`query ($n: String) { products(first: $n) { id } }`, "", CodeValidation, "n"},
		{`{ x: version x: product(id: "1") { id } }`, "", CodeValidation, "x"},
		{`{ x: product(id: "1") { id } x: product(id: "2") { id } }`, "", CodeValidation, `"x"`},
		{`{ product(id: "1") { variants { id } ... { variants { id: sku } } } }`, "", CodeValidation, `id`},
		{`{ ...a ...b } fragment a on Query { x: product(id: "1") { id } } fragment b on Query { x: product(id: "2") { id } }`, "", CodeValidation, `"x"`},
		{`{ x: product(id: "1") { a: id } x: product(id: "1") { a: name } }`, "", CodeValidation, `"a"`},
		{`{ version @nope }`, "", CodeValidation, "nope"},
		{`subscription { ticks stockChanged(variant: "1") { available } }`, "", CodeValidation, ""},
		{`query ($id: ID!) { product(id: $id) { id } }`, "", CodeInput, `"$id"`},
		{`query ($id: ID!) { product(id: $id) { id } }`, `{"id":null}`, CodeInput, `"$id"`},
		{`query ($id: ID!) { product(id: $id) { id } }`, `{"id":{"a":1}}`, CodeInput, `"$id"`},
		{`query ($n: Int) { products(first: $n) { id } }`, `{"n":"two"}`, CodeInput, `"$n"`},
		{`query ($n: Int) { products(first: $n) { id } }`, `{"n":1.5}`, CodeInput, `"$n"`},
		{`query ($n: Int) { products(first: $n) { id } }`, `{"n":2147483648}`, CodeInput, `"$n"`},
		{`query ($i: EchoInput) { echo(input: $i) }`, `{"i":{"s":"x","n":0.5}}`, CodeInput, `"$i"`},
		{`query ($i: EchoInput) { echo(input: $i) }`, `{"i":{}}`, CodeInput, `"$i"`},
		{`query ($i: EchoInput) { echo(input: $i) }`, `{"i":{"s":"x","nope":1}}`, CodeInput, `"$i"`},
		{`query ($i: EchoInput) { echo(input: $i) }`, `{"i":{"s":"x","mode":"SLEEPY"}}`, CodeInput, `"$i"`},
		{`query ($i: EchoInput) { echo(input: $i) }`, `{"i":{"s":"x","child":{"s":"y","tags":[null]}}}`, CodeInput, `"$i"`},
		{`query ($i: EchoInput) { echo(input: $i) }`, `{"i":{"s":"x","child":{"s":"y","times":null}}}`, CodeInput, `"$i" got an invalid value at "i.child.times"`},
		{`query ($a: [[Int!]]) { echo(at: $a) }`, `{"a":[[1],[2,1.5]]}`, CodeInput, `"$a" got an invalid value at "a.[1].[1]"`},
		{`query ($i: EchoInput) { echo(input: $i) }`, `{"i":{"s":"x","f":1e400}}`, CodeInput, `"$i" got an invalid value at "i.f"`},
		{`query ($f: Float) { echo(input: {s: "x", f: $f}) }`, `{"f":-1e999}`, CodeInput, `"$f" got an invalid value at "f"`},
		{`query ($a: [[Int!]]) { echo(at: $a) }`, `{"a":[[1,null]]}`, CodeInput, `"$a"`},
		{`query ($s: Boolean!) { version @skip(if: $s) }`, "", CodeInput, `"$s"`},
		{`query ($s: Boolean!) { version @include(if: $s) }`, `{"s":"yes"}`, CodeInput, `"$s"`},
		{`query ($s: Boolean!) { version @include(if: $s) }`, `{"s":null}`, CodeInput, `"$s"`},
		{`{ version }`, `[1]`, CodeInput, "variables"},
		{`query ($v: JSON) { echo(value: $v) }`, `{"v":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`, CodeInput, "variables"},
		{`{ version }`, `{`, CodeInput, "variables"},
		{`{ products { ` + strings.Repeat("a: id ", 31) + `} }`, "", CodeTooLarge, "aliases"},
		{`{ version ` + strings.Repeat("#\n1 ", 20_000) + `}`, "", CodeTooLarge, "tokens"},
	} {
		if got := refusal(t, e, c.query, c.variables); got.Code() != c.code || !strings.Contains(got.Message, c.message) {
			t.Errorf("%.60s %s\n got %s: %s\nwant %s: …%s…", c.query, c.variables, got.Code(), got.Message, c.code, c.message)
		}
	}
}

func TestErrorsDoNotRepeatWhatWasSent(t *testing.T) {
	e, _ := newEngine(t, "shop", newShop(t)...)
	got := refusal(t, e, `query ($i: EchoInput) { echo(input: $i) }`, `{"i":{"s":"x","tags":["open-sesame",7]}}`)
	if strings.Contains(got.Message, "open-sesame") {
		t.Error(got.Message)
	}
}

func TestTheOperationIsTheOneNamed(t *testing.T) {
	e, _ := newEngine(t, "shop", newShop(t)...)
	document := `query A { a: version } query B { b: version } mutation C { rename(id: "1", name: "x") { name } } fragment f on Product { id }`
	for name, kind := range map[string]Kind{"A": Query, "B": Query, "C": Mutation} {
		op, err := e.Prepare(context.Background(), Request{Query: document, OperationName: name})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if op.Name() != name || op.Kind() != kind {
			t.Errorf("%s is a %v named %q", name, op.Kind(), op.Name())
		}
	}
	_, err := e.Prepare(context.Background(), Request{Query: document, OperationName: "D"})
	var es Errors
	if !errors.As(err, &es) || !strings.Contains(es[0].Message, `"D"`) {
		t.Errorf("got %v", err)
	}
}

func TestValuesReachSubgraphsAsTheyWere(t *testing.T) {
	e, m := newEngine(t, "shop", newShop(t)...)
	for _, c := range []struct{ query, variables, sent string }{
		{`query ($v: JSON) { echo(value: $v) }`, `{"v":{"n":1e400,"s":"a\"\\\u0000é😀","list":[1,[2]],"z":null,"__proto__":{}}}`, `{"a":{"n":1e400,"s":"a\"\\\u0000é😀","list":[1,[2]],"z":null,"__proto__":{}}}`},
		{`query ($v: JSON) { echo(value: $v) }`, `{"v":12345678901234567890}`, `{"a":12345678901234567890}`},
		{`query ($i: [ID!]) { echo(ids: $i) }`, `{"i":"one"}`, `{"a":["one"]}`},
		{`query ($i: [[Int!]]) { echo(at: $i) }`, `{"i":7}`, `{"a":[[7]]}`},
		{`query ($i: [[Int!]]) { echo(at: $i) }`, `{"i":[1,[2,3],null]}`, `{"a":[[1],[2,3],null]}`},
		{`query ($i: EchoInput) { echo(input: $i) }`, `{"i":{"s":"x","tags":"t","child":{"s":"y","tags":"u"}}}`, `{"a":{"s":"x","tags":["t"],"child":{"s":"y","tags":["u"]}}}`},
		{`query ($s: String! = "dflt") { echo(input: {s: $s, mode: FAST, f: 1.5, b: true, n: 3}) }`, ``, `{"a":{"s":"dflt","mode":"FAST","f":1.5,"b":true,"n":3}}`},
		{`query ($s: String! = "dflt") { echo(input: {s: $s}) }`, `{"s":"given"}`, `{"a":{"s":"given"}}`},
		{`query ($n: Int = 3) { products(first: $n) { id } }`, `{"n":null}`, `{"a":null}`},
		{`query ($v: JSON, $unused: Int) { echo(value: $v) version @skip(if: true) products(first: $unused) { id } }`, `{"v":1,"extra":2}`, `{"a":1}`},
		{`query ($a: Boolean!) { echo(value: "lit") @include(if: $a) }`, `{"a":true}`, `{"a":"lit"}`},
		{`query ($b: Boolean!) { echo(input: {s: "x", b: $b}) version @skip(if: $b) }`, `{"b":true}`, `{"a":{"s":"x","b":true}}`},
		{`query ($b: Boolean = true) { echo(input: {s: "x", b: $b}) version @skip(if: $b) }`, ``, `{"a":{"s":"x","b":true}}`},
		{`query ($s: String!, $n: Int) { echo(input: {s: $s, n: $n, child: {s: "in", tags: ["a", $s]}}) }`, `{"s":"x"}`, `{"a":{"s":"x","child":{"s":"in","tags":["a","x"]}}}`},
		{`query ($s: String!, $n: Int) { echo(input: {s: $s, n: $n}) }`, `{"s":"x","n":null}`, `{"a":{"s":"x","n":null}}`},
		{`query ($i: ID!, $t: [String!]) { echo(ids: [$i, "2"], input: {s: "x", tags: $t}) }`, `{"i":"1","t":"one"}`, `{"a":["1","2"],"b":{"s":"x","tags":["one"]}}`},
		{`query ($a: [String!], $b: String!) { echo(ids: ["1"], input: {s: $b, tags: $a}) }`, `{"a":["t"],"b":"x"}`, `{"a":["1"],"b":{"s":"x","tags":["t"]}}`},
		{`query ($b: [String!]) { echo(input: {s: "x", tags: $b}, ids: ["1"]) }`, `{"b":["t"]}`, `{"b":["1"],"a":{"s":"x","tags":["t"]}}`},
		{`query ($a: JSON, $b: String!) { echo(value: $a, input: {s: $b}) }`, `{"a":1,"b":"x"}`, `{"a":1,"b":{"s":"x"}}`},
		{`query ($v: JSON) { echo(value: {a: [$v, {b: $v}]}) }`, `{"v":{"c":1}}`, `{"a":{"a":[{"c":1},{"b":{"c":1}}]}}`},
		{"{ echo(value: \"a\tb\") }", ``, `{"a":"a\tb"}`},
		{"{ echo(value: \"\"\"\n  a\n    b\n  \"\"\") }", ``, `{"a":"a\n  b"}`},
	} {
		m.reset()
		op, err := e.Prepare(context.Background(), Request{Query: c.query, Variables: json.RawMessage(c.variables)})
		if c.sent == "" {
			if err == nil {
				t.Errorf("%s %s is accepted", c.query, c.variables)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.query, err)
			continue
		}
		if err := run(e, op); err != nil {
			t.Errorf("%s: %v", c.query, err)
		}
		if f := strings.Join(m.fetches(), "\n"); !strings.Contains(f, c.sent) {
			t.Errorf("%s %s\nsent %s\nwant %s", c.query, c.variables, f, c.sent)
		}
	}
}

func run(e *Engine, op *Operation) error {
	_, err := e.Execute(as(viewer.Viewer{}), op, new(strings.Builder))
	return err
}

func TestVariablesShareOnePreparedDocument(t *testing.T) {
	metrics := prometheus.NewRegistry()
	e, _ := newEngineWith(t, "shop", Config{Metrics: metrics}, newShop(t)...)
	before := count(t, e.planner.duration)
	for i := range 20 {
		op := prepare(t, e, threeHops, fmt.Sprintf(`{"id":"%d"}`, i))
		var out strings.Builder
		if _, err := e.Execute(as(viewer.Viewer{}), op, &out); err != nil || !strings.Contains(out.String(), fmt.Sprintf("product %d", i)) {
			t.Errorf("%d: %s, %v", i, out.String(), err)
		}
	}
	if n := count(t, e.planner.duration) - before; n != 1 {
		t.Errorf("planned %d times", n)
	}
	if n := e.documents.entries.Len(); n != 1 {
		t.Errorf("%d documents are kept", n)
	}
	if hits := count(t, e.documents.hits); hits != 19 {
		t.Errorf("%d hits", hits)
	}
}

func TestDocumentsThatMeanTheSameShareAPlan(t *testing.T) {
	e, _ := newEngine(t, "shop", newShop(t)...)
	for _, q := range []string{
		`{ product(id: "1") { name } }`, `query { product(id: "2") { ...f } } fragment f on Product { name }`,
		"# comment\nquery ($x: ID!) { product(id: $x) { name name } }", `query ($on: Boolean!) { product(id: "3") { name rating @include(if: $on) } }`,
	} {
		prepare(t, e, q, `{"x":"1","on":false}`)
	}
	if n := e.planner.plans.entries.Len(); n != 1 {
		t.Errorf("%d plans are kept", n)
	}
}

func TestConditionsDecideByValue(t *testing.T) {
	e, m := newEngine(t, "shop", newShop(t)...)
	query := `query ($skip: Boolean!, $with: Boolean = false) { product(id: "1") { name @skip(if: $skip) ... @include(if: $with) { rating } } }`
	for _, c := range []struct{ variables, want, fetches string }{
		{`{"skip":false}`, `{"data":{"product":{"name":"product 1"}}}`, "catalog"},
		{`{"skip":true}`, `{"data":{"product":{}}}`, "catalog"},
		{`{"skip":true,"with":true}`, `{"data":{"product":{"rating":4.5}}}`, "catalog reviews"},
		{`{"skip":false,"with":true}`, `{"data":{"product":{"name":"product 1","rating":4.5}}}`, "catalog reviews"},
		{`{"skip":false,"with":false}`, `{"data":{"product":{"name":"product 1"}}}`, "catalog"},
	} {
		m.reset()
		if got := answerOf(t, e, as(viewer.Viewer{}), query, c.variables); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.variables, got, c.want)
		}
		var asked []string
		for _, f := range m.fetches() {
			asked = append(asked, f[:strings.Index(f, ":")])
		}
		if got := strings.Join(asked, " "); got != c.fetches {
			t.Errorf("%s: asked %q", c.variables, got)
		}
	}
}

func TestManyFirstRequestsPlanOnce(t *testing.T) {
	e, _ := newEngine(t, "shop", newShop(t)...)
	before := count(t, e.planner.duration)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := e.Prepare(context.Background(), Request{Query: threeHops, Variables: json.RawMessage(`{"id":"1"}`)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := count(t, e.planner.duration) - before; n != 1 {
		t.Errorf("planned %d times", n)
	}
}

func TestManyOperationsPlanAtOnce(t *testing.T) {
	e, _ := newEngineWith(t, "shop", Config{PlanBudget: time.Minute}, newShop(t)...) // as on a machine with nothing else to do
	fields := []string{"name", "rating", "reviews { text }", "variants { sku }", "variants { stock { available } }", "variants { stock { warehouse { city } } }"}
	var wg sync.WaitGroup
	for mask := 1; mask < 1<<len(fields); mask++ {
		wg.Go(func() {
			var chosen []string
			for i, f := range fields {
				if mask&(1<<i) != 0 {
					chosen = append(chosen, f)
				}
			}
			op, err := e.Prepare(context.Background(), Request{Query: `{ product(id: "1") { ` + strings.Join(chosen, " ") + ` } }`})
			if err == nil {
				err = run(e, op)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestCachesAreBounded(t *testing.T) {
	e, _ := newEngineWith(t, "shop", Config{Documents: 10, Plans: 3}, newShop(t)...)
	for i := range 50 {
		prepare(t, e, fmt.Sprintf(`{ a%d: version }`, i), "")
	}
	if s, d, p := e.sources.entries.Len(), e.documents.entries.Len(), e.planner.plans.entries.Len(); s != 10 || d != 10 || p != 3 {
		t.Errorf("%d sources, %d documents, %d plans are kept", s, d, p)
	}
	if op := prepare(t, e, `{ a0: version }`, ""); run(e, op) != nil {
		t.Error("what fell out cannot be had again")
	}
}

func TestCachesAreBoundedInBytes(t *testing.T) {
	e, _ := newEngine(t, "shop", newShop(t)...)
	text := strings.Repeat("x", 1_000_000)
	for i := range 100 { // as large as a request may be
		prepare(t, e, fmt.Sprintf(`{ echo(value: "%d%s") }`, i, text), "")
	}
	for name, held := range map[string]int64{"sources": e.sources.held.Load(), "documents": e.documents.held.Load()} {
		if held > largestCache || held < 10_000_000 {
			t.Errorf("%s: %d bytes are held", name, held)
		}
	}
	if n := e.planner.plans.entries.Len(); n != 1 {
		t.Errorf("%d plans: a literal made one of its own", n)
	}
}

func TestIntrospectionCanBeSwitchedOff(t *testing.T) {
	e, _ := newEngineWith(t, "shop", Config{}, newShop(t)...)
	for _, q := range []string{`{ __schema { types { name } } }`, `{ __type(name: "Query") { name } }`, `{ version ...f } fragment f on Query { s: __schema { queryType { name } } }`} {
		if got := refusal(t, e, q, ""); got.Code() != CodeValidation || !strings.Contains(got.Message, "introspection") {
			t.Errorf("%s: %+v", q, got)
		}
	}
	if got := answerOf(t, e, as(viewer.Viewer{}), `{ __typename product(id: "1") { __typename } }`, ""); got != `{"data":{"__typename":"Query","product":{"__typename":"Product"}}}` {
		t.Errorf("got %s", got)
	}
}

func TestIntrospectionShowsWhatClientsMaySee(t *testing.T) {
	e, m := newEngine(t, "inaccessible", newService(t, "inaccessible", "catalog"), newService(t, "inaccessible", "pricing"))
	got := answerOf(t, e, as(viewer.Viewer{}), `query ($n: String!) { __schema { types { name } queryType { name } } __type(name: $n) { fields { name } } state: __type(name: "State") { enumValues { name } } }`, `{"n":"Product"}`)
	for _, hidden := range []string{"Secret", "Agent", "cost", "RETIRED", "join__", "_Any", "_Entity", "link__"} {
		if strings.Contains(got, hidden) || strings.Contains(e.Schema(), hidden) {
			t.Errorf("%s can be seen: %s", hidden, got)
		}
	}
	for _, shown := range []string{`"LIVE"`, `"price"`, `"queryType":{"name":"Query"}`} {
		if !strings.Contains(got, shown) {
			t.Errorf("%s cannot be seen: %s", shown, got)
		}
	}
	if len(m.fetches()) != 0 {
		t.Error("a subgraph was asked about the schema")
	}
}

func TestToolsCanReadTheSchema(t *testing.T) {
	text, err := os.ReadFile("testdata/introspection.graphql") // as graphql-js asks, with every option but oneOf
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"shop", "access", "abstract"} {
		e, _ := newEngine(t, folder)
		var got struct {
			Errors []Error
			Data   struct {
				Schema struct {
					Types      []struct{ Name string }
					Directives []struct{ Name string }
				} `json:"__schema"`
			}
		}
		if err := json.Unmarshal([]byte(answerOf(t, e, as(viewer.Viewer{}), string(text), "")), &got); err != nil || len(got.Errors) > 0 {
			t.Errorf("%s: %v, %v", folder, got.Errors, err)
		}
		if len(got.Data.Schema.Types) < 8 || len(got.Data.Schema.Directives) < 4 {
			t.Errorf("%s: %+v", folder, got.Data.Schema)
		}
	}
}

func TestDescriptionsReadAsTheyWereWritten(t *testing.T) {
	sdl := `schema @link(url: "https://specs.apollo.dev/join/v0.3") { query: Query } enum join__Graph { A @join__graph(name: "a", url: "http://a.test") }
type Query @join__type(graph: A) {
  """
  What it does:
    two things,
  in this order.
  """
  x: Int
}`
	e, err := New(t.Context(), Config{SupergraphSDL: sdl, Development: true})
	if err != nil {
		t.Fatal(err)
	}
	got := answerOf(t, e, as(viewer.Viewer{}), `{ __type(name: "Query") { fields { description } } }`, "")
	if want := `{"data":{"__type":{"fields":[{"description":"What it does:\n  two things,\nin this order."}]}}}`; got != want {
		t.Errorf("got %s", got)
	}
}

func TestExecutableDirectivesAreAccepted(t *testing.T) {
	e, m := newEngine(t, "shop", newShop(t)...)
	got := answerOf(t, e, as(viewer.Viewer{}), `query ($c: String) @inContext(country: $c, language: "fr") { version }`, `{"c":"IN"}`)
	if got != `{"data":{"version":"1"}}` {
		t.Errorf("got %s", got)
	}
	if f := m.fetches(); len(f) != 1 || strings.Contains(f[0], "inContext") {
		t.Errorf("fetches: %q", f)
	}
	got = answerOf(t, e, as(viewer.Viewer{}), `query ($t: String!) { version @mark product(id: "1") { name @mark(text: $t) rating @mark(text: "a") } }`, `{"t":"b"}`)
	if got != `{"data":{"version":"1","product":{"name":"product 1","rating":4.5}}}` {
		t.Errorf("got %s", got)
	}
}
