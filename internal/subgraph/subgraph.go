// Package subgraph is what the HTTP side of every subgraph has in common: transports, errors, access, health.
package subgraph

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/forfeit"
	"github.com/souk-shop/souk/internal/outage"
	"github.com/souk-shop/souk/internal/telemetry"
	"github.com/souk-shop/souk/internal/viewer"
)

// Server returns a gqlgen server that speaks JSON over POST and subscriptions over SSE, keeps the schema's
// @authenticated and @requiresScopes, and tells callers only of errors that somebody named.
// Documents come from the gateway, which has bounded them; they are few, so parsed ones are kept.
func Server(schema graphql.ExecutableSchema, log *slog.Logger) *handler.Server {
	srv := handler.New(schema)
	srv.AddTransport(transport.SSE{KeepAlivePingInterval: 15 * time.Second})
	srv.AddTransport(post{})
	srv.SetQueryCache(lru.New[*ast.QueryDocument](1000))
	srv.SetErrorPresenter(presenter(log))
	srv.SetRecoverFunc(func(ctx context.Context, p any) error {
		log.ErrorContext(ctx, "panic", "value", p, "stack", string(debug.Stack()))
		return errors.New("panic")
	})
	bound(srv)
	srv.AroundFields(guard(schema.Schema()))
	return srv
}

// presenter turns an error into what the caller may know: message and code of a fault, "internal error" of anything else.
func presenter(log *slog.Logger) graphql.ErrorPresenterFunc {
	return func(ctx context.Context, err error) *gqlerror.Error {
		var shown *gqlerror.Error
		var f *fault.Error
		switch {
		case errors.As(err, &f):
			shown = gqlerror.WrapPath(graphql.GetPath(ctx), f)
			shown.Message = f.Message
			shown.Extensions = map[string]any{"code": f.Code}
			if f.Field != nil {
				shown.Extensions["field"] = f.Field
			}
		case errors.As(err, &shown) && errors.Unwrap(shown) == nil: // gqlgen's own: a bad document or variable
			if shown.Extensions == nil {
				shown.Extensions = map[string]any{"code": "BAD_USER_INPUT"}
			}
		case errors.As(err, &shown) && isInput(ctx, shown): // a scalar's refusal, with its path
			shown.Message = strings.TrimPrefix(shown.Message, "input: ")
			shown.Extensions = map[string]any{"code": "BAD_USER_INPUT"}
		case errors.Is(err, context.Canceled):
			shown = &gqlerror.Error{Message: "cancelled", Path: graphql.GetPath(ctx), Extensions: map[string]any{"code": "CANCELLED"}}
		case outage.Passing(err):
			log.WarnContext(ctx, "a store is away", "path", graphql.GetPath(ctx).String(), "error", err)
			shown = &gqlerror.Error{Message: outage.ErrUnavailable.Message, Path: graphql.GetPath(ctx), Extensions: map[string]any{"code": outage.ErrUnavailable.Code}}
		default:
			// Rules of the domain name the field; text that none of them looked at fails in the store.
			if at, found := unprintable(ctx); found {
				return &gqlerror.Error{Message: ErrText.Message, Path: at, Extensions: map[string]any{"code": ErrText.Code}}
			}
			log.ErrorContext(ctx, "internal error", "path", graphql.GetPath(ctx).String(), "error", err)
			shown = &gqlerror.Error{Message: "internal error", Path: graphql.GetPath(ctx), Extensions: map[string]any{"code": "INTERNAL"}}
		}
		return shown
	}
}

// isInput tells whether the error came from reading an argument, before any resolver ran: then it is at a path inside the field.
func isInput(ctx context.Context, err *gqlerror.Error) bool {
	return len(err.Path) > len(graphql.GetPath(ctx))
}

// The refusals of the schema's directives.
var (
	ErrUnauthenticated = fault.New(fault.Unauthenticated, "UNAUTHENTICATED", "sign in first")
	ErrForbidden       = fault.New(fault.Forbidden, "FORBIDDEN", "you may not do this")
)

// guard keeps @authenticated and @requiresScopes here too, so that a mistake in the gateway opens nothing.
func guard(schema *ast.Schema) graphql.FieldMiddleware {
	type rule struct {
		signedIn bool
		anyOf    [][]string // scopes: any of these, all of it
	}
	rules := map[*ast.FieldDefinition]rule{}
	for _, t := range schema.Types {
		for _, f := range t.Fields {
			var r rule
			r.signedIn = f.Directives.ForName("authenticated") != nil
			if d := f.Directives.ForName("requiresScopes"); d != nil {
				for _, all := range d.Arguments.ForName("scopes").Value.Children {
					var scopes []string
					for _, s := range all.Value.Children {
						scopes = append(scopes, s.Value.Raw)
					}
					r.anyOf = append(r.anyOf, scopes)
				}
			}
			if r.signedIn || r.anyOf != nil {
				rules[f] = r
			}
		}
	}
	// One middleware does all that is done to a field, for each costs something for every field of every answer.
	return func(ctx context.Context, next graphql.Resolver) (any, error) {
		field := graphql.GetFieldContext(ctx).Field.Definition
		if r, guarded := rules[field]; guarded {
			v := viewer.From(ctx)
			if !v.SignedIn() {
				return nil, ErrUnauthenticated
			}
			if r.anyOf != nil && !hasAny(v, r.anyOf) {
				return nil, ErrForbidden
			}
		}
		if field.Type.Elem != nil {
			return bounded(ctx, next)
		}
		return next(ctx)
	}
}

func hasAny(v viewer.Viewer, anyOf [][]string) bool {
	for _, all := range anyOf {
		ok := true
		for _, s := range all {
			ok = ok && v.Has(s)
		}
		if ok {
			return true
		}
	}
	return false
}

// Code picks the enum value of a fault: its own code where the schema has it, else its kind, else INVALID.
func Code[C interface {
	~string
	IsValid() bool
}](e *fault.Error) C {
	for _, c := range []C{C(e.Code), C(e.Kind)} {
		if c.IsValid() {
			return c
		}
	}
	return C(fault.Invalid)
}

// UserErrors splits an error into what goes under userErrors and what goes to the top level.
// The list is never nil: `userErrors` is a non-null list.
func UserErrors[E any](err error, show func(*fault.Error) E) ([]E, error) {
	if err == nil {
		return []E{}, nil
	}
	if e, ok := fault.ForUser(err); ok {
		return []E{show(e)}, nil
	}
	return []E{}, err
}

// Mount gives a subgraph's server its address: /graphql behind the guard of passports, /healthz for everybody.
func Mount(graphql http.Handler, guard func(http.Handler) http.Handler, healthy func(context.Context) error) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /graphql", telemetry.Handler(guard(forfeit.Handler(graphql)), "graphql"))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		if err := healthy(ctx); err != nil {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
		}
	})
	return mux
}

// Selects tells a resolver whether a field of what it answers was asked for.
func Selects(ctx context.Context, field string) bool {
	return slices.ContainsFunc(graphql.CollectFieldsCtx(ctx, nil), func(f graphql.CollectedField) bool { return f.Name == field })
}
