package engine

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/souk-shop/souk/internal/viewer"
)

// breakage is a way in which a subgraph can fail.
var breakages = map[string]func(context.Context, *http.Request) (*http.Response, error){
	"down": func(context.Context, *http.Request) (*http.Response, error) {
		return nil, errors.New("dial tcp 10.0.0.7:8080: connection refused")
	},
	"late": func(context.Context, *http.Request) (*http.Response, error) { return nil, context.DeadlineExceeded },
	"status 500": func(context.Context, *http.Request) (*http.Response, error) {
		return reply(500, `{"errors":[{"message":"pq: relation orders does not exist"}]}`), nil
	},
	"status 401": func(context.Context, *http.Request) (*http.Response, error) {
		return reply(401, `{"errors":[{"message":"no passport","extensions":{"code":"UNAUTHENTICATED"}}]}`), nil
	},
	"not JSON":     func(context.Context, *http.Request) (*http.Response, error) { return reply(200, `<html>10.0.0.7`), nil },
	"cut JSON":     func(context.Context, *http.Request) (*http.Response, error) { return reply(200, `{"data":{"x"`), nil },
	"empty":        func(context.Context, *http.Request) (*http.Response, error) { return reply(200, ``), nil },
	"not a result": func(context.Context, *http.Request) (*http.Response, error) { return reply(200, `{"ok":true}`), nil },
	"an array":     func(context.Context, *http.Request) (*http.Response, error) { return reply(200, `[1]`), nil },
	"panic":        func(context.Context, *http.Request) (*http.Response, error) { panic("10.0.0.7") },
}

func TestAFailingSubgraphLeavesTheRestOfTheAnswer(t *testing.T) {
	services := newShop(t)
	e, m := newEngine(t, "shop", services...)
	for name, fail := range breakages {
		t.Run(name, func(t *testing.T) {
			for _, c := range []struct{ subgraph, query, want string }{
				{"reviews", `{ product(id: "1") { name rating } }`,
					`{"errors":[{"message":"the subgraph \"reviews\" did not answer","path":["product"],"extensions":{"code":"SUBGRAPH_UNAVAILABLE","subgraph":"reviews"}}],"data":{"product":{"name":"product 1","rating":null}}}`},
				{"reviews", `{ product(id: "1") { name reviews { text } } version }`, // reviews may not be null
					`{"errors":[{"message":"the subgraph \"reviews\" did not answer","path":["product"],"extensions":{"code":"SUBGRAPH_UNAVAILABLE","subgraph":"reviews"}}],"data":{"product":null,"version":"1"}}`},
				{"inventory", `{ product(id: "1") { variants { sku stock { available } } } }`,
					`{"errors":[{"message":"the subgraph \"inventory\" did not answer","path":["product","variants"],"extensions":{"code":"SUBGRAPH_UNAVAILABLE","subgraph":"inventory"}}],"data":{"product":{"variants":[{"sku":"A1","stock":null},{"sku":"B1","stock":null}]}}}`},
				{"catalog", `{ mine: product(id: "1") { name } other: product(id: "2") { name } }`,
					`{"errors":[{"message":"the subgraph \"catalog\" did not answer","path":["mine"],"extensions":{"code":"SUBGRAPH_UNAVAILABLE","subgraph":"catalog"}},{"message":"the subgraph \"catalog\" did not answer","path":["other"],"extensions":{"code":"SUBGRAPH_UNAVAILABLE","subgraph":"catalog"}}],"data":{"mine":null,"other":null}}`},
				{"reviews", `{ a: product(id: "1") { rating } b: product(id: "2") { rating } }`, // both in one request
					`{"errors":[{"message":"the subgraph \"reviews\" did not answer","path":["a"],"extensions":{"code":"SUBGRAPH_UNAVAILABLE","subgraph":"reviews"}},{"message":"the subgraph \"reviews\" did not answer","path":["b"],"extensions":{"code":"SUBGRAPH_UNAVAILABLE","subgraph":"reviews"}}],"data":{"a":{"rating":null},"b":{"rating":null}}}`},
				{"catalog", `{ version }`, // where null may not be, no data is left
					`{"errors":[{"message":"the subgraph \"catalog\" did not answer","path":["version"],"extensions":{"code":"SUBGRAPH_UNAVAILABLE","subgraph":"catalog"}}],"data":null}`},
			} {
				m[c.subgraph].before = fail
				got := answerOf(t, e, as(viewer.Viewer{}), c.query, "")
				m[c.subgraph].before = nil
				if got != c.want {
					t.Errorf("%s\n got %s\nwant %s", c.query, got, c.want)
				}
			}
		})
	}
}

