package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"github.com/souk-shop/souk/internal/viewer"
)

const testdata = "../supergraph/testdata"

// object is a value of an object type; "__typename" is needed where the schema leaves it open.
type object = map[string]any

// A resolver answers one field.
type resolver func(parent object, args map[string]any) any

// A service is a subgraph in memory: it executes any valid query over its own schema.
type service struct {
	name     string
	schema   *ast.Schema
	fields   map[string]resolver            // "Type.field"; else the parent's member of that name
	entities map[string]func(object) object // by type: representation → entity, nil when there is none
	events   map[string]<-chan any          // of subscription fields
	mute     bool                           // keeps no list of what it is asked
	before   func(context.Context, *http.Request) (*http.Response, error)

	mu     sync.Mutex
	asked  []string
	open   sync.WaitGroup // streams
	closed chan struct{}  // a value for every stream that ended
}

const federation = `
scalar _Any scalar federation__FieldSet scalar federation__Scope
directive @key(fields: federation__FieldSet!, resolvable: Boolean = true) repeatable on OBJECT | INTERFACE
directive @shareable repeatable on OBJECT | FIELD_DEFINITION
directive @external on OBJECT | FIELD_DEFINITION
directive @requires(fields: federation__FieldSet!) on FIELD_DEFINITION
directive @provides(fields: federation__FieldSet!) on FIELD_DEFINITION
directive @override(from: String!, label: String) on FIELD_DEFINITION
directive @inaccessible on FIELD_DEFINITION | OBJECT | INTERFACE | UNION | ENUM | ENUM_VALUE | SCALAR | INPUT_OBJECT | INPUT_FIELD_DEFINITION | ARGUMENT_DEFINITION
directive @interfaceObject on OBJECT
directive @authenticated on FIELD_DEFINITION | OBJECT | INTERFACE | SCALAR | ENUM
directive @requiresScopes(scopes: [[federation__Scope!]!]!) on FIELD_DEFINITION | OBJECT | INTERFACE | SCALAR | ENUM
`

func newService(t testing.TB, folder, name string) *service {
	t.Helper()
	sdl, err := os.ReadFile(filepath.Join(testdata, folder, name+".graphqls"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(sdl)
	var entities []string
	doc, err := gqlparser.LoadSchema(&ast.Source{Name: name, Input: federation + withQuery(text)})
	if err != nil {
		t.Fatalf("%s/%s: %v", folder, name, err)
	}
	for _, d := range doc.Types {
		if d.Kind == ast.Object && d.Directives.ForName("key") != nil {
			entities = append(entities, d.Name)
		}
	}
	if len(entities) > 0 {
		slices.Sort(entities)
		text = withQuery(text) + "\nunion _Entity = " + strings.Join(entities, " | ") +
			"\nextend type Query { _entities(representations: [_Any!]!): [_Entity]! }"
		if doc, err = gqlparser.LoadSchema(&ast.Source{Name: name, Input: federation + text}); err != nil {
			t.Fatalf("%s/%s: %v", folder, name, err)
		}
	}
	return &service{name: name, schema: doc, fields: map[string]resolver{}, entities: map[string]func(object) object{}, closed: make(chan struct{}, 16)}
}

func withQuery(sdl string) string {
	if strings.Contains(sdl, "type Query ") {
		return sdl
	}
	return sdl + "\ntype Query { _: Boolean }"
}

// A mesh is the transport to a set of services.
type mesh map[string]*service

func (m mesh) RoundTrip(r *http.Request) (*http.Response, error) {
	s := m[strings.TrimSuffix(r.URL.Host, ".test")]
	if s == nil {
		return nil, fmt.Errorf("dial %s: no such host", r.URL.Host)
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return s.roundTrip(r)
}

func (m mesh) reset() {
	for _, s := range m {
		s.mu.Lock()
		s.asked = nil
		s.mu.Unlock()
	}
}

// fetches lists what the services were asked since the last reset, in a stable order.
func (m mesh) fetches() []string {
	var out []string
	for _, s := range m {
		s.mu.Lock()
		out = append(out, s.asked...)
		s.mu.Unlock()
	}
	slices.Sort(out)
	return out
}

type wire struct {
	Query     string          `json:"query"`
	Variables json.RawMessage `json:"variables"`
}

func (s *service) roundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var q wire
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, fmt.Errorf("%s was sent %q: %w", s.name, body, err)
	}
	line := s.name + ": " + q.Query
	if len(q.Variables) > 0 && string(q.Variables) != "{}" {
		line += " " + string(q.Variables)
	}
	s.mu.Lock()
	if !s.mute {
		s.asked = append(s.asked, line)
	}
	s.mu.Unlock()
	if s.before != nil {
		if res, err := s.before(r.Context(), r); res != nil || err != nil {
			return res, err
		}
	}
	var variables map[string]any
	_ = json.Unmarshal(q.Variables, &variables)
	doc, bad := gqlparser.LoadQueryWithRules(s.schema, q.Query, rules.NewDefaultRules())
	if len(bad) > 0 {
		panic(fmt.Sprintf("%s was sent an invalid query %s: %v", s.name, q.Query, bad))
	}
	op := doc.Operations[0]
	if op.Operation == ast.Subscription {
		return s.stream(r.Context(), op, variables)
	}
	out, _ := json.Marshal(s.execute(op, variables, nil))
	return reply(http.StatusOK, string(out)), nil
}

func reply(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body))}
}

