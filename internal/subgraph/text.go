package subgraph

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/souk-shop/souk/internal/fault"
)

// ErrText refuses text that PostgreSQL cannot keep.
var ErrText = fault.New(fault.Invalid, "BAD_USER_INPUT", "text must not contain the character U+0000")

// unprintable finds text with U+0000 in an operation, and where: in which argument of which field.
func unprintable(ctx context.Context) (ast.Path, bool) {
	if !graphql.HasOperationContext(ctx) {
		return nil, false
	}
	op := graphql.GetOperationContext(ctx)
	if op.Operation == nil {
		return nil, false
	}
	for _, name := range slices.Sorted(maps.Keys(op.Variables)) {
		if inside, found := nul(op.Variables[name]); found {
			return append(argument(op.Operation.SelectionSet, name), inside...), true
		}
	}
	return nil, strings.Contains(op.RawQuery, `\u0000`)
}

// nul finds U+0000 in a variable's value.
func nul(value any) (ast.Path, bool) {
	switch v := value.(type) {
	case string:
		return nil, strings.IndexByte(v, 0) >= 0
	case []any:
		for i, item := range v {
			if inside, found := nul(item); found {
				return append(ast.Path{ast.PathIndex(i)}, inside...), true
			}
		}
	case map[string]any:
		for name, field := range v {
			if inside, found := nul(field); found {
				return append(ast.Path{ast.PathName(name)}, inside...), true
			}
		}
	}
	return nil, false
}

// argument finds the argument that a variable is the value of.
func argument(selections ast.SelectionSet, variable string) ast.Path {
	for _, s := range selections {
		var below ast.SelectionSet
		var here ast.Path
		switch s := s.(type) {
		case *ast.Field:
			here, below = ast.Path{ast.PathName(s.Alias)}, s.SelectionSet
			for _, a := range s.Arguments {
				if a.Value.Kind == ast.Variable && a.Value.Raw == variable {
					return append(here, ast.PathName(a.Name))
				}
			}
		case *ast.InlineFragment:
			below = s.SelectionSet
		case *ast.FragmentSpread:
			below = s.Definition.SelectionSet
		}
		if found := argument(below, variable); found != nil {
			return append(here, found...)
		}
	}
	return nil
}