func TestAFailingSubgraphIsToldAtItsOwnRoots(t *testing.T) {
	a, b := newService(t, "shared", "a"), newService(t, "shared", "b")
	a.fields["Query.a"] = value("A")
	b.fields["Query.b"] = value("B")
	e, m := newEngine(t, "shared", a, b)
	m["b"].before = breakages["down"]
	got := answerOf(t, e, as(viewer.Viewer{}), `{ x: a y: b z: b }`, "")
	if want := `{"errors":[{"message":"the subgraph \"b\" did not answer","path":["y"],"extensions":{"code":"SUBGRAPH_UNAVAILABLE","subgraph":"b"}},{"message":"the subgraph \"b\" did not answer","path":["z"],"extensions":{"code":"SUBGRAPH_UNAVAILABLE","subgraph":"b"}}],"data":{"x":"A","y":null,"z":null}}`; got != want {
		t.Errorf("got %s", got)
	}
}

func TestAMutationThatFailsIsToldInItsPlace(t *testing.T) {
	e, m := newEngine(t, "shop", newShop(t)...)
	n := 0
	m["catalog"].before = func(context.Context, *http.Request) (*http.Response, error) {
		if n++; n == 2 {
			return nil, errors.New("10.0.0.7")
		}
		return nil, nil
	}
	got := answerOf(t, e, as(viewer.Viewer{}), `mutation { __typename a: rename(id: "1", name: "x") { name } b: rename(id: "2", name: "y") { name } c: rename(id: "3", name: "z") { name } }`, "")
	if want := `{"errors":[{"message":"the subgraph \"catalog\" did not answer","path":["b"],"extensions":{"code":"SUBGRAPH_UNAVAILABLE","subgraph":"catalog"}}],"data":null}`; got != want {
		t.Errorf("got %s", got)
	}
	if n != 3 {
		t.Errorf("%d mutations were sent", n)
	}
}

func TestAnAnswerThatFitsNowhereIsAFailure(t *testing.T) {
	e, m := newEngine(t, "shop", newShop(t)...)
	m["catalog"].before = func(context.Context, *http.Request) (*http.Response, error) {
		return reply(200, `{"data":"10.0.0.7"}`), nil
	}
	got := answerOf(t, e, as(viewer.Viewer{}), `{ version }`, "")
	if want := `{"errors":[{"message":"the subgraph \"catalog\" did not answer","extensions":{"code":"SUBGRAPH_UNAVAILABLE","subgraph":"catalog"}}],"data":null}`; got != want {
		t.Errorf("got %s", got)
	}
}

func TestTooFewEntitiesAreAFailure(t *testing.T) {
	e, m := newEngine(t, "shop", newShop(t)...)
	m["inventory"].before = func(context.Context, *http.Request) (*http.Response, error) {
		return reply(200, `{"data":{"_entities":[{"stock":{"available":1}}]}}`), nil
	}
	got := answerOf(t, e, as(viewer.Viewer{}), `{ product(id: "1") { variants { stock { available } } } }`, "")
	want := `{"errors":[{"message":"the subgraph \"inventory\" did not answer","path":["product","variants"],"extensions":{"code":"SUBGRAPH_UNAVAILABLE","subgraph":"inventory"}}],"data":{"product":{"variants":[{"stock":null},{"stock":null}]}}}`
	if got != want {
		t.Errorf("got %s", got)
	}
}

