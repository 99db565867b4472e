package subgraph

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/testserver"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// Our transport and gqlgen's say the same, byte for byte but for how errors in the request's encoding are worded.
func TestPostIsThatOfGqlgen(t *testing.T) {
	t.Parallel()
	ours, theirs := testserver.New(), testserver.New()
	ours.AddTransport(post{})
	theirs.AddTransport(transport.POST{})
	for name, c := range map[string]struct{ body, accept, media string }{
		"data":                  {`{"query":"{ name }"}`, "application/graphql-response+json, application/json;q=0.9", "application/json"},
		"as plain JSON":         {`{"query":"{ name }"}`, "", "application/json; charset=utf-8"},
		"with variables":        {`{"query":"query($id: Int!) { find(id: $id) }","variables":{"id":12345678901}}`, "application/json", "application/json"},
		"a variable is missing": {`{"query":"query($id: Int!) { find(id: $id) }","variables":null}`, "application/graphql-response+json", "application/json"},
		"one of several":        {`{"query":"query A { name } query B { name }","operationName":"B"}`, "", "application/json"},
		"none of them":          {`{"query":"query A { name } query B { name }","operationName":"C"}`, "application/graphql-response+json", "application/json"},
		"a field is unknown":    {`{"query":"{ title }"}`, "application/graphql-response+json", "application/json"},
		"and as plain JSON":     {`{"query":"{ title }"}`, "application/json", "application/json"},
		"no GraphQL":            {`{"query":"!"}`, "application/graphql-response+json", "application/json"},
		"another media type":    {`{"query":"{ name }"}`, "", "text/plain"},
	} {
		got, want := send(ours.Server, c.body, c.accept, c.media), send(theirs.Server, c.body, c.accept, c.media)
		if got.Code != want.Code || got.Body.String() != want.Body.String() || got.Header().Get("Content-Type") != want.Header().Get("Content-Type") {
			t.Errorf("%s: %d %s %s, want %d %s %s", name, got.Code, got.Header(), got.Body, want.Code, want.Header(), want.Body)
		}
	}
	for _, bad := range []string{``, `[]`, `{"query":1}`, `{"query":"{ name }"`, `{"query":"{ name }","variables":[]}`} {
		got := send(ours.Server, bad, "", "application/json")
		if want := send(theirs.Server, bad, "", "application/json"); got.Code != want.Code || !json.Valid(got.Body.Bytes()) || !strings.Contains(got.Body.String(), `"errors"`) {
			t.Errorf("%s: %d %s, want %d", bad, got.Code, got.Body, want.Code)
		}
	}
}

func send(srv *handler.Server, body, accept, media string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	srv.ServeHTTP(w, request(body, accept, media))
	return w
}

func request(body, accept, media string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/graphql", strings.NewReader(body))
	r.Header.Set("Content-Type", media)
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	return r
}

// BenchmarkPost is the way in and out of a subgraph alone, with a request and an answer of about 2 KB.
func BenchmarkPost(b *testing.B) {
	body, err := json.Marshal(map[string]any{
		"query":     "query($a: [_Any!]!) { _entities(representations: $a) { ... on Product { " + strings.Repeat("field(with: \"words\") ", 60) + "} } }",
		"variables": map[string]any{"a": []any{map[string]any{"__typename": "Product", "id": "prd_1"}}},
	})
	if err != nil {
		b.Fatal(err)
	}
	exec := answers{Data: []byte(`{"name":[` + strings.Repeat(`{"title":"a phone","price":{"amount":"12.50"}},`, 40) + `null]}`)}
	for name, t := range map[string]graphql.Transport{"ours": post{}, "gqlgen": transport.POST{}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				t.Do(httptest.NewRecorder(), request(string(body), "application/graphql-response+json", "application/json"), exec)
			}
		})
	}
}

// answers gives every operation the same response.
type answers graphql.Response

func (answers) CreateOperationContext(context.Context, *graphql.RawParams) (*graphql.OperationContext, gqlerror.List) {
	return &graphql.OperationContext{}, nil
}

func (a answers) DispatchOperation(ctx context.Context, _ *graphql.OperationContext) (graphql.ResponseHandler, context.Context) {
	r := graphql.Response(a)
	return graphql.OneShot(&r), ctx
}

func (a answers) DispatchError(context.Context, gqlerror.List) *graphql.Response { return nil }