func (s *service) stream(ctx context.Context, op *ast.OperationDefinition, variables map[string]any) (*http.Response, error) {
	in, out := io.Pipe()
	field := op.SelectionSet[0].(*ast.Field)
	events := s.events[field.Name]
	s.open.Add(1)
	go func() {
		defer s.open.Done()
		defer func() { s.closed <- struct{}{} }()
		defer out.Close()
		for {
			select {
			case <-ctx.Done():
				out.CloseWithError(ctx.Err())
				return
			case e, ok := <-events:
				if !ok {
					io.WriteString(out, "event: complete\n\n")
					return
				}
				data, _ := json.Marshal(s.execute(op, variables, object{field.Name: e}))
				if _, err := fmt.Fprintf(out, "event: next\ndata: %s\n\n", data); err != nil {
					return
				}
			}
		}
	}()
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: in}, nil
}

// An execution completes values as the specification says, errors and null propagation included.
type execution struct {
	s         *service
	variables map[string]any
	errors    []object
}

func (s *service) execute(op *ast.OperationDefinition, variables map[string]any, root object) object {
	x := &execution{s: s, variables: variables}
	typ := map[ast.Operation]string{ast.Query: "Query", ast.Mutation: "Mutation", ast.Subscription: "Subscription"}[op.Operation]
	if root == nil {
		root = object{}
	}
	data, err := x.selection(typ, root, op.SelectionSet, nil)
	out := object{"data": data}
	if err != nil {
		out["data"] = nil
	}
	if len(x.errors) > 0 {
		out["errors"] = x.errors
	}
	return out
}

var errNull = errors.New("null where none may be")

func (x *execution) selection(typ string, parent object, set ast.SelectionSet, path []any) (object, error) {
	out := object{}
	for _, sel := range set {
		switch sel := sel.(type) {
		case *ast.InlineFragment:
			if !x.applies(typ, sel.TypeCondition) {
				continue
			}
			part, err := x.selection(typ, parent, sel.SelectionSet, path)
			if err != nil {
				return nil, err
			}
			merge(out, part)
		case *ast.Field:
			if sel.Name == "__typename" {
				out[sel.Alias] = typ
				continue
			}
			here := append(slices.Clone(path), sel.Alias)
			v, err := x.complete(sel.Definition.Type, x.resolve(typ, parent, sel), sel, here)
			if err != nil {
				return nil, err
			}
			if old, ok := out[sel.Alias].(object); ok {
				if more, ok := v.(object); ok {
					merge(old, more)
					continue
				}
			}
			out[sel.Alias] = v
		default:
			panic("named fragments are not sent to services")
		}
	}
	return out, nil
}

func merge(into, from object) {
	for k, v := range from {
		if a, ok := into[k].(object); ok {
			if b, ok := v.(object); ok {
				merge(a, b)
				continue
			}
		}
		into[k] = v
	}
}

func (x *execution) applies(typ, condition string) bool {
	if condition == "" || condition == typ {
		return true
	}
	return slices.ContainsFunc(x.s.schema.PossibleTypes[condition], func(d *ast.Definition) bool { return d.Name == typ })
}