func TestErrorsOfSubgraphsKeepMessageCodeAndPath(t *testing.T) {
	e, m := newEngine(t, "shop", newShop(t)...)
	m["catalog"].fields["Product.name"] = func(p object, _ map[string]any) any {
		if p["id"] == "2" {
			return coded{"no name", "NOT_FOUND"}
		}
		return p["name"]
	}
	m["reviews"].fields["Product.rating"] = value(coded{"no stars", "CONFLICT"})
	m["logistics"].fields["Warehouse.city"] = value(errors.New("no city"))
	for query, want := range map[string]string{
		`{ product(id: "2") { name } }`:                                      `{"errors":[{"message":"no name","path":["product","name"],"extensions":{"code":"NOT_FOUND"}}],"data":{"product":null}}`,
		`{ a: product(id: "1") { rating } }`:                                 `{"errors":[{"message":"no stars","path":["a","rating"],"extensions":{"code":"CONFLICT"}}],"data":{"a":{"rating":null}}}`,
		`{ products(first: 1) { id rating } }`:                               `{"errors":[{"message":"no stars","path":["products",0,"rating"],"extensions":{"code":"CONFLICT"}}],"data":{"products":[{"id":"1","rating":null}]}}`,
		`{ product(id: "1") { variants { stock { warehouse { city } } } } }`: `{"errors":[{"message":"no city","path":["product","variants"],"extensions":{"code":"SUBGRAPH_ERROR"}}],"data":{"product":{"variants":[{"stock":{"warehouse":null}},{"stock":{"warehouse":null}}]}}}`,
	} {
		if got := answerOf(t, e, as(viewer.Viewer{}), query, ""); got != want {
			t.Errorf("%s\n got %s\nwant %s", query, got, want)
		}
	}
}

func TestErrorsAboutItemsOfListsFindTheirPlace(t *testing.T) {
	e, m := newEngine(t, "shop", newShop(t)...)
	m["inventory"].fields["Variant.stock"] = func(v object, _ map[string]any) any {
		switch v["id"] {
		case "v1b", "v2a":
			return coded{"no stock of " + v["id"].(string), "NOT_FOUND"}
		case "v2b":
			return v["unknown"] // null, and no error
		}
		return v["stock"]
	}
	for _, c := range []struct{ query, want string }{
		{`{ product(id: "1") { variants { sku stock { available } } } }`,
			`{"errors":[{"message":"no stock of v1b","path":["product","variants",1,"stock"],"extensions":{"code":"NOT_FOUND"}}],"data":{"product":{"variants":[{"sku":"A1","stock":{"available":3}},{"sku":"B1","stock":null}]}}}`},
		{`{ products(first: 1) { variants { stock { available } } } }`,
			`{"errors":[{"message":"no stock of v1b","path":["products",0,"variants",1,"stock"],"extensions":{"code":"NOT_FOUND"}}],"data":{"products":[{"variants":[{"stock":{"available":3}},{"stock":null}]}]}}`},
		{`{ product(id: "2") { variants { stock { available } } } }`, // which of the two nulls it was is not known
			`{"errors":[{"message":"no stock of v2a","path":["product","variants"],"extensions":{"code":"NOT_FOUND"}}],"data":{"product":{"variants":[{"stock":null},{"stock":null}]}}}`},
	} {
		if got := answerOf(t, e, as(viewer.Viewer{}), c.query, ""); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.query, got, c.want)
		}
	}
}

func TestErrorsAreBoundedInNumber(t *testing.T) {
	e, m := newEngine(t, "shop", newShop(t)...)
	m["reviews"].fields["Product.rating"] = value(coded{"no stars", "NOT_FOUND"})
	op := prepare(t, e, `{ products(first: 500) { rating } }`, "")
	var out strings.Builder
	r, err := e.Execute(as(viewer.Viewer{}), op, &out)
	if err != nil || len(r.Errors) != mostErrors+1 || r.Errors[mostErrors].Message != "400 more errors are not shown" {
		t.Errorf("%d errors, the last %+v, %v", len(r.Errors), r.Errors[len(r.Errors)-1], err)
	}
}

