package subgraph

import (
	"context"
	"reflect"
	"sync/atomic"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/souk-shop/souk/internal/fault"
)

// largest is how many list items one answer may have, all lists together: about what fits into an answer the gateway still reads.
const largest = 100_000

// ErrTooLarge refuses an answer in which lists within lists multiply: variants of products of variants of products …
var ErrTooLarge = fault.New(fault.Invalid, "OPERATION_TOO_LARGE", "the answer would be too large: at most 100,000 list items are allowed; ask for shorter lists, or for fewer within each other")

type boundsKey struct{}

// bound makes srv give up an answer without an end in sight. Items are counted as lists are resolved, by bounded, and before anything in
// them is, so the answer stops to grow at the bound.
func bound(srv *handler.Server) {
	srv.AroundOperations(func(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
		return next(context.WithValue(ctx, boundsKey{}, new(atomic.Int64)))
	})
	srv.AroundResponses(func(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
		items, _ := ctx.Value(boundsKey{}).(*atomic.Int64)
		if items == nil {
			return next(ctx)
		}
		items.Store(0) // each event of a subscription is an answer
		res := next(ctx)
		if res != nil && items.Load() > largest {
			return &graphql.Response{Errors: gqlerror.List{{Message: ErrTooLarge.Message, Extensions: map[string]any{"code": ErrTooLarge.Code}}}}
		}
		return res
	})
}

// bounded resolves a field whose value is a list, as long as there is room for one.
func bounded(ctx context.Context, next graphql.Resolver) (any, error) {
	items, _ := ctx.Value(boundsKey{}).(*atomic.Int64)
	if items == nil {
		return next(ctx)
	}
	if items.Load() > largest {
		return nil, ErrTooLarge
	}
	res, err := next(ctx)
	if list := reflect.ValueOf(res); list.Kind() == reflect.Slice && items.Add(int64(list.Len())) > largest {
		return nil, ErrTooLarge
	}
	return res, err
}