func (x *execution) resolve(typ string, parent object, f *ast.Field) any {
	args := f.ArgumentMap(x.variables)
	if f.Name == "_entities" {
		var out []any
		for _, r := range args["representations"].([]any) {
			rep := r.(object)
			name := rep["__typename"].(string)
			find := x.s.entities[name]
			if find == nil {
				panic(x.s.name + " cannot find a " + name)
			}
			e := find(rep)
			if e == nil {
				out = append(out, nil)
				continue
			}
			if e["__typename"] == nil {
				e["__typename"] = name
			}
			out = append(out, e)
		}
		return out
	}
	if r := x.s.fields[typ+"."+f.Name]; r != nil {
		return r(parent, args)
	}
	return parent[f.Name]
}

func (x *execution) complete(t *ast.Type, v any, f *ast.Field, path []any) (any, error) {
	err, isErr := v.(error)
	if isErr {
		e := object{"message": err.Error(), "path": path}
		var coded interface{ Extensions() object }
		if errors.As(err, &coded) {
			e["extensions"] = coded.Extensions()
		}
		x.errors = append(x.errors, e)
		v = nil
	}
	if v == nil {
		if t.NonNull {
			if !isErr {
				x.errors = append(x.errors, object{"message": "null for " + f.Name, "path": path})
			}
			return nil, errNull
		}
		return nil, nil
	}
	out, err := x.value(t, v, f, path)
	if err != nil && !t.NonNull {
		return nil, nil
	}
	return out, err
}

func (x *execution) value(t *ast.Type, v any, f *ast.Field, path []any) (any, error) {
	if t.Elem != nil {
		items := list(v)
		out := make([]any, len(items))
		for i, item := range items {
			c, err := x.complete(t.Elem, item, f, append(slices.Clone(path), i))
			if err != nil {
				return nil, err
			}
			out[i] = c
		}
		return out, nil
	}
	if len(f.SelectionSet) == 0 {
		return v, nil
	}
	o := v.(object)
	typ := t.NamedType
	if n, ok := o["__typename"].(string); ok {
		typ = n
	}
	return x.selection(typ, o, f.SelectionSet, path)
}

func list(v any) []any {
	switch v := v.(type) {
	case []any:
		return v
	case []object:
		out := make([]any, len(v))
		for i := range v {
			out[i] = v[i]
		}
		return out
	case []string:
		out := make([]any, len(v))
		for i := range v {
			out[i] = v[i]
		}
		return out
	}
	panic(fmt.Sprintf("%T is no list", v))
}

// coded is an error with a code, as a subgraph reports one.
type coded struct{ message, code string }

func (c coded) Error() string      { return c.message }
func (c coded) Extensions() object { return object{"code": c.code} }

// newEngine serves a folder of testdata with the services given.
func newEngine(t testing.TB, folder string, services ...*service) (*Engine, mesh) {
	t.Helper()
	return newEngineWith(t, folder, Config{Development: true}, services...)
}

func newEngineWith(t testing.TB, folder string, c Config, services ...*service) (*Engine, mesh) {
	t.Helper()
	sdl, err := os.ReadFile(filepath.Join(testdata, folder, "supergraph.graphql"))
	if err != nil {
		t.Fatal(err)
	}
	m := mesh{}
	for _, s := range services {
		m[s.name] = s
	}
	c.SupergraphSDL = string(sdl)
	if c.Transport == nil {
		c.Transport = m
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	e, err := New(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	return e, m
}

// as is the context of a request by a viewer.
func as(v viewer.Viewer) context.Context { return viewer.With(context.Background(), v) }

func prepare(t testing.TB, e *Engine, query, variables string) *Operation {
	t.Helper()
	op, err := e.Prepare(context.Background(), Request{Query: query, Variables: json.RawMessage(variables)})
	if err != nil {
		t.Fatalf("prepare %s: %v", query, err)
	}
	return op
}

// answerOf executes a query and returns its response.
func answerOf(t testing.TB, e *Engine, ctx context.Context, query, variables string) string {
	t.Helper()
	var out bytes.Buffer
	if _, err := e.Execute(ctx, prepare(t, e, query, variables), &out); err != nil {
		t.Fatalf("execute %s: %v", query, err)
	}
	return out.String()
}

// refusal returns the error with which a request is refused.
func refusal(t testing.TB, e *Engine, query, variables string) Error {
	t.Helper()
	_, err := e.Prepare(context.Background(), Request{Query: query, Variables: json.RawMessage(variables)})
	var es Errors
	if !errors.As(err, &es) || len(es) == 0 {
		t.Fatalf("prepare %s %s: got %v, want a refusal", query, variables, err)
	}
	for _, x := range es {
		if x.Code() == "" {
			t.Errorf("the error %q has no code", x.Message)
		}
	}
	return es[0]
}