func TestDataKeepsItsTextBesideErrors(t *testing.T) {
	e, m := newEngine(t, "shop", newShop(t)...)
	m["reviews"].before = breakages["down"]
	m["catalog"].before = func(context.Context, *http.Request) (*http.Response, error) {
		return reply(200, `{"data":{"product":{"id":"1","__typename":"Product","name":"<b>&\u2028"},"echo":{"n":1e400}}}`), nil
	}
	got := answerOf(t, e, as(viewer.Viewer{}), `{ product(id: "1") { name rating } echo }`, "")
	if !strings.HasSuffix(got, `"data":{"product":{"name":"<b>&\u2028","rating":null},"echo":{"n":1e400}}}`) && !strings.HasSuffix(got, "\"data\":{\"product\":{\"name\":\"<b>&\u2028\",\"rating\":null},\"echo\":{\"n\":1e400}}}") {
		t.Errorf("got %s", got)
	}
}

func TestExtensionsOfSubgraphsDoNotLeak(t *testing.T) {
	e, m := newEngine(t, "shop", newShop(t)...)
	m["catalog"].before = func(context.Context, *http.Request) (*http.Response, error) {
		return reply(200, `{"data":null,"errors":[{"message":"no","path":["version"],"locations":[{"line":1,"column":2}],"extensions":{"code":"TEAPOT","stacktrace":["at 10.0.0.7"]},"debug":"10.0.0.7"}],"extensions":{"trace":"10.0.0.7"}}`), nil
	}
	got := answerOf(t, e, as(viewer.Viewer{}), `{ version }`, "")
	if want := `{"errors":[{"message":"no","path":["version"],"extensions":{"code":"TEAPOT"}}],"data":null}`; got != want {
		t.Errorf("got %s", got)
	}
	if strings.Contains(got, "10.0.0.7") {
		t.Error("an internal text got out")
	}
}

func TestValuesThatDoNotFitTheSchemaAreErrors(t *testing.T) {
	e, m := newEngine(t, "shop", newShop(t)...)
	m["catalog"].before = func(context.Context, *http.Request) (*http.Response, error) {
		return reply(200, `{"data":{"product":{"id":"1","name":{"secret":"10.0.0.7"},"variants":"10.0.0.7"}}}`), nil
	}
	for query, want := range map[string]string{
		`{ product(id: "1") { name } }`:             `{"errors":[{"message":"a subgraph returned a value that does not fit the schema","path":["product","name"],"extensions":{"code":"UNEXPECTED_VALUE"}}],"data":{"product":null}}`,
		`{ product(id: "1") { variants { sku } } }`: `{"errors":[{"message":"a subgraph returned a value that does not fit the schema","path":["product","variants"],"extensions":{"code":"UNEXPECTED_VALUE"}}],"data":{"product":null}}`,
	} {
		if got := answerOf(t, e, as(viewer.Viewer{}), query, ""); got != want {
			t.Errorf("%s\n got %s\nwant %s", query, got, want)
		}
	}
}

// What goes wrong is told to the log that the engine was given, with the cause that the client does not hear.
func TestFailuresAreLogged(t *testing.T) {
	var lines bytes.Buffer
	e, m := newEngineWith(t, "shop", Config{Log: slog.New(slog.NewTextHandler(&lines, nil))}, newShop(t)...)
	m["reviews"].before = breakages["down"]
	answerOf(t, e, as(viewer.Viewer{}), `{ product(id: "1") { rating } }`, "")
	if !strings.Contains(lines.String(), "subgraph=reviews") || !strings.Contains(lines.String(), "connection refused") {
		t.Errorf("logged %q", lines.String())
	}
}
